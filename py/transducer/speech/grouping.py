"""Group pieces of audio of similar length into batches of bounded size.

Example:
    for group in batches(pieces): ...
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from transducer.core.contracts import Floats
from transducer.decoding.bias import Integers
from transducer.speech.long_audio import Piece

# What one run of the encoder takes at most, padding included: enough to keep all cores busy.
BATCH_SECONDS = 240.0
BATCH_ROWS = 64

# What one beam search takes at most, likewise: its steps cost about the same for few pieces as for many.
SEARCH_SECONDS = 960.0
SEARCH_ROWS = 256

# The number of a recording, and of a piece in it.
Place = tuple[int, int]


def batches(places: list[Place], seconds: Callable[[Place], float], rows: int) -> Iterator[list[Place]]:
    """Group pieces of similar length so that no batch exceeds BATCH_SECONDS, padding included, or `rows`."""
    batch: list[Place] = []
    # Longest first: it is the one that says how far the others are padded.
    for place in sorted(places, key=seconds, reverse=True):
        if batch and (len(batch) == rows or seconds(batch[0]) * (len(batch) + 1) > BATCH_SECONDS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def groups(batches: Iterable[list[Place]], seconds: Callable[[Place], float], rows: int) -> Iterator[list[list[Place]]]:
    """Put batches, the longest pieces first, into groups within SEARCH_SECONDS, padding included, and `rows` pieces."""
    group: list[list[Place]] = []
    for batch in batches:
        count = sum(map(len, group)) + len(batch)
        if group and (count > rows or seconds(group[0][0]) * count > SEARCH_SECONDS):
            yield group
            group = []
        group.append(batch)
    if group:
        yield group


def joined(encoded: Sequence[tuple[Floats, Integers]]) -> tuple[Floats, Integers]:
    """Return encoder frames [B, D, T] and their lengths [B] of several batches as one, padded to the longest."""
    if len(encoded) == 1:
        return encoded[0]
    longest = max(frames.shape[2] for frames, _ in encoded)
    padded = [np.pad(frames, ((0, 0), (0, 0), (0, longest - frames.shape[2]))) for frames, _ in encoded]
    return np.concatenate(padded), np.concatenate([lengths for _, lengths in encoded])


def length(piece: Piece) -> int:
    """Return the number of samples that are heard in a piece."""
    return piece.stop - piece.start
