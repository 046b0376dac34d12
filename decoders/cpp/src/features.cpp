#include "features.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace transducer {

namespace {

// A frame that the end of a trace misses by rounding alone is not another frame.
constexpr double kFrameTolerance = 1e-6;
constexpr double kMaxSeconds = 20;

struct Place {
  double x, y;
};

// The points that are the last of their time.
std::vector<Point> distinct_times(const std::vector<Point>& points) {
  std::vector<Point> distinct;
  for (size_t n = 0; n < points.size(); ++n) {
    if (n + 1 == points.size() || points[n + 1].t > points[n].t) distinct.push_back(points[n]);
  }
  return distinct;
}

// Places every 25 ms from the first point on, by linear interpolation in time; the last is the last point's.
std::vector<Place> resample(const std::vector<Point>& points) {
  const std::vector<Point> known = distinct_times(points);
  const double begin = points.front().t;
  const auto seconds = [&](size_t n) { return (known[n].t - begin) / 1000; };
  const int frames = int(std::ceil(seconds(known.size() - 1) / kFrameSeconds - kFrameTolerance)) + 1;
  std::vector<Place> path;
  size_t after = 0;
  for (int frame = 0; frame < frames; ++frame) {
    const double time = frame * kFrameSeconds;
    while (after < known.size() && seconds(after) <= time) ++after;
    if (after == 0 || after == known.size()) {
      const Point& end = after == 0 ? known.front() : known.back();
      path.push_back({end.x, end.y});
      continue;
    }
    const Point &one = known[after - 1], &other = known[after];
    const double share = time - seconds(after - 1), whole = seconds(after) - seconds(after - 1);
    path.push_back({one.x + (other.x - one.x) / whole * share, one.y + (other.y - one.y) / whole * share});
  }
  return path;
}

}  // namespace

Layout Layout::of(const std::vector<Row>& rows, double columns, double aspect) {
  Layout layout{"", {}, {}, columns, columns * aspect};
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t key = 0; key < rows[row].keys.size(); ++key) {
      layout.x.push_back(rows[row].offset + double(key) + 0.5);
      layout.y.push_back((double(row) + 0.5) * layout.height / double(rows.size()));
    }
    layout.keys += rows[row].keys;
  }
  return layout;
}

Layout Layout::arranged(const std::string& slots) const {
  Layout layout{slots, {}, {}, width, height};
  for (const char letter : slots) {
    const size_t place = keys.find(letter);
    if (place == std::string::npos) {
      throw Error("bad-layout",
                  std::string("The layout has no key '") + letter + "', which the model needs; add the key.");
    }
    layout.x.push_back(x[place]);
    layout.y.push_back(y[place]);
  }
  return layout;
}

void require_swipe(const std::vector<Point>& points) {
  if (points.empty()) throw Error("empty-trace", "The trace has no points; give the points of one swipe.");
  if (points.size() == 1) {
    throw Error("single-point", "The trace is a single point, which is a tap; give two points or more.");
  }
  for (size_t n = 0; n < points.size(); ++n) {
    const Point& point = points[n];
    if (!std::isfinite(point.x) || !std::isfinite(point.y) || !std::isfinite(point.t)) {
      throw Error("bad-trace", "A coordinate or time of the trace is not a finite number; leave that point out.");
    }
    if (point.x < 0 || point.x > 1 || point.y < 0 || point.y > 1) {
      throw Error("bad-trace",
                  "A point lies outside the letter area, whose x and y go from 0 to 1; hold it to the edge.");
    }
    if (n && point.t < points[n - 1].t) {
      throw Error("bad-trace", "Time runs backwards in the trace; give the points in the order of their times.");
    }
  }
  if (points.back().t - points.front().t > kMaxSeconds * 1000) {
    throw Error("bad-trace", "The trace lasts longer than 20 s; give t in milliseconds, one swipe at a time.");
  }
}

Matrix swipe_features(const std::vector<Point>& points, const Layout& layout) {
  std::vector<Place> path = resample(points);
  for (Place& place : path) place = {place.x * layout.width, place.y * layout.height};
  const int frames = int(path.size()), keys = int(layout.keys.size());
  Matrix features{{}, frames, kKinematics + keys};
  features.values.reserve(size_t(frames) * features.columns);
  for (int frame = 0; frame < frames; ++frame) {
    // The parabola fitted to five frames; those beyond an end repeat it.
    const auto at = [&](int shift) { return path[std::clamp(frame + shift, 0, frames - 1)]; };
    const Place here = at(0);
    const auto velocity = [](double a, double b, double d, double e) {
      return (2 * (e - a) + (d - b)) / (10 * kFrameSeconds);
    };
    const auto acceleration = [](double a, double b, double c, double d, double e) {
      return (2 * (e + a) - (d + b) - 2 * c) / (7 * kFrameSeconds * kFrameSeconds);
    };
    const double vx = velocity(at(-2).x, at(-1).x, at(1).x, at(2).x);
    const double vy = velocity(at(-2).y, at(-1).y, at(1).y, at(2).y);
    const double ax = acceleration(at(-2).x, at(-1).x, here.x, at(1).x, at(2).x);
    const double ay = acceleration(at(-2).y, at(-1).y, here.y, at(1).y, at(2).y);
    const double squared = vx * vx + vy * vy, motion = std::sqrt(squared + 1);
    for (const double value :
         {2 * here.x / layout.width - 1, 2 * here.y / layout.height - 1, vx / 10, vy / 10,
          std::log1p(std::sqrt(squared)), ax / 100, ay / 100, vx / motion, vy / motion,
          (vx * ay - vy * ax) / (squared + 25) / 10, frame * kFrameSeconds, (frames - 1 - frame) * kFrameSeconds}) {
      features.values.push_back(float(value));
    }
    for (int key = 0; key < keys; ++key) {
      const double dx = here.x - layout.x[key], dy = here.y - layout.y[key];
      features.values.push_back(float(std::exp(-(dx * dx + dy * dy) / (2 * kProximityWidth * kProximityWidth))));
    }
  }
  return features;
}

}  // namespace transducer
