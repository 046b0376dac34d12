"""The prefixes that a search for words keeps, of one swipe or of several that take their steps together.

Example:
    left = merged(left, leaving, nodes=len(lexicon.word))
    rows, worst = best_rows(left.swipe, ranks, count=16, threshold=10)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.decoding.successors import best_of
from transducer.swipe.steps import Integers

Doubles = NDArray[np.float64]


@dataclass
class Prefixes:
    """A prefixes in order of their swipes, those of a swipe being different ones.

    swipe: int64 [A]
    node: in the trie, int64 [A]
    label: the last one, int64 [A]
    state: the row of the states before that label, among all that were computed in a frame, int64 [A]
    score: log probability, float64 [A]
    """

    swipe: Integers
    node: Integers
    label: Integers
    state: Integers
    score: Doubles

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Any) -> "Prefixes":
        return Prefixes(self.swipe[rows], self.node[rows], self.label[rows], self.state[rows], self.score[rows])


def merged(first: Prefixes, second: Prefixes, nodes: int) -> Prefixes:
    """Return the prefixes of both, those in both with their probabilities added: their states are the same."""
    columns = zip(vars(first).values(), vars(second).values(), strict=True)
    every = Prefixes(*(np.concatenate(pair) for pair in columns))
    keys = every.swipe * nodes + every.node
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    rows = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
    if len(rows) == len(order):
        return every[order]
    prefixes = every[order[rows]]
    prefixes.score = np.logaddexp.reduceat(every.score[order], rows)
    return prefixes


def best_rows(swipes: Integers, ranks: Doubles, count: int, threshold: float = np.inf) -> tuple[Integers, Doubles]:
    """Return the best `count` rows of each swipe within a threshold of its best, and what others must exceed [B].

    swipes: int64 [A], ascending; ranks: [A].
    """
    if swipes[0] == swipes[-1]:
        rows = np.argsort(-ranks, kind="stable")[:count]
        least, last = ranks[rows[0]] - threshold, ranks[rows[-1]]
        if last < least:
            rows = rows[~(ranks[rows] < least)]
        return rows, np.full(swipes[0] + 1, last if len(rows) == count else least)
    rows = best_of(swipes, ranks, count)
    swipes, ranks = swipes[rows], ranks[rows]
    worst = ranks[np.searchsorted(swipes, np.arange(swipes[-1] + 1))] - threshold
    near = ~(ranks < worst[swipes])
    end = np.cumsum(np.bincount(swipes[near]))
    full = np.diff(end, prepend=0) == count
    worst[full] = ranks[near][end[full] - 1]
    return rows[near], worst
