"""The features of a swipe: what the encoder sees of a trace, in training and in every runtime.

Example:
    layout, _ = read_layout(Path("configs/layouts/qwerty.json"))
    frames = swipe_features(points, layout)   # float32 [T, 12 + keys]

A trace is resampled to one frame every 25 ms by linear interpolation in time, so that a screen's sampling rate does
not matter. Lengths are in key widths, times in seconds; velocity and acceleration are those of the parabola fitted
to five frames around each one (Savitzky-Golay), the frames beyond either end repeating the end. Everything is
computed in float64 and rounded to float32 at last. Dimensions:

| index | feature | unit |
|---|---|---|
| 0, 1 | x, y: -1 at the left and upper edge of the letter area, 1 at the other | half the area |
| 2, 3 | velocity along x, y | 10 key widths/s |
| 4 | ln(1 + speed) | speed in key widths/s |
| 5, 6 | acceleration along x, y | 100 key widths/s2 |
| 7, 8 | direction: velocity / sqrt(speed2 + 1), near 0 at rest and of length 1 in motion | 1 |
| 9 | turning rate: (vx ay - vy ax) / (speed2 + 25), positive clockwise, damped where the finger is slow | 10 rad/s |
| 10 | time since the first frame | s |
| 11 | time to the last frame | s |
| 12 + k | proximity of the layout's key k: exp(-d2 / (2 * 0.8^2)), d its centre's distance in key widths | 1 |
"""

import math

import numpy as np

from transducer.core.contracts import Floats
from transducer.swipe.keyboard import Doubles, Layout

# Of what is computed here: a decoder that has learnt another version must refuse the model.
VERSION = 1
FRAME_SECONDS = 0.025
# A frame that the end of a trace misses by rounding alone is not another frame.
FRAME_TOLERANCE = 1e-6
PROXIMITY_WIDTH = 0.8
KINEMATICS = 12


def feature_count(layout: Layout) -> int:
    """Return the number of features F of one frame."""
    return KINEMATICS + len(layout.keys)


def swipe_features(points: Doubles, layout: Layout) -> Floats:
    """Return a trace's features, float32 [T, F].

    Args:
        points: [N, 3], N >= 1: x and y in [0, 1] of the letter area, and time in milliseconds, never decreasing.
    """
    path = resample(points) * layout.size
    velocity, acceleration = derivatives(path)
    squared = (velocity**2).sum(axis=1)
    turning = velocity[:, 0] * acceleration[:, 1] - velocity[:, 1] * acceleration[:, 0]
    elapsed = np.arange(len(path)) * FRAME_SECONDS
    distances = ((path[:, None] - layout.centres) ** 2).sum(axis=2)
    columns = [
        2 * path / layout.size - 1,
        velocity / 10,
        np.log1p(np.sqrt(squared))[:, None],
        acceleration / 100,
        velocity / np.sqrt(squared + 1)[:, None],
        (turning / (squared + 25))[:, None] / 10,
        elapsed[:, None],
        elapsed[::-1, None],
        np.exp(-distances / (2 * PROXIMITY_WIDTH**2)),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def resample(points: Doubles) -> Doubles:
    """Return x and y at every 25 ms from the first point on, float64 [T, 2]; the last frame is the last point.

    Of points at one and the same time the last counts.
    """
    distinct = distinct_times(points)
    known = (distinct[:, 2] - points[0, 2]) / 1000
    frames = math.ceil(known[-1] / FRAME_SECONDS - FRAME_TOLERANCE) + 1
    times = np.arange(frames) * FRAME_SECONDS
    return np.stack([np.interp(times, known, distinct[:, axis]) for axis in (0, 1)], axis=1)


def distinct_times(points: Doubles) -> Doubles:
    """Return the points [N, 3] that are the last of their time."""
    return points[np.append(np.diff(points[:, 2]) > 0, True)]


def derivatives(path: Doubles) -> tuple[Doubles, Doubles]:
    """Return the velocity and acceleration of a path [T, 2] at every frame, in its unit and seconds."""
    before, here, after = path[:1], path, path[-1:]
    padded = np.concatenate([before, before, here, after, after])
    p = [padded[shift : shift + len(path)] for shift in range(5)]
    velocity = (2 * (p[4] - p[0]) + (p[3] - p[1])) / (10 * FRAME_SECONDS)
    acceleration = (2 * (p[4] + p[0]) - (p[3] + p[1]) - 2 * p[2]) / (7 * FRAME_SECONDS**2)
    return velocity, acceleration
