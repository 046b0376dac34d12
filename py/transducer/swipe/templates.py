"""Swipe recognition by templates, the geometric baseline: the location channel of SHARK2 (Kristensson and Zhai 2004).

Example:
    baseline = Templates(words, layout)
    best = baseline.decode(points, 5)

A word's template is the straight path through its keys. Trace and template are resampled to equally many points,
equally far apart, and compared point by point. SHARK2's shape channel, which ignores where a path lies, adds
nothing on a keyboard that does not move.
"""

from collections.abc import Sequence

import numpy as np

from transducer.swipe.keyboard import Doubles, Layout
from transducer.swipe.lexicon import log_prior

POINTS = 48
# How far, in key widths, a word's first and last key may lie from the ends of the trace.
REACH = 1.8
# Standard deviation of a point's distance in key widths, and how many independent points a path counts as.
SIGMA = 0.5
EVIDENCE = 8.0


class Templates:
    """The templates of a lexicon, the most frequent word first."""

    def __init__(self, words: Sequence[str], layout: Layout) -> None:
        paths = [layout.centres_of(word) for word in words]
        indices = [index for index, path in enumerate(paths) if len(path)]
        self._words = [words[index] for index in indices]
        self._paths = np.stack([equidistant(paths[index]) for index in indices]).astype(np.float32)
        self._prior = log_prior(np.array(indices))
        self._layout = layout

    def decode(self, points: Doubles, count: int) -> list[str]:
        """Return the likeliest `count` words of a trace [N, 3], the best first, fewer where few are in reach."""
        path = equidistant(points[:, :2] * self._layout.size).astype(np.float32)
        ends = np.linalg.norm(self._paths[:, [0, -1]] - path[[0, -1]], axis=2)
        near = (ends < REACH).all(axis=1).nonzero()[0]
        squared = ((self._paths[near] - path) ** 2).sum(axis=2).mean(axis=1)
        scores = self._prior[near] - EVIDENCE * squared / (2 * SIGMA**2)
        return [self._words[near[index]] for index in np.argsort(-scores, kind="stable")[:count]]


def equidistant(path: Doubles) -> Doubles:
    """Return POINTS points equally far apart along a path [N, 2]."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.append(0.0, np.cumsum(steps))
    at = np.linspace(0.0, along[-1], POINTS)
    return np.stack([np.interp(at, along, path[:, axis]) for axis in (0, 1)], axis=1)
