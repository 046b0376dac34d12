"""The prefixes that a beam search keeps: their scores and states in rows, and the alignments that led to them.

Example:
    state = BeamState(beams, frames, streams, History(batch=2))
    best = beams[leading(beams, 8, least)]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from transducer.core.contracts import Floats
from transducer.decoding.bias import Doubles, Integers


class Link(NamedTuple):
    """The last label of an alignment, with what Hypothesis says of it, and the number of the link before."""

    before: int
    label: int
    frame: int
    duration: int
    confidence: float


class History:
    """Every prefix and alignment of a batch, each known by a number; those below `batch` are the streams' empty ones.

    Alignments are chains of links that share their beginnings; an alignment's number is that of its last link.
    """

    def __init__(self, batch: int) -> None:
        self._links = [Link(-1, -1, -1, 0, 0.0)] * batch
        self._prefixes: dict[tuple[int, int], int] = {}
        self._batch = batch

    def prefix(self, before: int, label: int) -> int:
        return self._prefixes.setdefault((before, label), self._batch + len(self._prefixes))

    def alignment(self, link: Link) -> int:
        self._links.append(link)
        return len(self._links) - 1

    def links(self, alignment: int, after: int) -> list[Link]:
        """Return an alignment's links in order of time, those after the one numbered `after`, which it goes through."""
        found = []
        while alignment != after:
            found.append(self._links[alignment])
            alignment = found[-1].before
        return found[::-1]

    def meeting(self, alignments: Sequence[int], after: int) -> int:
        """Return the last link that alignments share, all of which go through the one numbered `after`."""
        # A link is numbered later than the one before it.
        heads = set(alignments)
        while len(heads) > 1:
            latest = max(heads)
            heads = heads - {latest} | {self._links[latest].before}
        return heads.pop() if heads else after


@dataclass(frozen=True)
class Beams:
    """A prefixes of all streams.

    stream, prefix, alignment, frame: int64 [A]; the frame that comes next, counted from the chunk's first
    bias: state of the bias, int64 [A]
    log_prob: of the model, float64 [A]
    score: log_prob and what the bias added, float64 [A]
    g, h, c: as in DecoderState, for A in place of B
    """

    stream: Integers
    prefix: Integers
    alignment: Integers
    frame: Integers
    bias: Integers
    log_prob: Doubles
    score: Doubles
    g: Any
    h: Floats
    c: Floats

    def __getitem__(self, rows: Any) -> "Beams":
        states = {"h": self.h[:, rows], "c": self.c[:, rows]}
        return Beams(**{name: column[rows] for name, column in vars(self).items() if name not in states}, **states)

    def __add__(self, other: "Beams") -> "Beams":
        return Beams(
            **{
                name: np.concatenate([column, vars(other)[name]], axis=1 if name in ("h", "c") else 0)
                for name, column in vars(self).items()
            }
        )

    def __len__(self) -> int:
        return len(self.stream)


@dataclass(frozen=True)
class BeamState:
    """The prefixes of B streams between two chunks.

    frames: of all chunks so far, int64 [B]
    settled: the last link of the labels that were given away for good, int64 [B]
    """

    beams: Beams
    frames: Integers
    settled: Integers
    history: History


def leading(beams: Beams, count: int, least: Doubles) -> Integers:
    """Return the best `count` rows of each stream, of those that reach what is least, [B]."""
    reached = (beams.score >= least[beams.stream]).nonzero()[0]
    return reached[best_of(beams.stream[reached], beams.score[reached], count)]


def best_of(stream: Integers, score: Doubles, count: int) -> Integers:
    """Return the rows with the `count` best scores of each stream, by stream and score; the earlier of equals first."""
    order = np.lexsort((-score, stream))
    place = np.arange(len(order)) - np.searchsorted(stream[order], stream[order])
    return order[place < count]


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
