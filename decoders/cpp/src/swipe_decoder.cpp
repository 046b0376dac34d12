#include "swipe_decoder.h"

#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "error.h"

namespace transducer {

namespace {

using nlohmann::json;

constexpr int kFormat = 1;

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error("missing-file", path + " is not there; copy the package again.");
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

// What a JSON file says, as `parse` takes it apart. Throws: Error "bad-package" naming the file.
template <typename Parse>
auto parsed(const std::string& path, Parse parse) {
  const std::string text = read_file(path);
  try {
    return parse(json::parse(text));
  } catch (const json::exception& error) {
    throw Error("bad-package", path + " is not what a package has (" + error.what() + "); package the model again.");
  }
}

Layout layout_of(const json& content) {
  std::vector<Layout::Row> rows;
  for (const json& row : content.at("rows")) rows.push_back({row.at("keys"), row.at("offset")});
  return Layout::of(rows, content.at("columns"), content.at("aspect"));
}

void require_format(const json& meta, const std::string& path) {
  if (meta.at("format") != kFormat || meta.at("task") != "swipe" || meta.at("model_type") != "rnnt") {
    throw Error("bad-package", path + " is of format " + meta.at("format").dump() + " for " +
                                   meta.at("task").get<std::string>() + ", and this decoder reads RNN-T models of swipes "
                                   "in format " + std::to_string(kFormat) + "; give another package.");
  }
  const json made = {{"version", kFeaturesVersion},
                     {"frame_seconds", kFrameSeconds},
                     {"kinematics", kKinematics},
                     {"proximity_width", kProximityWidth}};
  if (meta.at("featurizer") != made) {
    throw Error("bad-package", path + " asks for the features " + meta.at("featurizer").dump() +
                                   " and this decoder makes " + made.dump() + "; update one of them.");
  }
}

// The path of a graph's file. Throws: Error "bad-package" for a variant that is not in the package.
std::string graph_file(const json& meta, const std::string& folder, const std::string& role, const std::string& variant) {
  const json& variants = meta.at("graphs").at(role);
  if (!variants.contains(variant)) {
    std::string known;
    for (const auto& [name, _] : variants.items()) known += (known.empty() ? "" : ", ") + name;
    throw Error("bad-package", folder + " has no " + role + " in the variant " + variant + ", only " + known +
                                   "; choose one of those that end in pte.");
  }
  return folder + "/" + variants.at(variant).at("file").get<std::string>();
}

Matrix transposed(const std::vector<float>& values, int rows, int columns) {
  Matrix turned{std::vector<float>(values.size()), columns, rows};
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      turned.values[size_t(column) * rows + row] = values[size_t(row) * columns + column];
    }
  }
  return turned;
}

}  // namespace

SwipeDecoder::SwipeDecoder(const std::string& folder, const std::string& variant, const std::string& layout) {
  const std::string path = folder + "/meta/runtime_meta.json";
  std::string encoder, step, words, trie, bigrams;
  parsed(path, [&](const json& meta) {
    require_format(meta, path);
    layout_ = layout_of(meta.at("layout"));
    if (meta.at("dims").at("F") != kKinematics + int(layout_.keys.size())) {
      throw Error("bad-package", path + " has a layout of " + std::to_string(layout_.keys.size()) + " keys and " +
                                     meta.at("dims").at("F").dump() + " features, which do not go together; package the "
                                     "model again.");
    }
    blank_ = meta.at("blank_id");
    layers_ = meta.at("dims").at("L");
    width_ = meta.at("dims").at("H");
    const json& decoding = meta.at("decoding");
    options_ = {decoding.at("beam"), decoding.at("max_symbols"), decoding.at("prior_weight"),
                decoding.at("length_power"), decoding.value("threshold", std::numeric_limits<double>::infinity())};
    encoder = graph_file(meta, folder, "encoder", variant);
    step = graph_file(meta, folder, "rnnt_step", "fp32.pte");
    if (meta.at("lexicon").is_null()) {
      throw Error("bad-package", folder + " has no lexicon; give a bundled package, not a dynamic one.");
    }
    words = folder + "/" + meta.at("lexicon").at("words").get<std::string>();
    trie = folder + "/" + meta.at("lexicon").at("trie").get<std::string>();
    if (meta["lexicon"].contains("bigrams")) bigrams = folder + "/" + meta["lexicon"]["bigrams"].get<std::string>();
    return 0;
  });
  if (!layout.empty()) layout_ = parsed(layout, layout_of).arranged(layout_.keys);
  lexicon_ = Lexicon::read(read_file(trie), lines_of(read_file(words)));
  if (!bigrams.empty()) bigrams_ = Bigrams(read_file(bigrams), lexicon_.words);
  if (lexicon_.labels != blank_) {
    throw Error("bad-lexicon", trie + " is of a vocabulary of " + std::to_string(lexicon_.labels) +
                                   " labels and the model has " + std::to_string(blank_) + "; package it again.");
  }
  encoder_ = std::make_unique<Program>(encoder);
  step_ = std::make_unique<Program>(step);
  // A program takes a smaller input than it was made for, and computes something.
  const int64_t features = kKinematics + int64_t(layout_.keys.size());
  if (encoder_->size(0, 1) != features) {
    throw Error("bad-graph", encoder + " takes " + std::to_string(encoder_->size(0, 1)) + " features and the layout has " +
                                 std::to_string(features) + "; use graphs and metadata of one package.");
  }
  shortest_ = encoder_->number("min_T");
  longest_ = encoder_->number("max_T");
}

std::vector<Candidate> SwipeDecoder::decode(const std::vector<Point>& points, size_t count,
                                            const std::optional<std::string>& previous) {
  require_swipe(points);
  const Step step = [this](auto frames, auto labels, auto h, auto c) {
    return this->step(std::move(frames), std::move(labels), std::move(h), std::move(c));
  };
  const Matrix frames = encode(swipe_features(points, layout_));
  const Lift lift(lexicon_, previous ? bigrams_.gains(*previous) : Gains{});
  return beam_search(frames, step, lexicon_, blank_, layers_, width_, options_, count);
}

Matrix SwipeDecoder::encode(const Matrix& features) {
  if (features.rows < shortest_ || features.rows > longest_) {
    const bool is_short = features.rows < shortest_;
    throw Error("bad-trace", std::string("The swipe is too ") + (is_short ? "short" : "long") + ": the encoder takes " +
                                 std::to_string(shortest_) + " to " + std::to_string(longest_) + " frames of 0.025 s and it has " +
                                 std::to_string(features.rows) + "; " + (is_short ? "wait for more of it." : "cut it."));
  }
  const Matrix turned = transposed(features.values, features.rows, features.columns);
  const std::vector<Tensor> outputs = encoder_->run(
      {{{1, features.columns, features.rows}, turned.values}, {{1}, std::vector<int64_t>{features.rows}}});
  const Tensor& encoded = outputs.at(0);
  return transposed(encoded.floats(), encoded.shape.at(1), encoded.shape.at(2));
}

StepOutput SwipeDecoder::step(std::vector<float> frames, std::vector<int64_t> labels, std::vector<float> h,
                              std::vector<float> c) {
  const int batch = int(labels.size()), depth = int(frames.size()) / batch;
  std::vector<Tensor> outputs = step_->run({{{batch, depth}, std::move(frames)},
                                            {{batch}, std::move(labels)},
                                            {{layers_, batch, width_}, std::move(h)},
                                            {{layers_, batch, width_}, std::move(c)}});
  return {outputs.at(0).floats(), outputs.at(1).floats(), outputs.at(2).floats()};
}

}  // namespace transducer
