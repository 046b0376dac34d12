// What the word before tells of a word, read from bigrams.bin; py/transducer/swipe/bigrams.py describes the file.
//
//     const Lift lift(lexicon, bigrams.gains("of"));
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "lexicon.h"

namespace transducer {

class Bigrams {
 public:
  Bigrams() = default;
  // Throws: Error "bad-lexicon" if the bytes are damaged, or not of these words.
  Bigrams(const std::string& bytes, const std::vector<std::string>& words);

  // The gains of words after another one; "" is the beginning of a sentence.
  Gains gains(const std::string& previous) const;

 private:
  std::unordered_map<std::string, int> ids_;
  std::vector<uint32_t> first_, next_;
  std::vector<uint8_t> gain_;
};

}  // namespace transducer
