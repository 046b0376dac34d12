"""Swipes in the memory of the device that trains, as flat arrays, and batches of similar length from several sources.

Example:
    corpus = TraceCorpus(read_traces(manifest, labels), layout, labels, device)
    batches = MixedBatches([corpus], weights=[1.0], batch_size=256, seed=1)
    source, rows = batches.at(step=0)
    batch = corpus.batch(rows)
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transducer.core.cli import InputError
from transducer.swipe.keyboard import Layout
from transducer.swipe.traces import Trace

Rows = NDArray[np.int64]

# Batches that are drawn together, and so ordered by length: more keep padding lower, fewer mix better.
POOL = 64


@dataclass(frozen=True)
class Source:
    """A manifest of traces with its weight among others, and its layout where that is not the model's."""

    manifest: Path
    weight: float = 1.0
    layout: Path | None = None

    @staticmethod
    def parse(text: str) -> "Source":
        """Read MANIFEST, MANIFEST:WEIGHT or MANIFEST:WEIGHT:LAYOUT. Raises: InputError."""
        path, *rest = text.split(":")
        try:
            weight = float(rest[0]) if rest else 1.0
        except ValueError:
            weight = 0.0
        if not path or len(rest) > 2 or not (0 < weight < float("inf")):
            raise InputError(
                f"{text}: not MANIFEST:WEIGHT or MANIFEST:WEIGHT:LAYOUT with a weight above 0; correct it."
            )
        return Source(Path(path), weight, Path(rest[1]) if len(rest) == 2 else None)


@dataclass(frozen=True)
class Batch:
    """B swipes of N points, each padded with its last point, and their labels.

    places: float32 [B, N, 2], x and y in [0, 1] of the letter area. seconds: float64 [B, N], from 0 on.
    labels: int64 [B, U]; label_lengths: int64 [B].
    """

    places: Tensor
    seconds: Tensor
    labels: Tensor
    label_lengths: Tensor


class TraceCorpus:
    """Traces as flat arrays on a device, with the keys that their features measure the distance to.

    Args:
        slots: the letters of the features' proximities, in their order; where left out, the layout's keys.

    Attributes:
        durations: float64 [traces], in seconds.
        centres, size: float32 [K, 2] and [2], in key widths.

    Raises: InputError if a letter of `slots` has no key.
    """

    def __init__(
        self, traces: list[Trace], layout: Layout, labels: str, device: str | torch.device, slots: str | None = None
    ) -> None:
        slots = slots or layout.keys
        if missing := sorted(set(slots) - set(layout.keys)):
            raise InputError(f"The layout {layout.name} has no key {missing[0]!r}, which the model needs; add the key.")
        self.words = [trace.word for trace in traces]
        ids = {label: number for number, label in enumerate(labels)}
        counts = np.array([len(trace.points) for trace in traces])
        lengths = np.array([len(word) for word in self.words])
        points = np.concatenate([trace.points - (0, 0, trace.points[0, 2]) for trace in traces])
        targets = np.zeros((len(traces), lengths.max()), np.int64)
        for row, word in zip(targets, self.words, strict=True):
            row[: len(word)] = [ids[letter] for letter in word]
        self.durations = np.array([trace.points[-1, 2] - trace.points[0, 2] for trace in traces]) / 1000
        self._places = torch.tensor(points[:, :2], dtype=torch.float32, device=device)
        # At 20 s, a time in fp32 would be 2 microseconds off, which an acceleration shows.
        self._seconds = torch.tensor(points[:, 2] / 1000, device=device)
        self._starts = torch.tensor(np.cumsum(counts) - counts, device=device)
        self._counts, self._points = torch.tensor(counts, device=device), counts
        self._labels, self._lengths = torch.tensor(targets, device=device), torch.tensor(lengths, device=device)
        self._letters = lengths
        self.centres = torch.tensor(layout.centres_of(slots), dtype=torch.float32, device=device)
        self.size = torch.tensor(layout.size, dtype=torch.float32, device=device)

    def __len__(self) -> int:
        return len(self.words)

    def batch(self, rows: Rows) -> Batch:
        """Return the traces of these rows."""
        index = torch.as_tensor(rows, device=self._places.device)
        steps = torch.arange(max(int(self._points[rows].max()), 2), device=index.device)
        at = self._starts[index, None] + torch.minimum(steps, self._counts[index, None] - 1)
        labels = self._labels[index, : int(self._letters[rows].max())]
        return Batch(self._places[at], self._seconds[at], labels, self._lengths[index])

    def shares(self, power: float) -> NDArray[np.float64]:
        """Return the share [traces] of each trace in a draw: its word's number of traces to the minus `power`."""
        counts = Counter(self.words)
        weights = np.array([counts[word] ** -power for word in self.words], dtype=np.float64)
        return np.asarray(weights / weights.sum())


class MixedBatches:
    """Batches of one source each, in proportion to the weights, of traces of similar duration.

    What a step gets depends on the seed and the step alone, so that a resumed run continues as if it had not stopped.

    Args:
        power: a trace is drawn by its word's number of traces to the minus this.
        longest: seconds; longer traces are rare and cost much, so they are left out.
    """

    def __init__(
        self,
        corpora: list[TraceCorpus],
        weights: list[float],
        batch_size: int,
        seed: int,
        power: float = 0.0,
        longest: float = 8.0,
    ) -> None:
        self._corpora, self._weights = corpora, np.array(weights) / sum(weights)
        self._size, self._seed = batch_size, seed
        self._shares = []
        for corpus in corpora:
            share = corpus.shares(power) * (corpus.durations <= longest)
            self._shares.append(share / share.sum())
        self._pool: tuple[int, list[tuple[int, Rows]]] = (-1, [])

    def at(self, step: int) -> tuple[int, Rows]:
        """Return the number of the source, and the rows [batch_size] of a step's batch."""
        number, place = divmod(step, POOL)
        if self._pool[0] != number:
            self._pool = number, self._draw(number)
        return self._pool[1][place]

    def _draw(self, number: int) -> list[tuple[int, Rows]]:
        rng = np.random.default_rng([self._seed, number])
        batches: list[tuple[int, Rows]] = []
        for source, count in enumerate(rng.multinomial(POOL, self._weights)):
            corpus = self._corpora[source]
            rows = rng.choice(len(corpus), count * self._size, p=self._shares[source])
            # Ordering by a blurred duration keeps padding low and still mixes the members of a batch.
            rows = rows[np.argsort(corpus.durations[rows] + rng.normal(0, 0.05, len(rows)))]
            batches += [(source, part) for part in rows.reshape(count, self._size)]
        return [batches[index] for index in rng.permutation(POOL)]
