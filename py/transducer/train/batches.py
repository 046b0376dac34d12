"""Batches for training: utterances or traces of similar length, the same for the same seed and step.

Example:
    batches = LengthBatches(corpus.samples, corpus.weights, batch_size=64, seed=1, start=0, stop=5000)
    loader = DataLoader(corpus, batch_sampler=batches, collate_fn=collate)
"""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler


class LengthBatches(Sampler[list[tuple[int, int, int]]]):
    """Batches of recordings of similar length in random order, from step `start` to `stop`.

    A step's batch depends only on the seed and the step, so that a resumed run continues as if it had never
    stopped. Indices are (utterance, epoch, place in the epoch). An epoch draws as many utterances as there are, by
    their weights.

    Args:
        length: of the recording of an index, as it is augmented: padding to the longest of utterances that were sorted
            before silence and companions were drawn took two thirds of a step.
        weights: probability of each utterance; the sum is 1.
        rank, ranks: which of several processes that train together this is, from 0, and how many they are. Each has
            batches of its own, so that a step of all is one of `ranks` times the size.
    """

    def __init__(
        self,
        length: Callable[[tuple[int, int, int]], int],
        weights: np.ndarray,
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        ranks: int = 1,
    ):
        self._length = length
        self._weights = weights
        self._batch_size = min(batch_size, len(weights))
        self._seed = seed
        self._start, self._stop = start, stop
        self._rank, self._ranks = rank, ranks

    def __len__(self) -> int:
        return self._stop

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        per_epoch = len(self._weights) // self._batch_size
        current = -1
        for step in range(self._start, self._stop):
            epoch, position = divmod(step * self._ranks + self._rank, per_epoch)
            if epoch != current:
                current, batches = epoch, self._epoch(epoch)
            yield batches[position]

    def _epoch(self, epoch: int) -> list[list[tuple[int, int, int]]]:
        rng = np.random.default_rng([self._seed, epoch])
        members = rng.choice(len(self._weights), len(self._weights), p=self._weights)
        draws = [(int(member), epoch, place) for place, member in enumerate(members)]
        # Ordering by a blurred length keeps padding low and still mixes the members of a batch.
        order = np.argsort([self._length(draw) * rng.uniform(0.9, 1.1) for draw in draws])
        drop = rng.permutation(len(order))[: len(order) % self._batch_size]
        batches = rng.permutation(np.delete(order, drop).reshape(-1, self._batch_size))
        return [[draws[place] for place in batch] for batch in batches]
