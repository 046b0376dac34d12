"""Batches for training: utterances or traces of similar length, the same for the same seed and step.

Example:
    batches = LengthBatches(lengths, batch_size=64, seed=1, start=0, stop=5000)
    loader = DataLoader(corpus, batch_sampler=batches, collate_fn=collate)
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class LengthBatches(Sampler[list[tuple[int, int, int]]]):
    """Batches of utterances of similar length in random order, from step `start` to `stop`.

    A step's batch depends only on the seed and the step, so that a resumed run continues as if it had never
    stopped. Indices are (utterance, epoch, place in the epoch). With `weights`, which sum to 1, an epoch draws as many
    utterances as there are with these probabilities, some of them several times.
    """

    def __init__(
        self,
        lengths: list[int],
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        weights: "np.ndarray | None" = None,
    ):
        self._lengths = np.asarray(lengths)
        self._weights = weights
        self._batch_size = min(batch_size, len(lengths))
        self._seed = seed
        self._start, self._stop = start, stop

    def __len__(self) -> int:
        return self._stop

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        per_epoch = len(self._lengths) // self._batch_size
        for step in range(self._start, self._stop):
            epoch, position = divmod(step, per_epoch)
            if position == 0 or step == self._start:
                batches = self._epoch(epoch)
            first = position * self._batch_size
            yield [(int(index), epoch, first + place) for place, index in enumerate(batches[position])]

    def _epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        indices = np.arange(len(self._lengths))
        if self._weights is not None:
            indices = rng.choice(indices, len(indices), p=self._weights)
        # Ordering by a blurred length keeps padding low and still mixes the members of a batch.
        order = indices[np.argsort(self._lengths[indices] * rng.uniform(0.85, 1.15, len(indices)))]
        drop = rng.permutation(len(order))[: len(order) % self._batch_size]
        return rng.permutation(np.delete(order, drop).reshape(-1, self._batch_size))
