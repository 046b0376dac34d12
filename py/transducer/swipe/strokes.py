"""The way of a finger past corners: the curve between them, and where on it the finger is at what time.

Example:
    times, path = travelled(corners, seconds, speeds, bows, rng)
"""

from dataclasses import dataclass

import numpy as np

from transducer.swipe.keyboard import Doubles

# Samples of a segment's curve, and seconds between two of its times.
CURVE = np.linspace(0.0, 1.0, 25)[:, None]
TICK = 0.004

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
    ways = np.diff(corners, axis=0)
    lengths = np.linalg.norm(ways, axis=1) + 1e-6
    directions = ways / lengths[:, None]
    tangents = bends(directions, rng)
    # Long strokes are straighter.
    supple = (lengths / 1.7) ** -0.25
    times, path, begin = [np.zeros(1)], [corners[:1]], 0.0
    for number, span in enumerate(seconds):
        curve = hermite(
            corners[number], corners[number + 1], tangents[number : number + 2] * lengths[number] * supple[number]
        )
        aside = directions[number, ::-1] * (1, -1) * bows[number] * lengths[number] * supple[number]
        curve = curve + 16 * CURVE**2 * (1 - CURVE) ** 2 * aside
        arc = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1)))
        middle = MIDDLES[0] if number == 0 else MIDDLES[2] if number == len(seconds) - 1 else MIDDLES[1]
        local, way = timed(float(arc[-1]), float(span), speeds[number : number + 2], middle, rng)
        times.append(begin + local)
        path.append(np.column_stack([np.interp(way, arc, curve[:, axis]) for axis in (0, 1)]))
        begin += span
    return np.concatenate(times), np.concatenate(path)


def bends(directions: Doubles, rng: np.random.Generator) -> Doubles:
    """Return the tangents [M + 1, 2] of the curve at the corners, for segments of length 1: short at sharp corners."""
    before, after = directions[:-1], directions[1:]
    cosine = np.sqrt(np.maximum(1 + (before * after).sum(axis=1, keepdims=True), 0.0) / 2)
    sides = before[:, ::-1] * (1, -1) * rng.choice([-1.0, 1.0], (len(before), 1))
    inner = unit(before + after, sides) * (1.05 * cosine + 0.45) * rng.lognormal(0.0, 0.5, cosine.shape)
    return np.concatenate([directions[:1], inner, directions[-1:]])


def hermite(begin: Doubles, end: Doubles, tangents: Doubles) -> Doubles:
    """Return the points [25, 2] of a cubic Hermite curve between two points [2] with tangents [2, 2]."""
    x = CURVE
    return np.asarray(
        (1 + 2 * x) * (1 - x) ** 2 * begin
        + x * (1 - x) ** 2 * tangents[0]
        + x**2 * (3 - 2 * x) * end
        + x**2 * (x - 1) * tangents[1]
    )


def timed(
    length: float, span: float, speeds: Doubles, middle: float, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Return times [N] in (0, span] and the way gone by then [N], `length` at the end.

    The speeds [2] at both ends die away by the square, a little of the way is crept all along, and a minimum-jerk
    pulse makes up for the rest.
    """
    x = np.linspace(0.0, 1.0, max(int(span / TICK), 4) + 1)
    ends = speeds * min(1.0, 0.8 * length / (speeds.sum() * span / 3 + 1e-9))
    constant, far, long, spread = PULSE
    seconds = np.exp(constant + far * np.log2(1 + length) + long * np.log(span) + rng.normal(0.0, spread))
    rest = length - ends.sum() * span / 3
    crept = CREEP * rng.random() ** 3 * rest
    rest -= crept
    broad = BROAD * rng.random() ** 3 * rest
    peak = max(1.875 * (length / seconds - broad / span) - ends.mean() / 4, 1e-9)
    rest -= broad
    width = min(max(1.875 * rest / peak / span, 0.15), 1.0)
    deviation = 0.10 + 0.04 * np.clip(np.log(span / 0.2), 0.0, 2.5)
    centre = np.clip(rng.normal(middle, deviation), width / 2, 1 - width / 2)
    way = span / 3 * (ends[0] * (1 - (1 - x) ** 3) + ends[1] * x**3) + crept * x + broad * minimum_jerk(x)
    way += rest * minimum_jerk(np.clip((x - centre) / width + 0.5, 0.0, 1.0))
    return x[1:] * span, np.asarray(way[1:] * (length / way[-1]))


def minimum_jerk(x: Doubles) -> Doubles:
    """Return the share of the way at a share x in [0, 1] of the time, by the least change of acceleration."""
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))
