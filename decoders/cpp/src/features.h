// The features of a swipe: what the encoder sees of it. py/transducer/swipe/features.py is the specification.
//
//     const Layout layout = Layout::of(rows, columns, aspect);
//     const Matrix features = swipe_features(points, layout);
#pragma once

#include <string>
#include <vector>

namespace transducer {

// x and y in [0, 1] of the letter area, from its upper left corner; t in milliseconds.
struct Point {
  double x, y, t;
};

// Rows of float32 values, one after the other.
struct Matrix {
  std::vector<float> values;
  int rows, columns;
};

// The letter keys of a keyboard in the order of a model's features; all lengths are in key widths.
struct Layout {
  struct Row {
    std::string keys;
    double offset;
  };

  std::string keys;
  std::vector<double> x, y;  // of the keys' centres
  double width, height;      // of the letter area

  // Rows of keys one key width apart, the whole row shifted to the right by its offset.
  static Layout of(const std::vector<Row>& rows, double columns, double aspect);
  // The same keyboard with its keys in the order of a model's letters. Throws: Error "bad-layout" for one without a key.
  Layout arranged(const std::string& slots) const;
};

constexpr int kFeaturesVersion = 1;
constexpr int kKinematics = 12;  // features that are not of keys
constexpr double kFrameSeconds = 0.025;
constexpr double kProximityWidth = 0.8;

// Throws: Error "empty-trace", "single-point" or "bad-trace" for points that make no swipe.
void require_swipe(const std::vector<Point>& points);

// Features [T, kKinematics + keys] of a swipe, computed in float64 and rounded at last.
Matrix swipe_features(const std::vector<Point>& points, const Layout& layout);

}  // namespace transducer
