// Swipes to words by a package's ExecuTorch programs: decode_swipes PACKAGE [VARIANT [LAYOUT.json]] < swipes.jsonl
//
// A line of input is {"points": [{"x": 0.5, "y": 0.5, "t": 0}, ...]}, as in a manifest, and it may have the word before
// as "previous". A line of output is {"words":
// [{"word": ..., "log_prob": ..., "score": ...}, ...]}, up to ten and the best first, or {"error": ..., "code": ...}.
#include <iostream>
#include <nlohmann/json.hpp>

#include "error.h"
#include "swipe_decoder.h"

namespace {

using nlohmann::json;

constexpr size_t kWords = 10;

struct Swipe {
  std::vector<transducer::Point> points;
  std::optional<std::string> previous;
};

Swipe swipe_of(const std::string& line) {
  try {
    const json content = json::parse(line);
    Swipe swipe;
    for (const json& point : content.at("points")) {
      swipe.points.push_back({point.at("x"), point.at("y"), point.at("t")});
    }
    if (content.contains("previous")) swipe.previous = content.at("previous").get<std::string>();
    return swipe;
  } catch (const json::exception&) {
    throw transducer::Error("bad-trace", "The line is not a JSON object with points of x, y and t; give one swipe a line.");
  }
}

json answer(transducer::SwipeDecoder& decoder, const std::string& line) {
  try {
    const Swipe swipe = swipe_of(line);
    json words = json::array();
    for (const transducer::Candidate& one : decoder.decode(swipe.points, kWords, swipe.previous)) {
      words.push_back({{"word", one.word}, {"log_prob", one.log_prob}, {"score", one.score}});
    }
    return {{"words", words}};
  } catch (const transducer::Error& error) {
    return {{"error", error.what()}, {"code", error.code()}};
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 4) {
    std::cerr << "error: give decode_swipes PACKAGE [VARIANT [LAYOUT.json]], and swipes on standard input.\n";
    return 2;
  }
  try {
    transducer::SwipeDecoder decoder(arguments[1], count > 2 ? arguments[2] : "xnnpack.pte",
                                     count > 3 ? arguments[3] : "");
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(decoder, line) << std::endl;
  } catch (const transducer::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
  return 0;
}
