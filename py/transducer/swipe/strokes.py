"""The way of a finger past corners: the curve between them, and where on it the finger is at what time.

Example:
    times, path = travelled(corners, seconds, speeds, bows, rng)
"""

from dataclasses import dataclass

import numpy as np

from transducer.swipe.keyboard import Doubles

# Samples of a segment's curve and of its times.
CURVE = np.linspace(0.0, 1.0, 25)[:, None]
TIMES = np.linspace(0.0, 1.0, 81)

# Log seconds of the pulse in a segment's speed, as a minimum-jerk movement over its whole length would take: constant,
# for each doubling of 1 + the length, for each logarithm of the segment's seconds, standard deviation.
PULSE = (-1.13, 0.156, 0.48, 0.25)

# Largest share of a way that is gone at an even speed; most have far less.
CREEP = 0.05

# Largest share of the rest that goes in a pulse over the whole segment.
BROAD = 0.1

# When the middle of a pulse comes, as a share of the segment: in the first segment, in others, in the last.
MIDDLES = (0.52, 0.49, 0.42)


@dataclass(frozen=True)
class Corners:
    """The straight ways between keys [keys, 2], and how they turn at all but the first and last.

    lengths, directions: [keys - 1] and [keys - 1, 2] of the ways.
    sharpness: [keys - 2], 1 - cos of the turn: 0 straight on, 2 straight back.
    inwards, tangents: [keys - 2, 2], to the turn's inside, and along it.
    """

    keys: Doubles
    lengths: Doubles
    directions: Doubles
    sharpness: Doubles
    inwards: Doubles
    tangents: Doubles

    @staticmethod
    def of(keys: Doubles) -> "Corners":
        """Return the corners of a way past keys [keys, 2], two or more, of which no two in a row are the same."""
        ways = np.diff(keys, axis=0)
        lengths = np.linalg.norm(ways, axis=1)
        directions = ways / lengths[:, None]
        before, after = directions[:-1], directions[1:]
        sharpness = np.clip(1 - (before * after).sum(axis=1), 0.0, 2.0)
        tangents = unit(before + after, before[:, ::-1] * (1, -1))
        return Corners(keys, lengths, directions, sharpness, unit(after - before, before[:, ::-1] * (1, -1)), tangents)


def unit(vectors: Doubles, instead: Doubles) -> Doubles:
    """Return vectors [N, 2] at length 1, and `instead` of those that have hardly any."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 0.05, vectors / np.maximum(lengths, 0.05), instead)


def travelled(
    corners: Doubles, seconds: Doubles, speeds: Doubles, bows: Doubles, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Return times [N] in seconds and the finger's place [N, 2] at each, past corners [M + 1, 2].

    Args:
        seconds: [M], from each corner to the next.
        speeds: [M + 1], at the corners, in key widths a second.
        bows: [M], how far a way bends to the side, as a share of its length.
    """
    curves = curved(corners, bows, rng)
    steps = np.linalg.norm(np.diff(curves, axis=1), axis=2)
    lengths = steps.sum(axis=1) + 1e-6
    ways = gone(lengths, seconds, np.column_stack([speeds[:-1], speeds[1:]]), rng)
    begins, passed = np.cumsum(seconds) - seconds, np.cumsum(lengths) - lengths
    times = (begins[:, None] + seconds[:, None] * TIMES).ravel()
    way = (passed[:, None] + ways).ravel()
    arc = (passed[:, None] + np.cumsum(steps, axis=1)).ravel()
    path = [np.interp(way, np.append(0.0, arc), np.append(corners[0, axis], curves[:, 1:, axis])) for axis in (0, 1)]
    return times, np.column_stack(path)


def curved(corners: Doubles, bows: Doubles, rng: np.random.Generator) -> Doubles:
    """Return the cubic Hermite curve of each segment, [M, 25, 2], with short tangents at sharp corners."""
    ways = np.diff(corners, axis=0)
    lengths = np.linalg.norm(ways, axis=1, keepdims=True) + 1e-6
    directions = ways / lengths
    before, after = directions[:-1], directions[1:]
    cosine = np.sqrt(np.maximum(1 + (before * after).sum(axis=1, keepdims=True), 0.0) / 2)
    sides = before[:, ::-1] * (1, -1) * rng.choice([-1.0, 1.0], (len(before), 1))
    inner = unit(before + after, sides) * (1.05 * cosine + 0.45) * rng.lognormal(0.0, 0.5, cosine.shape)
    tangents = np.concatenate([directions[:1], inner, directions[-1:]])
    # Long segments are straighter.
    supple = lengths * (lengths / 1.7) ** -0.25
    x, begins, ends = CURVE, corners[:-1, None], corners[1:, None]
    curves = (1 + 2 * x) * (1 - x) ** 2 * begins + x**2 * (3 - 2 * x) * ends
    curves += x * (1 - x) ** 2 * (tangents[:-1] * supple)[:, None] + x**2 * (x - 1) * (tangents[1:] * supple)[:, None]
    aside = directions[:, ::-1] * (1, -1) * bows[:, None] * supple
    return np.asarray(curves + 16 * x**2 * (1 - x) ** 2 * aside[:, None])


def gone(lengths: Doubles, seconds: Doubles, speeds: Doubles, rng: np.random.Generator) -> Doubles:
    """Return the way gone in each segment, [M, N], at its times from 0 to its end; `lengths` [M] at the end.

    The speeds [M, 2] at both ends die away by the square, a little of the way is crept all along, and minimum-jerk
    pulses, a broad one and a narrow one, make up for the rest.
    """
    count, x = len(lengths), TIMES[None]
    ends = speeds * np.minimum(1.0, 0.8 * lengths / (speeds.sum(axis=1) * seconds / 3 + 1e-9))[:, None]
    rest = lengths - ends.sum(axis=1) * seconds / 3
    crept = CREEP * rng.random(count) ** 3 * rest
    broad = BROAD * rng.random(count) ** 3 * (rest - crept)
    rest = rest - crept - broad
    constant, far, long, spread = PULSE
    logs = constant + far * np.log2(1 + lengths) + long * np.log(seconds) + rng.normal(0.0, spread, count)
    peaks = np.maximum(1.875 * (lengths / np.exp(logs) - broad / seconds) - ends.mean(axis=1) / 4, 1e-9)
    widths = np.clip(1.875 * rest / peaks / seconds, 0.15, 1.0)
    middles = np.full(count, MIDDLES[1])
    middles[-1], middles[0] = MIDDLES[2], MIDDLES[0]
    deviations = 0.10 + 0.04 * np.clip(np.log(seconds / 0.2), 0.0, 2.5)
    centres = np.clip(rng.normal(middles, deviations), widths / 2, 1 - widths / 2)
    pulses = np.clip((x - centres[:, None]) / widths[:, None] + 0.5, 0.0, 1.0)
    ways = seconds[:, None] / 3 * (ends[:, :1] * (1 - (1 - x) ** 3) + ends[:, 1:] * x**3)
    ways += crept[:, None] * x + broad[:, None] * minimum_jerk(x) + rest[:, None] * minimum_jerk(pulses)
    return np.asarray(ways * (lengths / ways[:, -1])[:, None])


def minimum_jerk(x: Doubles) -> Doubles:
    """Return the share of the way at a share x in [0, 1] of the time, by the least change of acceleration."""
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))
