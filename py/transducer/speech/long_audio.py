"""Long recordings: cut where nobody speaks, with overlap, and joined without losing or doubling a word.

Example:
    pieces = cut(wave, 16000, shortest=15, longest=30)
    tokens = join([(piece, transcribed(wave[piece.start : piece.stop])) for piece in pieces], 16000)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from transducer.speech.audio import MIN_SECONDS, Wave
from transducer.speech.transcript import Token

HOP_SECONDS = 0.01
# A pause is longer than the closure of a stop consonant, and than most hesitations within a sentence.
PAUSE_SECONDS = 0.25
# Of pauses that follow one another so closely the longest is cut in.
CLOSE_SECONDS = 0.5
# Quiet is what is near the noise of the second before: within a tenth of the way from its 10th to its 90th percentile
# in dB, where these are far enough apart to be noise and speech; or 40 dB below the latter; or no sound at all.
NOISE_SECONDS = 1.0
QUIET_SHARE = 0.1
CONTRAST_DB = 6.0
SILENCE_DB = -99.0
QUIET_BELOW_SPEECH_DB = 40.0
# What is heard of a pause after speech, which fades, and before speech, which sets in at once. Models take silence
# that is longer than in their training for something said.
TRAIL_SECONDS = 0.4
LEAD_SECONDS = 0.02
# Heard on either side of a cut that is in no pause, so that a word at the cut is whole in one of the pieces.
OVERLAP_SECONDS = 1.0


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording in samples: heard from `start` to `stop`, cut from its neighbours at `begin`.

    Neighbours overlap where they were cut in no pause, and leave out what is silent between them elsewhere.
    """

    start: int
    begin: int
    stop: int


def cut(wave: Wave, sample_rate: int, shortest: float, longest: float) -> list[Piece]:
    """Cut a recording [samples] that is longer than `longest` seconds into pieces of at most that.

    A piece ends in a pause after `shortest` seconds: the first, or a longer one soon after it. TRAIL_SECONDS of the
    pause are heard after the speech and LEAD_SECONDS before it goes on. Without a pause in time, a piece is cut at
    the quietest place of its later half; there neighbours overlap by OVERLAP_SECONDS on either side, or less if
    pieces are short. Samples of exactly 0 were put there by an editor and are not heard at the ends of a piece.
    """
    hop = int(HOP_SECONDS * sample_rate)
    least, most = hops(shortest), hops(longest)
    if len(wave) <= most * hop:
        return [Piece(0, 0, len(wave))]
    energy = energies(wave, hop)
    pauses = runs(quiet(decibels(energy, 3)))
    pauses = pauses[pauses[:, 1] - pauses[:, 0] >= hops(PAUSE_SECONDS)]
    level = decibels(energy, hops(PAUSE_SECONDS))
    overlap = min(hops(OVERLAP_SECONDS), most // 8)
    # In hops: where a piece is cut from the one before, where that one's audio stops, and where its own starts.
    cuts = [(0, 0, 0)]
    while True:
        at, _, start = cuts[-1]
        last = start + most - overlap
        fitting = pauses[(pauses[:, 0] > max(start + least, at)) & (pauses[:, 0] <= last)]
        if len(fitting):
            close = fitting[fitting[:, 0] <= fitting[0, 1] + hops(CLOSE_SECONDS)]
            begin, end = map(int, close[(close[:, 1] - close[:, 0]).argmax()])
            resumed = end - hops(LEAD_SECONDS)
            cuts.append((resumed, min(begin + hops(TRAIL_SECONDS), resumed), resumed))
        elif len(wave) > (start + most) * hop:
            first = max(last - most // 2, at + 1)
            quietest = first + int(level[first:last].argmin())
            cuts.append((quietest, quietest + overlap, quietest - overlap))
        else:
            break
    stops = [stop * hop for _, stop, _ in cuts[1:]] + [len(wave)]
    pieces = [Piece(start * hop, at * hop, stop) for (at, _, start), stop in zip(cuts, stops, strict=True)]
    sounding = [without_zeros(wave, piece) for piece in pieces]
    return [piece for piece in sounding if piece.stop - piece.start >= MIN_SECONDS * sample_rate]


def hops(seconds: float) -> int:
    return int(seconds / HOP_SECONDS + 0.5)


def without_zeros(wave: Wave, piece: Piece) -> Piece:
    """Return a piece without the samples of exactly 0 at its ends."""
    places = np.flatnonzero(wave[piece.start : piece.stop])
    first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
    return replace(piece, start=piece.start + first, stop=piece.start + last)


def energies(wave: Wave, hop: int) -> NDArray[np.float32]:
    """Return the mean energy of every whole hop, float32 [samples // hop]."""
    blocks = wave[: len(wave) // hop * hop].reshape(-1, hop)
    return np.einsum("ij,ij->i", blocks, blocks) / np.float32(hop)


def decibels(energy: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the mean of `width` hops around every hop in dB of full scale, -100 for silence, float32 [hops]."""
    smooth = np.convolve(energy, np.full(width, 1 / width, np.float32), "same")
    return np.asarray(10 * np.log10(smooth + 1e-10), np.float32)


def quiet(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell of every hop whether nobody speaks in it, by the levels in dB [hops] of NOISE_SECONDS before it."""
    before = hops(NOISE_SECONDS)
    windows = sliding_window_view(np.pad(level, (before - 1, 0), mode="reflect"), before)
    # Some minutes at a time: percentiles copy every window.
    parts = np.array_split(windows, len(windows) // 20_000 + 1)
    noise, speech = np.concatenate([np.percentile(part, [10, 90], axis=1) for part in parts], axis=1)
    near_noise = (level < noise + QUIET_SHARE * (speech - noise)) & (speech - noise >= CONTRAST_DB)
    return np.asarray(near_noise | (level < speech - QUIET_BELOW_SPEECH_DB) | (level < SILENCE_DB))


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where each run of true values in a mask [N] begins and ends, int64 [runs, 2]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def join(transcribed: Iterable[tuple[Piece, list[Token]]], sample_rate: int) -> list[Token]:
    """Return the tokens of a whole recording from those of its pieces, each timed from its piece's start.

    Two neighbours change over in the widest gap that both leave around their cut.
    """
    whole: list[Token] = []
    until = 0.0
    for piece, tokens in transcribed:
        since, at = piece.start / sample_rate, piece.begin / sample_rate
        later = [replace(token, start=token.start + since, end=token.end + since) for token in tokens]
        # The outer halves of the overlap are where either side lacks context.
        change = widest_gap(whole + later, *sorted([(since + at) / 2, (at + until) / 2]))
        whole = [token for token in whole if token.start < change]
        whole += [token for token in later if token.start >= change]
        until = piece.stop / sample_rate
    return whole


def widest_gap(tokens: list[Token], low: float, high: float) -> float:
    """Return the middle of the longest time between `low` and `high` in which no token starts."""
    times = np.array([low, *sorted(token.start for token in tokens if low < token.start < high), high])
    widest = int(np.diff(times).argmax())
    return float(times[widest : widest + 2].mean())
