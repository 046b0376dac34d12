"""Long recordings: cut where nobody speaks, with overlap, and joined without losing or doubling a word.

Example:
    pieces = cut(wave, 16000, shortest=15, longest=30)
    tokens = join([(piece, transcribed(wave[piece.start : piece.stop])) for piece in pieces], 16000)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transducer.audio import Wave
from transducer.transcript import Token

HOP_SECONDS = 0.01
# A pause: longer than the closure of a stop consonant, and 23 dB below the recording's loud parts.
PAUSE_SECONDS = 0.3
PAUSE_LEVEL = 1 / 200
# Heard on either side of a cut that is in no pause, so that a word at the cut is whole in one of the pieces.
OVERLAP_SECONDS = 1.0


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording in samples: heard from `start` to `stop`, cut from its neighbours at `begin`."""

    start: int
    begin: int
    stop: int


def cut(wave: Wave, sample_rate: int, shortest: float, longest: float) -> list[Piece]:
    """Cut a recording [samples] that is longer than `longest` seconds into pieces of at most that.

    A piece ends in the first pause after `shortest` seconds, of which half of PAUSE_SECONDS is heard at either end;
    where there is none in time, at the quietest place of its later half. There neighbours overlap by
    OVERLAP_SECONDS on either side, or less if pieces are short.
    """
    hop = int(HOP_SECONDS * sample_rate)
    least, most = int(shortest / HOP_SECONDS), int(longest / HOP_SECONDS)
    if len(wave) <= most * hop:
        return [Piece(0, 0, len(wave))]
    energy = smoothed_energy(wave, hop)
    pauses = runs(energy < PAUSE_LEVEL * np.percentile(energy, 90))
    overlap = min(int(OVERLAP_SECONDS / HOP_SECONDS), most // 8)
    # In hops: where a piece is cut from the one before, where that one's audio stops, and where its own starts.
    cuts = [(0, 0, 0)]
    while True:
        at, _, start = cuts[-1]
        last = start + most - overlap
        fitting = pauses[(pauses[:, 0] > max(start + least, at)) & (pauses[:, 0] <= last)]
        if len(fitting):
            begin, end = map(int, fitting[0])
            cuts.append(((begin + end) // 2, begin, end))
        elif len(wave) > (start + most) * hop:
            first = max(last - most // 2, at + 1)
            quietest = first + int(energy[first:last].argmin())
            cuts.append((quietest, quietest + overlap, quietest - overlap))
        else:
            break
    stops = [stop * hop for _, stop, _ in cuts[1:]] + [len(wave)]
    return [Piece(start * hop, at * hop, stop) for (at, _, start), stop in zip(cuts, stops, strict=True)]


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where each run of true values in a mask [N] begins and ends, int64 [runs, 2]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def smoothed_energy(wave: Wave, hop: int) -> NDArray[np.float32]:
    """Return the mean energy of PAUSE_SECONDS around every whole hop, float32 [samples // hop]."""
    blocks = wave[: len(wave) // hop * hop].reshape(-1, hop)
    width = round(PAUSE_SECONDS / HOP_SECONDS)
    return np.convolve(np.einsum("ij,ij->i", blocks, blocks), np.full(width, 1 / width / hop, np.float32), "same")


def join(heard: Iterable[tuple[Piece, list[Token]]], sample_rate: int) -> list[Token]:
    """Return the tokens of a whole recording from those of its pieces, each timed from its piece's start.

    Two neighbours change over in the widest gap that both leave around their cut.
    """
    joined: list[Token] = []
    until = 0.0
    for piece, tokens in heard:
        since, at = piece.start / sample_rate, piece.begin / sample_rate
        later = [replace(token, start=token.start + since, end=token.end + since) for token in tokens]
        # The outer halves of the overlap are where either side lacks context.
        change = widest_gap(joined + later, (since + at) / 2, (at + until) / 2)
        joined = [token for token in joined if token.start < change]
        joined += [token for token in later if token.start >= change]
        until = piece.stop / sample_rate
    return joined


def widest_gap(tokens: list[Token], low: float, high: float) -> float:
    """Return the middle of the longest time between `low` and `high` in which no token starts."""
    times = np.array([low, *sorted(token.start for token in tokens if low < token.start < high), high])
    widest = int(np.diff(times).argmax())
    return float(times[widest : widest + 2].mean())
