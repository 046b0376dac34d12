"""Synthetic swipes: a finger that goes from key to key as people's do, in the style of a user, on some touch screen.

Example:
    user = User.draw(np.random.default_rng(7))
    points = user.swipe("hello", layout, np.random.default_rng(8))

A word is a row of corners, one for each key. Where a corner lies beside its key, how long the way to the next one
takes, how fast the finger passes it and how soon a stroke reaches its highest speed are drawn from distributions
fitted to 57,082 swipes of 962 people (How-We-Swipe, train split; `make swipe-realism` compares both). The path
between corners is a cubic Hermite curve, its speed a minimum-jerk pulse upon what is left from the corners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transducer.swipe.keyboard import Doubles, Layout
from transducer.swipe.strokes import Corners, travelled

# Seconds from key to key of an average user; rush is the logarithm of this over a trace's own.
PACE = 0.29

# By how far the way turns at a key, in degrees: the speed there over the mean speed, how its logarithm grows with
# rush, and that logarithm's standard deviation.
TURNS = (0.0, 25.0, 57.0, 90.0, 120.0, 150.0, 180.0)
CORNER_SPEEDS = (1.5, 0.70, 0.45, 0.26, 0.19, 0.13, 0.11)
CORNER_RUSH = (0.15, 0.7, 0.8, 0.8, 0.55, 0.45, 0.4)
CORNER_SPREAD = (0.7, 1.1, 1.0, 1.0, 0.95, 0.95, 1.0)

# Distance in key widths beyond a corner, away from the turn's inside, and forward along the way.
OVERSHOOT = (0.0, 0.04, 0.09, 0.14, 0.13, 0.14, 0.14)
FORWARD = (0.0, 0.15, 0.15, 0.12, 0.06, 0.0, 0.0)
ASIDE = (0.22, 0.30, 0.30, 0.28, 0.29, 0.31, 0.33)
ALONG = (0.10, 0.40, 0.42, 0.40, 0.33, 0.28, 0.27)

# Log seconds of a segment: constant, for each doubling of 1 + its length, at the end, for each 1 - cos of the turn
# before and after it, for each logarithm of the number of keys, after a letter that comes twice. LEAST is added.
LEAST = 0.035
SEGMENT = (-1.98, 0.32, 0.06, -0.06, 0.02, 0.145, 0.42)


@dataclass(frozen=True)
class User:
    """How one person swipes; lengths in key widths, times in seconds.

    pace: logarithm of how much longer than others they take.
    sloppiness: factor of how far from the keys the corners lie.
    bias: [2], where the finger lands beside where it is meant to.
    bow: how far strokes bend to one side, as a share of their length.
    slop: distance before the screen reports that a finger moves.
    still: probability of a report of a finger that has not moved.
    interval, jitter, loss: between two reports, its standard deviation, and the share of reports that are missing.
    pixels: of the screen for each key width.
    """

    pace: float
    sloppiness: float
    bias: Doubles
    bow: float
    slop: float
    still: float
    interval: float
    jitter: float
    loss: float
    pixels: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "User":
        """Return a random user."""
        return User(
            pace=rng.normal(0.0, 0.48),
            sloppiness=rng.lognormal(0.0, 0.25),
            bias=rng.normal((0.05, 0.02), 0.11),
            bow=rng.normal(0.0, 0.02),
            slop=rng.choice([0.0, rng.lognormal(-2.3, 0.6)], p=[0.3, 0.7]),
            still=rng.choice([0.0, 1.0], p=[0.4, 0.6]) * rng.beta(1, 2),
            interval=rng.choice([1 / 60, rng.uniform(0.008, 0.022)], p=[0.93, 0.07]),
            jitter=rng.uniform(0.0001, 0.0008),
            loss=rng.beta(1.3, 25),
            pixels=rng.uniform(34.0, 43.0),
        )

    def swipe(self, word: str, layout: Layout, rng: np.random.Generator) -> Doubles:
        """Return one swipe of a word, [N, 3]: x and y in [0, 1], time in whole milliseconds from 0 on."""
        centres = layout.centres_of(word)
        repeated = np.append(False, (np.diff(centres, axis=0) == 0).all(axis=1))
        keys = centres[~repeated]
        twice = np.bincount(np.cumsum(~repeated) - 1, repeated) > 0
        if len(keys) == 1:  # no way to go: the finger slips
            keys, twice = keys[[0, 0]] + rng.normal(0.0, 0.1, (2, 2)), twice[[0, 0]]
        pace = self.pace + rng.normal(0.0, 0.17)
        corners = Corners.of(keys)
        seconds = self._seconds(corners, twice, pace, rng)
        rush = float(np.clip(np.log(PACE * len(seconds) / seconds.sum()), -1.5, 1.2))
        landed = keys + self._offsets(corners, layout, rush, rng)
        times, path = travelled(
            landed, seconds, self._speeds(corners, seconds, rush, rng), self._bows(seconds, rng), rng
        )
        return self._reported(times, path, layout, rng)

    def _seconds(self, corners: Corners, twice: NDArray[np.bool_], pace: float, rng: np.random.Generator) -> Doubles:
        """Return how long each segment takes, [keys - 1]."""
        constant, fitts, last, before, after, many, again = SEGMENT
        logs = constant + fitts * np.log2(1 + corners.lengths) + many * np.log(len(twice)) + again * twice[:-1]
        logs[-1] += last
        logs[1:] += before * corners.sharpness
        logs[:-1] += after * corners.sharpness
        return np.asarray(LEAST + 0.85 * np.exp(logs + pace + rng.standard_t(8, len(logs)) * 0.33))

    def _offsets(self, corners: Corners, layout: Layout, rush: float, rng: np.random.Generator) -> Doubles:
        """Return where each corner lies beside its key, [keys, 2]."""
        count = len(corners.directions) + 1
        scale = self.sloppiness * rng.lognormal(0.0, 0.2)
        noise = rng.standard_t(6, (count, 2)) * 0.79 * scale
        row = (corners.keys[:, 1] / layout.size[1] - 0.5) * 3  # from -1 in the top row to 1 in the bottom row
        offsets = np.repeat(self.bias[None], count, axis=0)
        forward, aside = corners.directions, corners.directions[:, ::-1] * (1, -1)
        offsets[0] += forward[0] * (noise[0, 0] * 0.22 - 0.08) + aside[0] * noise[0, 1] * 0.19
        offsets[0] *= np.exp(0.13 * rush)
        offsets[0, 1] += 0.11 + 0.04 * row[0]
        last = forward[-1] * (noise[-1, 0] * 0.42 + 0.18) + aside[-1] * noise[-1, 1] * 0.31
        offsets[-1] += last * np.exp(0.25 * rush)
        offsets[-1, 1] += 0.17 + 0.1 * row[-1]
        if count > 2:
            turns = np.degrees(np.arccos(1 - corners.sharpness))
            scales = np.exp(0.3 * rush)
            inside = noise[1:-1, 0] * np.interp(turns, TURNS, ASIDE) * scales - np.interp(turns, TURNS, OVERSHOOT)
            inside += 0.1 * rush + self._shortcuts(corners, turns, rush, rng)
            along = noise[1:-1, 1] * np.interp(turns, TURNS, ALONG) * scales + np.interp(turns, TURNS, FORWARD)
            offsets[1:-1] += inside[:, None] * corners.inwards + along[:, None] * corners.tangents
            offsets[1:-1, 1] += np.interp(row[1:-1], (-1.0, 0.0, 1.0), (0.17, 0.11, -0.10))
        return offsets

    @staticmethod
    def _shortcuts(corners: Corners, turns: Doubles, rush: float, rng: np.random.Generator) -> Doubles:
        """Return by how much a corner is cut where the finger does not go all the way, [keys - 2]."""
        cut = rng.random(len(turns)) < min(0.055 * np.exp(1.0 * rush), 0.25)
        room = 0.9 * np.minimum(corners.lengths[:-1], corners.lengths[1:])
        return np.asarray(cut * np.minimum(0.3 + rng.exponential(1.0, len(turns)) * turns / 150, room))

    def _speeds(self, corners: Corners, seconds: Doubles, rush: float, rng: np.random.Generator) -> Doubles:
        """Return the speed at each corner, [keys], in key widths a second."""
        turns = np.degrees(np.arccos(1 - corners.sharpness))
        mean = (corners.lengths[:-1] + corners.lengths[1:]) / (seconds[:-1] + seconds[1:])
        logs = np.log(np.interp(turns, TURNS, CORNER_SPEEDS)) + rush * np.interp(turns, TURNS, CORNER_RUSH)
        logs += rng.normal(size=len(turns)) * np.interp(turns, TURNS, CORNER_SPREAD)
        first = corners.lengths[0] / seconds[0] * rng.lognormal(-2.1, 0.9)
        last = corners.lengths[-1] / seconds[-1] * rng.lognormal(-2.6, 1.2)
        return np.concatenate([[first], mean * np.exp(np.minimum(logs, 1.0)), [last]])

    def _bows(self, seconds: Doubles, rng: np.random.Generator) -> Doubles:
        """Return how far each segment bends to the side, [keys - 1], as a share of its length."""
        return self.bow + rng.standard_t(3, len(seconds)) * 0.045

    def _reported(self, times: Doubles, path: Doubles, layout: Layout, rng: np.random.Generator) -> Doubles:
        """Return what the screen reports of a path [N, 2] at `times`."""
        ticks = np.arange(rng.uniform(0.3, 1.0), times[-1] / self.interval) * self.interval
        ticks = ticks[(rng.random(len(ticks)) > self.loss) & (ticks > 0.004) & (ticks < times[-1])]
        when = np.concatenate([[0.0], ticks, [times[-1]]])
        place = np.column_stack([np.interp(when, times, path[:, axis]) for axis in (0, 1)])
        place = np.round(place * self.pixels) / self.pixels
        moved = np.linalg.norm(place - place[0], axis=1) > self.slop
        begun = np.maximum.accumulate(moved) | (self.slop == 0)
        still = np.append(False, (np.diff(place, axis=0) == 0).all(axis=1))
        reports = begun & (~still | (rng.random(len(still)) < self.still))
        reports[[0, -1]] = True
        # The finger leaves a little after its last report.
        place[-1] = place[np.flatnonzero(reports)[-2]]
        # A report's time is a little off, so that speeds are, too.
        when[1:-1] = np.clip(when[1:-1] + rng.normal(0.0, self.jitter, len(ticks)), 0.001, times[-1])
        inside = np.clip(place[reports] / layout.size, 0.0, 1.0)
        return np.column_stack([inside, np.round(np.maximum.accumulate(when[reports]) * 1000)])
