#include "bigrams.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace transducer {

namespace {

constexpr uint32_t kVersion = 1;
constexpr double kSteps = 16;  // gains are stored in steps of a nat's sixteenth

struct Header {
  char magic[4];
  uint32_t version, words, pairs, digest;
};

[[noreturn]] void refuse(const std::string& what) {
  throw Error("bad-lexicon", "The bigrams " + what + "; package the model again.");
}

// FNV-1a, 32 bits, of the words, each with a line feed after it.
uint32_t digest_of(const std::vector<std::string>& words) {
  uint32_t digest = 0x811c9dc5;
  for (const std::string& word : words) {
    for (const char byte : word + "\n") digest = (digest ^ uint8_t(byte)) * 0x01000193;
  }
  return digest;
}

}  // namespace

Bigrams::Bigrams(const std::string& bytes, const std::vector<std::string>& words) {
  Header header{};
  std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
  if (std::memcmp(header.magic, "BIGR", 4) != 0 || header.version != kVersion) refuse("are not of format 1");
  const size_t count = header.words, pairs = header.pairs;
  if (bytes.size() != sizeof header + 4 * (count + 2) + 5 * pairs) refuse("have another size than their header says");
  if (count != words.size() || header.digest != digest_of(words)) refuse("are of another word list");
  first_.resize(count + 2);
  next_.resize(pairs);
  const char* at = bytes.data() + sizeof header;
  std::memcpy(first_.data(), at, 4 * first_.size());
  std::memcpy(next_.data(), at + 4 * first_.size(), 4 * pairs);
  gain_.assign(bytes.end() - std::ptrdiff_t(pairs), bytes.end());
  const bool sound = first_.front() == 0 && first_.back() == pairs && std::is_sorted(first_.begin(), first_.end()) &&
                     std::all_of(next_.begin(), next_.end(), [&](uint32_t word) { return word < count; });
  if (!sound) refuse("are damaged: their pairs are not those of their words");
  for (size_t index = 0; index < count; ++index) ids_[words[index]] = int(index);
  ids_[""] = int(count);
}

Gains Bigrams::gains(const std::string& previous) const {
  Gains gains;
  const auto found = ids_.find(previous);
  if (found == ids_.end()) return gains;
  for (uint32_t pair = first_[found->second]; pair < first_[found->second + 1]; ++pair) {
    gains[int(next_[pair])] = gain_[pair] / kSteps;
  }
  return gains;
}

}  // namespace transducer
