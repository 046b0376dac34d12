// A lexicon as a trie of label ids, read from trie.bin; py/transducer/swipe/trie.py describes the file.
//
//     const Lexicon lexicon = Lexicon::read(trie_bytes, words);
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
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
  std::vector<uint32_t> parent;  // [N], the root's own is the root
  std::vector<uint32_t> end;     // [words], the node at which a word ends
  int labels = 0;

  // Throws: Error "bad-lexicon" if the bytes are not a sound trie, or not one of these words.
  static Lexicon read(const std::string& bytes, std::vector<std::string> words);
};

// What the words that may follow another gain in log prior, in nats, by their index.
using Gains = std::map<int, double>;

// Raises the log prior of words as long as it lives.
class Lift {
 public:
  Lift(Lexicon& lexicon, const Gains& gains);
  ~Lift();
  Lift(const Lift&) = delete;
  Lift& operator=(const Lift&) = delete;

 private:
  Lexicon& lexicon_;
  std::vector<std::pair<uint32_t, double>> prior_, ahead_;  // what was there before, in the order of the changes
};

}  // namespace transducer
