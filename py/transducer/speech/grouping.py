"""Group pieces of audio of similar length into batches of bounded size.

Example:
    for group in batches(pieces): ...
"""

from collections.abc import Callable, Iterator

from transducer.speech.long_audio import Piece

# What one run of the encoder takes at most, padding included: enough to keep all cores busy.
BATCH_SECONDS = 240.0


BATCH_ROWS = 64


# Audio held in memory at once, for pieces of similar length to be found in it.
GROUP_SECONDS = 1800.0


def batches(
    places: list[tuple[int, int]], seconds: Callable[[tuple[int, int]], float], rows: int
) -> Iterator[list[tuple[int, int]]]:
    """Group pieces of similar length so that no batch exceeds BATCH_SECONDS, padding included, or `rows`."""
    batch: list[tuple[int, int]] = []
    # Longest first: it is the one that says how far the others are padded.
    for place in sorted(places, key=seconds, reverse=True):
        if batch and (len(batch) == rows or seconds(batch[0]) * (len(batch) + 1) > BATCH_SECONDS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def length(piece: Piece) -> int:
    """Return the number of samples that are heard in a piece."""
    return piece.stop - piece.start
