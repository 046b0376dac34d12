"""Swipes in the memory of the device that trains, as flat arrays, and batches of similar length from several sources.

Example:
    corpus = TraceCorpus([(read_traces(manifest, labels), layout)], labels, device)
    batches = MixedBatches(corpus, weights=[1.0], batch_size=256, seed=1)
    batch = corpus.batch(*batches.at(step=0))
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from transducer.swipe.batch import Batch, Rivals
from transducer.swipe.features import distinct_times
from transducer.swipe.keyboard import Doubles, Layout
from transducer.swipe.traces import Trace

Rows = NDArray[np.int64]
# Rows of a corpus, and by what their durations are multiplied.
Draw = tuple[Rows, Doubles]

# Batches that are drawn together, and so ordered by length: more keep padding lower, fewer mix better.
POOL = 64
# Swipes in one batch of validation.
VALIDATION_BATCH = 512


class TraceCorpus:
    """Traces of one or several sources, each swiped on a layout of its own, as flat arrays on a device.

    Args:
        slots: the letters of the features' proximities, in their order; where left out, the first layout's keys.

    Attributes:
        words: of every trace; durations: float64 [traces], in seconds; sources: int64 [traces], each one's number.

    Raises: InputError if a letter of `slots` has no key.
    """

    def __init__(
        self,
        parts: Sequence[tuple[list[Trace], Layout]],
        labels: str,
        device: str | torch.device,
        slots: str | None = None,
    ) -> None:
        slots = slots or parts[0][1].keys
        layouts = [layout.arranged(slots) for _, layout in parts]
        traces = [trace for part, _ in parts for trace in part]
        self.words = [trace.word for trace in traces]
        self.sources = np.repeat(np.arange(len(parts)), [len(part) for part, _ in parts])
        ids = {label: number for number, label in enumerate(labels)}
        distinct = [distinct_times(trace.points) for trace in traces]
        counts = np.array([len(points) for points in distinct])
        lengths = np.array([len(word) for word in self.words])
        points = np.concatenate([points - (0, 0, points[0, 2]) for points in distinct])
        targets = _spelled(self.words, ids)
        rivals = [(word, advantage) for trace in traces for word, advantage in trace.rivals.items()]
        self._rivals_end = np.cumsum([len(trace.rivals) for trace in traces])
        self._rivals = _spelled([word for word, _ in rivals], ids)
        self._rival_lengths = np.array([len(word) for word, _ in rivals], np.int64)
        self._advantages = np.array([advantage for _, advantage in rivals], np.float32)
        self.durations = np.array([trace.points[-1, 2] - trace.points[0, 2] for trace in traces]) / 1000
        self._places = torch.tensor(points[:, :2], dtype=torch.float32, device=device)
        # At 20 s, a time in fp32 would be 2 microseconds off, which an acceleration shows.
        self._seconds = torch.tensor(points[:, 2] / 1000, device=device)
        self._starts = torch.tensor(np.cumsum(counts) - counts, device=device)
        self._counts, self._points = torch.tensor(counts, device=device), counts
        self._labels, self._lengths = torch.tensor(targets, device=device), torch.tensor(lengths, device=device)
        self._letters = lengths
        self._layouts = torch.tensor(self.sources, device=device)
        self._centres = torch.tensor(
            np.stack([layout.centres for layout in layouts]), dtype=torch.float32, device=device
        )
        self._sizes = torch.tensor(np.stack([layout.size for layout in layouts]), dtype=torch.float32, device=device)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def device(self) -> torch.device:
        return self._places.device

    def batch(self, rows: Rows, tempos: Doubles | None = None) -> Batch:
        """Return the traces of these rows, their durations multiplied by `tempos` [rows] if there are any."""
        index = torch.as_tensor(rows, device=self.device)
        steps = torch.arange(max(int(self._points[rows].max()), 2), device=self.device)
        at = self._starts[index, None] + torch.minimum(steps, self._counts[index, None] - 1)
        labels = self._labels[index, : int(self._letters[rows].max())]
        seconds = self._seconds[at]
        if tempos is not None:
            seconds = seconds * torch.as_tensor(tempos, device=self.device)[:, None]
        keys = self._layouts[index]
        lengths, centres, sizes = self._lengths[index], self._centres[keys], self._sizes[keys]
        return Batch(self._places[at], seconds, labels, lengths, centres, sizes, self._rivals_of(rows))

    def _rivals_of(self, rows: Rows) -> Rivals | None:
        """Return the rivals of these rows."""
        if not len(self._rivals):
            return None
        counts = np.diff(self._rivals_end, prepend=0)[rows]
        ends = self._rivals_end[rows]
        places = np.concatenate([np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)])
        columns = np.repeat(np.arange(len(rows)), counts), self._rivals[places], self._rival_lengths[places]
        tensors = (torch.as_tensor(column, device=self.device) for column in (*columns, self._advantages[places]))
        return Rivals(*tensors)

    def shares(self, weights: Sequence[float], power: float, longest: float) -> Doubles:
        """Return the share [traces] of each trace in a draw.

        A source has a share in proportion to its weight; within it, a trace has that of its word's number of traces to
        the minus `power`. Traces above `longest` seconds have none.
        """
        share = np.zeros(len(self))
        for source, weight in enumerate(weights):
            rows = np.flatnonzero((self.sources == source) & (self.durations <= longest))
            counts = Counter(self.words[row] for row in rows)
            own = np.array([counts[self.words[row]] ** -power for row in rows], dtype=np.float64)
            share[rows] = weight * own / own.sum()
        return np.asarray(share / share.sum())


def _spelled(words: Sequence[str], ids: Mapping[str, int]) -> Rows:
    """Return the labels of words, int64 [words, longest], padded with zeros."""
    labels = np.zeros((len(words), max(map(len, words), default=0)), np.int64)
    for row, word in zip(labels, words, strict=True):
        row[: len(word)] = [ids[letter] for letter in word]
    return labels


def ordered(corpus: TraceCorpus, longest: float = 8.0) -> Iterator[Rows]:
    """Yield rows of a corpus in batches, the shortest traces first, without those above `longest` seconds."""
    rows = corpus.durations.argsort()
    rows = rows[corpus.durations[rows] <= longest]
    for start in range(0, len(rows), VALIDATION_BATCH):
        yield rows[start : start + VALIDATION_BATCH]


class MixedBatches:
    """Batches of traces of similar duration, drawn from all sources in proportion to their weights.

    Tempo is the one part of augmentation that is drawn here: a batch is padded to its longest trace, so it has to hold
    those that last alike after it. What a step gets depends on the seed and the step alone, so that a resumed run
    continues as if it had not stopped.

    Args:
        power: a trace is drawn by its word's number of traces to the minus this.
        tempo: the largest factor between a trace's duration and its own, as a logarithm.
        longest: seconds, after tempo too; longer traces are rare and cost much, so they are left out.
    """

    def __init__(
        self,
        corpus: TraceCorpus,
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        power: float = 0.0,
        tempo: float = 0.0,
        longest: float = 8.0,
    ) -> None:
        self._corpus, self._size, self._seed, self._tempo, self._longest = corpus, batch_size, seed, tempo, longest
        self._shares = corpus.shares(weights, power, longest)
        self._pool: tuple[int, list[Draw]] = (-1, [])

    def at(self, step: int) -> Draw:
        """Return the rows and tempos [batch_size] of a step's batch."""
        number, place = divmod(step, POOL)
        if self._pool[0] != number:
            self._pool = number, self._draw(number)
        return self._pool[1][place]

    def _draw(self, number: int) -> list[Draw]:
        rng = np.random.default_rng([self._seed, number])
        rows = rng.choice(len(self._corpus), POOL * self._size, p=self._shares)
        durations = self._corpus.durations[rows]
        tempos = np.exp(rng.uniform(-self._tempo, self._tempo, len(rows)))
        tempos = np.minimum(tempos, self._longest / np.maximum(durations, 1e-3))
        # Ordering by a blurred duration keeps padding low and still mixes the members of a batch.
        order = np.argsort(durations * tempos * rng.normal(1, 0.03, len(rows))).reshape(POOL, self._size)
        return [(rows[order[place]], tempos[order[place]]) for place in rng.permutation(POOL)]
