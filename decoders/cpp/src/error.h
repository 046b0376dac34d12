// What a decoder says of bad input: one sentence, and a code by which an app tells one kind from another.
#pragma once

#include <stdexcept>
#include <string>

namespace transducer {

class Error : public std::runtime_error {
 public:
  // code: one of docs/decoders.md, as "bad-trace".
  Error(std::string code, const std::string& sentence) : std::runtime_error(sentence), code_(std::move(code)) {}

  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

}  // namespace transducer
