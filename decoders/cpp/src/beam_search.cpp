#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "error.h"

namespace transducer {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// States [layers, batch, width] of several prefixes.
struct States {
  std::vector<float> h, c;
  int batch;
};

// A prefix, and the states from before its last label: a row of those of its batch.
struct Prefix {
  int node, label;
  std::shared_ptr<const States> states;
  int row;
  double log_prob, rank;
};

using Prefixes = std::vector<Prefix>;

double log_add(double one, double other) {
  const double most = std::max(one, other);
  return most == kNever ? most : most + std::log1p(std::exp(std::min(one, other) - most));
}

double log_sum(const float* values, int count) {
  const double most = *std::max_element(values, values + count);
  double sum = 0;
  for (int n = 0; n < count; ++n) sum += std::exp(double(values[n]) - most);
  return most + std::log(sum);
}

class Search {
 public:
  Search(const Step& step, const Lexicon& lexicon, int blank, int layers, int width, const SearchOptions& options)
      : step_(step), lexicon_(lexicon), blank_(blank), layers_(layers), width_(width), options_(options) {}

  Prefixes start() const {
    const std::vector<float> zeros(size_t(layers_) * width_);
    return {{kRoot, blank_, std::make_shared<States>(States{zeros, zeros, 1}), 0, 0.0, rank(kRoot, 0.0)}};
  }

  // The best prefixes that have left a frame [D], from those that entered it.
  Prefixes through(const float* frame, int depth, Prefixes active) const {
    Prefixes left;
    for (int symbols = 0; symbols <= options_.max_symbols; ++symbols) {
      const auto [logits, after] = run(frame, depth, active);
      std::vector<double> norms;
      Prefixes leaving;
      for (size_t row = 0; row < active.size(); ++row) {
        const float* own = logits.data() + row * (blank_ + 1);
        norms.push_back(log_sum(own, blank_ + 1));
        leaving.push_back(active[row]);
        leaving.back().log_prob += own[blank_] - norms[row];
        leaving.back().rank = rank(active[row].node, leaving.back().log_prob);
      }
      left = near(best(merged(std::move(left), std::move(leaving))));
      if (symbols == options_.max_symbols) break;
      active = grown(active, logits, norms, after, left);
      if (active.empty()) break;
    }
    return left;
  }

  Candidate candidate(const Prefix& prefix) const {
    const int index = lexicon_.word[prefix.node];
    const std::string& word = lexicon_.words[index];
    const double score = prefix.log_prob / std::pow(double(word.size()), options_.length_power) +
                         options_.prior_weight * lexicon_.prior[index];
    return {word, prefix.log_prob, score};
  }

 private:
  double rank(int node, double log_prob) const { return log_prob + options_.prior_weight * lexicon_.ahead[node]; }

  // The model for all prefixes at once.
  std::pair<std::vector<float>, std::shared_ptr<const States>> run(const float* frame, int depth,
                                                                   const Prefixes& active) const {
    const size_t batch = active.size();
    std::vector<float> frames, h(layers_ * batch * width_), c(h.size());
    std::vector<int64_t> labels;
    for (size_t row = 0; row < batch; ++row) {
      const Prefix& one = active[row];
      frames.insert(frames.end(), frame, frame + depth);
      labels.push_back(one.label);
      for (int layer = 0; layer < layers_; ++layer) {
        const size_t from = (size_t(layer) * one.states->batch + one.row) * width_, to = (layer * batch + row) * width_;
        std::copy_n(one.states->h.begin() + from, width_, h.begin() + to);
        std::copy_n(one.states->c.begin() + from, width_, c.begin() + to);
      }
    }
    const size_t states = h.size();
    StepOutput output = step_(std::move(frames), std::move(labels), std::move(h), std::move(c));
    if (output.logits.size() != batch * (blank_ + 1) || output.h.size() != states || output.c.size() != states) {
      throw Error("bad-graph", "The step gives other sizes than the metadata says; use graphs and metadata of one package.");
    }
    return {std::move(output.logits),
            std::make_shared<States>(States{std::move(output.h), std::move(output.c), int(batch)})};
  }

  // The best prefixes one letter longer, only those that may still come before the worst of `left`.
  Prefixes grown(const Prefixes& active, const std::vector<float>& logits, const std::vector<double>& norms,
                 const std::shared_ptr<const States>& after, const Prefixes& left) const {
    const double worst =
        int(left.size()) >= options_.beam ? left.back().rank : left.front().rank - options_.threshold;
    Prefixes longer;
    for (size_t row = 0; row < active.size(); ++row) {
      const int node = active[row].node;
      for (uint32_t child = lexicon_.first[node]; child < lexicon_.first[node + 1]; ++child) {
        const int label = lexicon_.label[child];
        const double log_prob = active[row].log_prob + logits[row * (blank_ + 1) + label] - norms[row];
        const double own = rank(int(child), log_prob);
        if (own > worst) longer.push_back({int(child), label, after, int(row), log_prob, own});
      }
    }
    return best(std::move(longer));
  }

  // Of equals the one that came first.
  Prefixes best(Prefixes prefixes) const {
    std::stable_sort(prefixes.begin(), prefixes.end(), [](auto& a, auto& b) { return a.rank > b.rank; });
    if (int(prefixes.size()) > options_.beam) prefixes.resize(options_.beam, prefixes.front());
    return prefixes;
  }

  // Those of ranked prefixes that lie within the threshold of the first.
  Prefixes near(Prefixes prefixes) const {
    while (prefixes.size() > 1 && prefixes.back().rank < prefixes.front().rank - options_.threshold) prefixes.pop_back();
    return prefixes;
  }

  // The prefixes of both in order of their nodes, those in both with their probabilities added: their states are equal.
  Prefixes merged(Prefixes first, Prefixes second) const {
    first.insert(first.end(), second.begin(), second.end());
    std::stable_sort(first.begin(), first.end(), [](auto& a, auto& b) { return a.node < b.node; });
    Prefixes merged;
    for (Prefix& one : first) {
      if (!merged.empty() && merged.back().node == one.node) {
        merged.back().log_prob = log_add(merged.back().log_prob, one.log_prob);
        merged.back().rank = rank(one.node, merged.back().log_prob);
      } else {
        merged.push_back(std::move(one));
      }
    }
    return merged;
  }

  const Step& step_;
  const Lexicon& lexicon_;
  const int blank_, layers_, width_;
  const SearchOptions options_;
};

}  // namespace

std::vector<Candidate> beam_search(const Matrix& frames, const Step& step, const Lexicon& lexicon, int blank, int layers,
                                   int width, const SearchOptions& options, size_t count) {
  const Search search(step, lexicon, blank, layers, width, options);
  Prefixes prefixes = search.start();
  for (int frame = 0; frame < frames.rows; ++frame) {
    prefixes = search.through(frames.values.data() + size_t(frame) * frames.columns, frames.columns, std::move(prefixes));
  }
  std::vector<Candidate> words;
  for (const Prefix& prefix : prefixes) {
    if (lexicon.word[prefix.node] != kNone) words.push_back(search.candidate(prefix));
  }
  std::sort(words.begin(), words.end(), [](auto& a, auto& b) {
    return a.score != b.score ? a.score > b.score : a.word < b.word;
  });
  if (words.size() > count) words.resize(count);
  return words;
}

}  // namespace transducer
