"""What swipes look like in figures, so that synthetic ones can be compared with those of people.

Example:
    people, synthetic = statistics(traces, layout), statistics(others, layout)
    figures = {name: compared(people[name], synthetic[name]) for name in people}
"""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.swipe.keyboard import Doubles, Layout
from transducer.swipe.traces import Trace

# Seconds between the points of the path that is measured; key widths a second below which a finger stands.
STEP = 0.008
STANDING = 0.7

# Letters of short, middling and long words: from and up to.
LENGTHS = {"short": (2, 4), "middling": (5, 7), "long": (8, 99)}
ROWS = ("top", "middle", "bottom")
BINS = 30


def statistics(traces: list[Trace], layout: Layout) -> dict[str, Doubles]:
    """Return each statistic's values over all traces, or over all letters, in seconds and key widths.

    Traces of fewer than two keys are passed over.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for trace in traces:
        if all(letter in f"{layout.keys}'" for letter in trace.word):
            measure(trace, layout, values)
    return {name: np.array(entries) for name, entries in sorted(values.items())}


def measure(trace: Trace, layout: Layout, values: dict[str, list[float]]) -> None:
    """Append a trace's statistics."""
    centres = layout.centres_of(trace.word)
    if len(centres) == 0:
        return
    repeated = np.append(False, (np.diff(centres, axis=0) == 0).all(axis=1))
    keys = centres[~repeated]
    times, path = sampled(trace.points, layout)
    if len(keys) < 2 or len(path) < 4 * len(keys):
        return
    twice = np.bincount(np.cumsum(~repeated) - 1, repeated) > 0
    speeds = np.linalg.norm(np.gradient(path, times, axis=0), axis=1)
    at = aligned(path, keys)
    letters = len(centres)
    (kind,) = [name for name, (least, most) in LENGTHS.items() if least <= letters <= most]
    values[f"seconds a letter, {kind} words"].append(times[-1] / (letters - 1))
    values["median speed"].append(float(np.median(speeds)))
    values["highest speed"].append(float(speeds.max()))
    values["highest over mean speed"].append(float(speeds.max() / max(speeds.mean(), 1e-6)))
    values["share of time standing"].append(float((speeds < STANDING).mean()))
    gaps = np.diff(trace.points[1:-1, 2]) / 1000
    if len(gaps):
        values["sampling interval"].append(float(np.median(gaps)))
        values["sampling jitter"].append(float(np.mean(np.abs(gaps - np.median(gaps)))))
    values["wait before the first move"].append((trace.points[1, 2] - trace.points[0, 2]) / 1000)
    spans = np.diff(times[at])
    values["seconds from key to key"].extend(spans)
    values["seconds after a repeated letter"].extend(spans[twice[:-1]])
    place(path, keys, at, layout, values)


def place(path: Doubles, keys: Doubles, at: NDArray[np.int64], layout: Layout, values: dict[str, list[float]]) -> None:
    """Append where a path [N, 2] lies beside its keys [M, 2]; at is the point nearest to each."""
    offsets = path[at] - keys
    distances = np.linalg.norm(offsets, axis=1)
    values["distance of a letter"].extend(distances)
    values["distance of the farthest letter"].append(float(distances.max()))
    for name, offset in (("first", offsets[0]), ("last", offsets[-1])):
        values[f"{name} point to the right"].append(float(offset[0]))
        values[f"{name} point downwards"].append(float(offset[1]))
    for key, offset in zip(keys, offsets, strict=True):
        row = ROWS[min(int(key[1] / layout.size[1] * len(ROWS)), len(ROWS) - 1)]
        values[f"downwards in the {row} row"].append(float(offset[1]))
    way = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    values["way over straight way"].append(float(way / np.linalg.norm(np.diff(keys, axis=0), axis=1).sum()))
    for number in range(1, len(keys) - 1):
        inwards = keys[number - 1 : number + 2 : 2] - keys[number]
        inwards = (inwards / np.linalg.norm(inwards, axis=1, keepdims=True)).sum(axis=0)
        if (length := float(np.linalg.norm(inwards))) > 0.7:  # turns by 40 degrees or more
            begin, end = (at[number - 1] + at[number]) // 2, (at[number] + at[number + 1]) // 2 + 1
            reach = float(((path[begin:end] - keys[number]) @ inwards / length).min())
            values["corner cut"].append(max(reach, 0.0))
            values["overshoot at a corner"].append(max(-reach, 0.0))


def sampled(points: Doubles, layout: Layout) -> tuple[Doubles, Doubles]:
    """Return evenly spaced times [N] in seconds, and the path [N, 2] in key widths."""
    last = points[np.append(np.diff(points[:, 2]) > 0, True)]
    seconds = (last[:, 2] - last[0, 2]) / 1000
    times = np.linspace(0.0, seconds[-1], max(int(np.ceil(seconds[-1] / STEP)), 2) + 1)
    path = np.column_stack([np.interp(times, seconds, last[:, axis]) for axis in (0, 1)])
    return times, path * layout.size


def aligned(path: Doubles, keys: Doubles) -> NDArray[np.int64]:
    """Return the point of a path [N, 2] for each key [M, 2], in order and with the least sum of squared distances.

    The first and last keys have the first and last points.
    """
    cost = ((path[None] - keys[:, None]) ** 2).sum(axis=-1)
    cost[0, 1:] = cost[-1, :-1] = 1e9
    before = np.zeros(cost.shape, dtype=np.int64)
    for number in range(1, len(keys)):
        best = np.minimum.accumulate(cost[number - 1])
        before[number] = np.maximum.accumulate(np.where(cost[number - 1] <= best, np.arange(len(path)), 0))
        cost[number] += best
    at = np.full(len(keys), len(path) - 1, dtype=np.int64)
    for number in range(len(keys) - 1, 0, -1):
        at[number - 1] = before[number, at[number]]
    return at


def compared(people: Doubles, synthetic: Doubles) -> dict[str, Any]:
    """Return the distances of two samples of a statistic, their quartiles and histograms.

    ks: the largest difference of the distribution functions. wasserstein: the mean difference of equal quantiles, over
    the distance from the 5 % to the 95 % quantile of people's.
    """
    both = np.sort(np.concatenate([people, synthetic]))
    shares = [np.searchsorted(np.sort(sample), both, side="right") / len(sample) for sample in (people, synthetic)]
    quantiles = np.linspace(0.005, 0.995, 199)
    inner = [np.quantile(sample, quantiles) for sample in (people, synthetic)]
    low, high = np.quantile(people, (0.05, 0.95))
    least, most = (float(edge) for edge in np.quantile(people, (0.005, 0.985)))
    edges = np.linspace(least, most, BINS + 1)
    if not edges[-1] > edges[0]:
        edges = np.linspace(edges[0] - 0.5, edges[0] + 0.5, BINS + 1)
    return {
        "ks": round(float(np.abs(shares[0] - shares[1]).max()), 4),
        "wasserstein": round(float(np.abs(inner[0] - inner[1]).mean() / max(high - low, 1e-9)), 4),
        "quartiles": {
            name: np.quantile(sample, (0.05, 0.25, 0.5, 0.75, 0.95)).round(4).tolist()
            for name, sample in (("people", people), ("synthetic", synthetic))
        },
        "edges": edges.round(5).tolist(),
        **{
            name: (np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / len(sample)).round(5).tolist()
            for name, sample in (("people", people), ("synthetic", synthetic))
        },
    }
