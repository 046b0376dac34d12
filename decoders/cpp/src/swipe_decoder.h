// A swipe model's package, run by ExecuTorch: points in, words out.
//
//     SwipeDecoder decoder("package/bundled/android");
//     for (const Candidate& candidate : decoder.decode(points, 5)) puts(candidate.word.c_str());
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "beam_search.h"
#include "bigrams.h"
#include "features.h"
#include "lexicon.h"
#include "program.h"

namespace transducer {

class SwipeDecoder {
 public:
  // folder: a package, as `make package-bundled` writes it. Its files are taken as they are: sha256sum -c SHA256SUMS
  // says whether they are those packaged.
  // variant: of the encoder, such as xnnpack.pte or int8.pte.
  // layout: a JSON file of another keyboard than the model's own, as the package's layouts/azerty.json.
  // Throws: Error "missing-file", "bad-package", "bad-lexicon", "bad-layout" or "bad-graph".
  explicit SwipeDecoder(const std::string& folder, const std::string& variant = "xnnpack.pte",
                        const std::string& layout = "");

  // Returns the best `count` words of a swipe, the best first; fewer where fewer were found. `previous` is the word
  // before it, "" at the beginning of a sentence; without one, or without bigrams in the package, it does not count.
  // Throws: Error "empty-trace", "single-point", "bad-trace", or "bad-graph" if the model fails.
  std::vector<Candidate> decode(const std::vector<Point>& points, size_t count,
                                const std::optional<std::string>& previous = std::nullopt);

 private:
  // Encoder frames [T_enc, D] of features [T, F].
  Matrix encode(const Matrix& features);
  StepOutput step(std::vector<float> frames, std::vector<int64_t> labels, std::vector<float> h, std::vector<float> c);

  Layout layout_;
  Lexicon lexicon_;
  Bigrams bigrams_;
  SearchOptions options_;
  int blank_ = 0, layers_ = 0, width_ = 0;
  int64_t shortest_ = 0, longest_ = 0;  // frames of a swipe that the encoder takes
  std::unique_ptr<Program> encoder_, step_;
};

}  // namespace transducer
