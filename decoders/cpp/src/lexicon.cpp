#include "lexicon.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "error.h"

namespace transducer {

namespace {

constexpr uint32_t kVersion = 1;

struct Header {
  char magic[4];
  uint32_t version, nodes, words, labels;
};

[[noreturn]] void refuse(const std::string& what) { throw Error("bad-lexicon", "The trie " + what + "; copy it again."); }

template <typename Value>
std::vector<Value> take(const std::string& bytes, size_t& at, size_t count) {
  std::vector<Value> values(count);
  std::memcpy(values.data(), bytes.data() + at, count * sizeof(Value));
  at += count * sizeof(Value);
  return values;
}

}  // namespace

Lexicon Lexicon::read(const std::string& bytes, std::vector<std::string> words) {
  Header header{};
  std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
  if (std::memcmp(header.magic, "TRIE", 4) != 0 || header.version != kVersion) refuse("is not one of version 1");
  const size_t nodes = header.nodes, padding = (4 - nodes % 4) % 4;
  const size_t size = sizeof header + 4 * (nodes + 1) + nodes + padding + 4 * nodes + 4 * size_t(header.words);
  if (bytes.size() != size) refuse("has another size than its header says");
  if (header.words != words.size()) {
    throw Error("bad-lexicon", "The trie has " + std::to_string(header.words) + " words and the list beside it " +
                                   std::to_string(words.size()) + "; give its own list.");
  }
  Lexicon lexicon;
  size_t at = sizeof header;
  lexicon.first = take<uint32_t>(bytes, at, nodes + 1);
  lexicon.label = take<uint8_t>(bytes, at, nodes);
  at += padding;
  lexicon.word = take<int32_t>(bytes, at, nodes);
  const std::vector<float> prior = take<float>(bytes, at, words.size());
  lexicon.prior.assign(prior.begin(), prior.end());
  lexicon.words = std::move(words);
  lexicon.labels = int(header.labels);

  // Children lie behind their parent and behind those of the nodes before it, so that every walk ends.
  bool sound = nodes > 0 && lexicon.first.front() == 1 && lexicon.first.back() == nodes;
  for (size_t node = 0; sound && node < nodes; ++node) {
    sound = lexicon.first[node] <= lexicon.first[node + 1] && lexicon.first[node] > node &&
            lexicon.label[node] < header.labels && lexicon.word[node] >= kNone &&
            lexicon.word[node] < int64_t(header.words);
  }
  if (!sound) refuse("has nodes that make none");

  lexicon.parent.assign(nodes, kRoot);
  lexicon.end.assign(lexicon.words.size(), kRoot);
  lexicon.ahead.assign(nodes, -std::numeric_limits<double>::infinity());
  for (size_t node = nodes; node-- > 0;) {
    if (lexicon.word[node] != kNone) {
      lexicon.ahead[node] = lexicon.prior[lexicon.word[node]];
      lexicon.end[lexicon.word[node]] = uint32_t(node);
    }
    for (uint32_t child = lexicon.first[node]; child < lexicon.first[node + 1]; ++child) {
      lexicon.ahead[node] = std::max(lexicon.ahead[node], lexicon.ahead[child]);
      lexicon.parent[child] = uint32_t(node);
    }
  }
  return lexicon;
}

Lift::Lift(Lexicon& lexicon, const Gains& gains) : lexicon_(lexicon) {
  for (const auto& [index, gain] : gains) {
    prior_.emplace_back(index, lexicon.prior[index]);
    const double prior = lexicon.prior[index] += gain;
    for (uint32_t node = lexicon.end[index]; lexicon.ahead[node] < prior; node = lexicon.parent[node]) {
      ahead_.emplace_back(node, lexicon.ahead[node]);
      lexicon.ahead[node] = prior;
    }
  }
}

Lift::~Lift() {
  for (auto one = prior_.rbegin(); one != prior_.rend(); ++one) lexicon_.prior[one->first] = one->second;
  for (auto one = ahead_.rbegin(); one != ahead_.rend(); ++one) lexicon_.ahead[one->first] = one->second;
}

}  // namespace transducer
