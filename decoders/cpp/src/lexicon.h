// A lexicon as a trie of label ids, read from trie.bin; py/transducer/swipe/trie.py describes the file.
//
//     const Lexicon lexicon = Lexicon::read(trie_bytes, words);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace transducer {

constexpr int kRoot = 0;
constexpr int kNone = -1;

struct Lexicon {
  std::vector<std::string> words;
  std::vector<uint32_t> first;  // [N + 1]; the children of node n are first[n] to first[n + 1] - 1
  std::vector<uint8_t> label;   // [N], of the arc into a node
  std::vector<int32_t> word;    // [N], of the word that ends at a node, or kNone
  std::vector<double> prior;    // [words], log prior
  std::vector<double> ahead;    // [N], the best prior at or below a node
  int labels = 0;

  // Throws: Error "bad-lexicon" if the bytes are not a sound trie, or not one of these words.
  static Lexicon read(const std::string& bytes, std::vector<std::string> words);
};

}  // namespace transducer
