// Beam search of an RNN transducer over a lexicon: the likeliest words of a swipe.
//
// py/transducer/swipe/beam_search.py is the reference, step for step. A frame is left by blank alone, which keeps the
// last label and the predictor's states from before it; up to max_symbols labels may come before. A prefix is a node of
// the trie, so prefixes found along several paths are merged by adding their probabilities.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "features.h"
#include "lexicon.h"

namespace transducer {

struct SearchOptions {
  int beam = 16;
  int max_symbols = 10;
  double prior_weight = 0.5;
  double length_power = 0.0;
  // Nats that the rank of a prefix kept may lie below the best one's.
  double threshold = std::numeric_limits<double>::infinity();
};

// A word, its log probability under the model, and the score that it is ranked by.
struct Candidate {
  std::string word;
  double log_prob, score;
};

// What a step gives: raw logits [B, V] and the states after it, [L, B, H] each.
struct StepOutput {
  std::vector<float> logits, h, c;
};

// Frames [B, D], last labels [B] and the states [L, B, H] before these labels, to logits and the states after them.
using Step = std::function<StepOutput(std::vector<float> frames, std::vector<int64_t> labels, std::vector<float> h,
                                      std::vector<float> c)>;

// blank is the last label; layers and width are those of the predictor's states. Returns the best `count` words of
// frames [T, D], the best first; fewer where fewer were found.
std::vector<Candidate> beam_search(const Matrix& frames, const Step& step, const Lexicon& lexicon, int blank, int layers,
                                   int width, const SearchOptions& options, size_t count);

}  // namespace transducer
