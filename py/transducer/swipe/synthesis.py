"""Synthetic swipes: minimum-jerk movements from key to key, in the style of a user, on some touch screen.

Example:
    user = User.draw(np.random.default_rng(7))
    points = user.swipe("hello", layout, np.random.default_rng(8))

A swipe is a sum of straight minimum-jerk strokes, one for each pair of keys (Flash and Hogan 1985), each begun
before the one before has ended, which rounds the corners (Flash and Henis 1991). A stroke takes the longer the
farther it goes (Fitts' law). Users differ in speed, rounding, aim, overshoot, pauses, tremor and screen; the motor
noise of real hands is richer than this.
"""

from dataclasses import dataclass

import numpy as np

from transducer.swipe.keyboard import Doubles, Layout

SCREEN_RATES = (60.0, 90.0, 120.0)


@dataclass(frozen=True)
class User:
    """How one person swipes; lengths in key widths, times in seconds.

    bias: [2], where the finger lands beside where it is meant to.
    scatter: standard deviation of a landing around that; that of the first letter is half as wide.
    cutting: how far a letter that the path only turns at is pulled to the middle of its neighbours, 0 to 1.
    overshoot: share of a stroke's length by which it goes too far, on average.
    overlap: share of a stroke that is left when the next begins.
    stroke, fitts: duration of a stroke, at no distance and for each doubling of the distance.
    rhythm: standard deviation of the logarithm of a stroke's duration.
    dwell: how long a finger stays on a letter that comes twice.
    tremor, tremor_hz: amplitude and frequency of the hand's tremor.
    wander: standard deviation of slow drift along the path.
    rate, jitter: samples a second of the screen, and standard deviation of their times in seconds.
    noise: standard deviation of the screen's error.
    """

    bias: Doubles
    scatter: float
    cutting: float
    overshoot: float
    overlap: float
    stroke: float
    fitts: float
    rhythm: float
    dwell: float
    tremor: float
    tremor_hz: float
    wander: float
    rate: float
    jitter: float
    noise: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "User":
        """Return a random user."""
        haste = rng.lognormal(0.0, 0.3)
        return User(
            bias=rng.normal(0.0, (0.10, 0.16)),
            scatter=rng.uniform(0.14, 0.32),
            cutting=rng.beta(2, 4) * 0.6,
            overshoot=rng.normal(0.02, 0.04),
            overlap=rng.uniform(0.1, 0.45),
            stroke=0.09 * haste,
            fitts=0.06 * haste,
            rhythm=rng.uniform(0.1, 0.3),
            dwell=rng.choice([0.0, rng.uniform(0.05, 0.2)]),
            tremor=rng.uniform(0.005, 0.03),
            tremor_hz=rng.uniform(7.0, 12.0),
            wander=rng.uniform(0.02, 0.10),
            rate=rng.choice(SCREEN_RATES),
            jitter=rng.choice([0.0, rng.uniform(0.0003, 0.002)]),
            noise=rng.uniform(0.003, 0.015),
        )

    def swipe(self, word: str, layout: Layout, rng: np.random.Generator) -> Doubles:
        """Return one swipe of a word, [N, 3]: x and y in [0, 1], time in whole milliseconds from 0 on."""
        aims, dwells = self._aims(word, layout, rng)
        begins, durations = self._strokes(aims, dwells, rng)
        times = self._sample_times(begins[-1] + durations[-1] + dwells[-1], rng)
        # Minimum jerk: each stroke's share of its way, at every time.
        share = np.clip((times[:, None] - begins) / durations, 0.0, 1.0)
        path = aims[0] + (share**3 * (10 - 15 * share + 6 * share**2)) @ np.diff(aims, axis=0)
        path += self._unrest(times, rng)
        inside = np.clip(path / layout.size, 0.0, 1.0)
        return np.column_stack([inside, np.round(times * 1000)])

    def _aims(self, word: str, layout: Layout, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
        """Return where the strokes begin and end [M + 1, 2], and how long the finger stays there [M + 1]."""
        centres = layout.centres_of(word)
        repeated = np.append(False, (np.diff(centres, axis=0) == 0).all(axis=1))
        aims = centres[~repeated]
        dwells = np.asarray(np.bincount(np.cumsum(~repeated) - 1, repeated) * self.dwell, dtype=np.float64)
        scatter = np.full((len(aims), 1), self.scatter)
        scatter[0] /= 2
        steps = np.diff(aims, axis=0, prepend=aims[:1])
        landed = aims + self.bias + steps * rng.normal(self.overshoot, 0.03, (len(aims), 1))
        if len(aims) > 2:
            middle = (aims[:-2] + aims[2:]) / 2
            landed[1:-1] += (middle - aims[1:-1]) * self.cutting * rng.uniform(0.3, 1.0, (len(middle), 1))
        landed += rng.normal(size=aims.shape) * scatter
        if len(landed) == 1:  # no way to go: the finger slips
            landed = np.concatenate([landed, landed + rng.normal(0.0, 0.1, (1, 2))])
            dwells = np.append(dwells, 0.0)
        return landed, dwells

    def _strokes(self, aims: Doubles, dwells: Doubles, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
        """Return when each stroke begins, and how long it takes."""
        lengths = np.linalg.norm(np.diff(aims, axis=0), axis=1)
        durations = self.stroke + self.fitts * np.log2(1 + lengths)
        durations *= rng.lognormal(0.0, self.rhythm, len(durations))
        # The first stroke waits for the finger to settle; a pause also undoes the rounding of its corner.
        pauses = np.where(dwells[1:-1] > 0, dwells[1:-1], -self.overlap * np.minimum(durations[:-1], durations[1:]))
        begins = dwells[0] + rng.uniform(0.0, 0.05) + np.append(0.0, np.cumsum(durations[:-1] + pauses))
        return begins, durations

    def _sample_times(self, end: float, rng: np.random.Generator) -> Doubles:
        """Return when the screen reports the finger, from 0 to its last report after `end`."""
        end += rng.uniform(0.0, 0.06)
        times = np.arange(0.0, end + 1 / self.rate, 1 / self.rate)
        times = times + rng.normal(0.0, 1.0, len(times)) * self.jitter
        times = np.maximum.accumulate(times - times[0])
        kept = rng.random(len(times)) > 0.01  # a screen loses a report now and then
        kept[[0, -1]] = True
        return times[kept]

    def _unrest(self, times: Doubles, rng: np.random.Generator) -> Doubles:
        """Return tremor, drift and the screen's noise at every time, [N, 2]."""
        phases = rng.uniform(0, 2 * np.pi, 2)
        tremor = self.tremor * np.sin(2 * np.pi * self.tremor_hz * times[:, None] + phases)
        slow, offsets = rng.uniform(0.5, 2.0, 2), rng.uniform(0, 2 * np.pi, 2)
        drift = self.wander * np.sqrt(2) * np.sin(2 * np.pi * slow * times[:, None] + offsets)
        return tremor + drift + rng.normal(0.0, self.noise, (len(times), 2))
