"""The prefixes that a beam search keeps: their scores in rows, the alignments that led to them, and LSTM states.

Example:
    state = BeamState(beams, states, frames, settled, History(batch=2))
    rows = merged(beams)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.decoding.bias import Doubles, Integers
from transducer.decoding.greedy import Hypothesis, States

# The last label of an alignment: the number of the link before, the label, and its frame, duration and confidence.
Link = tuple[int, int, int, int, float]


class History:
    """Every prefix and alignment of a batch, each known by a number; those below `batch` are the streams' empty ones.

    Alignments are chains of links that share their beginnings; an alignment's number is that of its last link.
    """

    def __init__(self, batch: int) -> None:
        self._links: list[Link] = [(-1, -1, -1, 0, 0.0)] * batch
        self._prefixes: dict[tuple[int, int], int] = {}
        self._batch = batch

    def prefixes(self, before: Integers, labels: Integers) -> Integers:
        """Return the numbers of prefixes [A] with a label [A] after each."""
        numbers = self._prefixes
        pairs = zip(before.tolist(), labels.tolist(), strict=True)
        return np.array([numbers.setdefault(pair, self._batch + len(numbers)) for pair in pairs], np.int64)

    def alignments(self, *columns: NDArray[Any]) -> Integers:
        """Return the numbers of alignments whose last links these are, by the columns of Link."""
        start = len(self._links)
        self._links += zip(*(column.tolist() for column in columns), strict=True)
        return np.arange(start, len(self._links))

    def hypothesis(self, alignment: int, after: int) -> Hypothesis:
        """Return an alignment's labels, those after the link numbered `after`, which it goes through."""
        links = []
        while alignment != after:
            links.append(self._links[alignment])
            alignment = links[-1][0]
        links.reverse()
        _, labels, frames, durations, confidences = (
            map(list, zip(*links, strict=True)) if links else ([] for _ in range(5))
        )
        return Hypothesis(frames, labels, durations, confidences)

    def meeting(self, alignments: Sequence[int], after: int) -> int:
        """Return the last link that alignments share, all of which go through the one numbered `after`."""
        # A link is numbered later than the one before it.
        heads = set(alignments)
        while len(heads) > 1:
            latest = max(heads)
            heads = heads - {latest} | {self._links[latest][0]}
        return heads.pop() if heads else after


class Memory:
    """What the decoder knows after prefixes: g and states of DecoderState, with rows that only grow in place of B."""

    def __init__(self, prefixes: Integers, g: Any, states: States) -> None:
        self.g, self.states = g, states
        # Of each prefix by its number, -1 for one that is not known.
        self._rows = np.full(int(prefixes.max(initial=0)) + 1, -1)
        self._rows[prefixes] = np.arange(len(prefixes))
        self._used = len(g)

    def __getitem__(self, rows: Integers) -> tuple[Any, States]:
        return self.g[rows], self.states_of(rows)

    def states_of(self, rows: Integers) -> States:
        """Return the states alone."""
        return tuple(array[:, rows] for array in self.states)

    def rows(self, prefixes: Integers) -> tuple[Integers, Integers]:
        """Return the rows of prefixes [A], and the places of those that are new, one for each; `add` is to follow."""
        most = int(prefixes.max())
        if most >= len(self._rows):
            self._rows = np.append(self._rows, np.full(most, -1))
        unknown = (self._rows[prefixes] < 0).nonzero()[0]
        new = unknown[np.unique(prefixes[unknown], return_index=True)[1]]
        self._rows[prefixes[new]] = self._used + np.arange(len(new))
        return self._rows[prefixes], new

    def add(self, g: Any, states: States) -> None:
        """Add what is known after the new prefixes."""
        start, stop = self._used, self._used + len(g)
        if stop > len(self.g):
            # Room for three times as many more, so that rows are seldom copied.
            self.g, self.states = self[np.arange(4 * stop) % len(self.g)]
        self.g[start:stop] = g
        for array, added in zip(self.states, states, strict=True):
            array[:, start:stop] = added
        self._used = stop


@dataclass(frozen=True)
class Beams:
    """A prefixes of all streams.

    stream, prefix, alignment, frame: int64 [A]; the frame that comes next, counted from the chunk's first
    bias, state: state of the bias, and row of Memory, int64 [A]
    log_prob: of the model, float64 [A]
    score: log_prob and what the bias added, float64 [A]
    """

    stream: Integers
    prefix: Integers
    alignment: Integers
    frame: Integers
    bias: Integers
    state: Integers
    log_prob: Doubles
    score: Doubles

    def __getitem__(self, rows: Any) -> "Beams":
        return Beams(*(column[rows] for column in vars(self).values()))

    def __add__(self, other: "Beams") -> "Beams":
        columns = zip(vars(self).values(), vars(other).values(), strict=True)
        return Beams(*(np.concatenate(pair) for pair in columns))

    def __len__(self) -> int:
        return len(self.stream)


@dataclass(frozen=True)
class BeamState:
    """The prefixes of B streams between two chunks.

    frames: of all chunks so far, int64 [B]
    settled: the last link of the labels that were given away for good, int64 [B]
    """

    beams: Beams
    memory: Memory
    frames: Integers
    settled: Integers
    history: History


def merged(beams: Beams) -> Beams:
    """Return prefixes with the alignments at the same frame added up; the likeliest of these stays known."""
    order = np.lexsort((-beams.log_prob, beams.frame, beams.prefix))
    prefix, frame = beams.prefix[order], beams.frame[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (prefix[1:] != prefix[:-1]) | (frame[1:] != frame[:-1])
    if first.all():
        return beams
    log_prob = np.logaddexp.reduceat(beams.log_prob[order], first.nonzero()[0])
    rows = beams[order[first]]
    return replace(rows, log_prob=log_prob, score=rows.score + log_prob - rows.log_prob)
