"""Streams of audio on their way through frontend and streaming encoder, many at once.

Example:
    streams = Streams(recognizer, count=2)
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Arrays, Floats
from transducer.decoding.greedy import DecoderState, Hypothesis, Integers
from transducer.decoding.prefixes import BeamState
from transducer.speech.alternatives import Heard
from transducer.speech.audio import Wave, has_signal
from transducer.speech.partial import NOTHING, Partial, Stream
from transducer.speech.transcript import Token, Transcript

# Streams in one batch where many files are transcribed.
BATCH_ROWS = 32
# A model that normalises features over the whole utterance gets them normalised over so much of the stream's past.
HISTORY_SECONDS = 20.0
# A window has no words if neither it nor so much before it has a signal: a model says a word soon after it was spoken.
SILENT_SECONDS = 1.0
SearchState = DecoderState | BeamState


class Model(Protocol):
    """What a streaming recognizer offers to the streams that it transcribes."""

    meta: dict[str, Any]
    streaming: Mapping[str, Any]
    sample_rate: int

    def initial_state(self, count: int) -> tuple[Arrays, SearchState]: ...

    def features(self, waves: Sequence[Wave]) -> tuple[Floats, Integers]: ...

    def step(
        self, windows: Floats, lengths: Integers, state: tuple[Arrays, SearchState], silent: NDArray[np.bool_]
    ) -> tuple[list[Hypothesis], tuple[Arrays, SearchState]]: ...

    def pending(self, state: tuple[Arrays, SearchState], ended: NDArray[np.bool_]) -> list[list[Heard]]: ...

    def tokens(self, hypothesis: Hypothesis) -> list[Token]: ...

    def transcript(self, tokens: list[Token]) -> Transcript: ...


class Streams:
    """Streams that go through the graphs as one batch, each at its own place, and all that they carry along."""

    def __init__(self, recognizer: Model, count: int) -> None:
        facts, frontend = recognizer.streaming, recognizer.meta["frontend"]
        self._recognizer = recognizer
        self._streams = [Stream() for _ in range(count)]
        self._state = recognizer.initial_state(count)
        self._size, self._shift = facts["window_frames"], facts["shift_frames"]
        self._padding, self._overlap = facts["initial_padding_frames"], facts["pre_encode_cache_frames"]
        self._frame_seconds = facts["frame_ms"] / 1000
        self._hop = round(frontend["window_stride"] * recognizer.sample_rate)
        # Frame i is centred at sample i * hop and sees half a window to each side, one more sample for pre-emphasis.
        self._half = round(frontend["window_size"] * recognizer.sample_rate) // 2
        self._context = -(-(self._half + 1) // self._hop)
        if frontend["normalize"] == "per_feature":
            self._context = round(HISTORY_SECONDS / frontend["window_stride"])
        self._past = round(SILENT_SECONDS / frontend["window_stride"])

    def accept(self, row: int, samples: Wave) -> None:
        """Add to a stream, float32 [samples]."""
        stream = self._streams[row]
        stream.samples = np.concatenate([stream.samples, samples])

    def end(self, row: int) -> None:
        """Say that no more of a stream will come."""
        self._streams[row].ended = True

    def partial(self, row: int) -> Partial:
        """Return what a stream has said so far."""
        stream = self._streams[row]
        [(best, _), *_] = stream.pending or NOTHING
        settled = len(self._recognizer.transcript(stream.tokens).text)
        return Partial(row, self._recognizer.transcript(stream.tokens + best), *stream.last, settled=settled)

    def final(self, row: int) -> Partial:
        """Return what a stream that has ended has said in all."""
        stream = self._streams[row]
        stream.pending = self._recognizer.pending(self._state, np.ones(len(self._streams), np.bool_))[row]
        texts: dict[str, float] = {}
        for tokens, score in stream.pending:
            texts.setdefault(self._recognizer.transcript(stream.tokens + tokens).text, score)
        partial = self.partial(row)
        transcript = replace(partial.transcript, alternatives=tuple(texts.items()))
        return replace(partial, transcript=transcript, settled=len(transcript.text), final=True)

    def run(self) -> Iterator[Partial]:
        """Encode and decode every window that is complete, in all streams; yield what adds to a text."""
        while (lengths := np.array([self._due(stream) for stream in self._streams], np.int64)).any():
            began, (_, before) = time.perf_counter(), self._state
            hypotheses, self._state = self._recognizer.step(
                self._windows(lengths), lengths, self._state, self._silent(lengths)
            )
            pending = self._recognizer.pending(self._state, np.zeros(len(lengths), np.bool_))
            compute = time.perf_counter() - began
            for row in lengths.nonzero()[0].tolist():
                stream = self._streams[row]
                before_it = stream.said
                self._advance(stream, int(lengths[row]), hypotheses[row], int(before.frames[row]), compute)
                stream.pending = pending[row]
                if stream.said != before_it:
                    yield self.partial(row)

    def _due(self, stream: Stream) -> int:
        """Return the length of a stream's next window in feature frames, 0 if it is not complete or nothing is left."""
        start = stream.window * self._shift - self._padding
        if not stream.ended:
            return self._size if stream.heard >= self._samples(start + self._size) else 0
        left = min(stream.heard // self._hop - start, self._size)
        return left if left > self._overlap else 0

    def _samples(self, frames: int) -> int:
        """Return how many samples the first feature frames of a stream need."""
        return (frames - 1) * self._hop + max(self._half, self._hop)

    def _windows(self, lengths: Integers) -> Floats:
        """Return the next window of every stream, float32 [B, F, T], zeros where it has no audio."""
        rows = lengths.nonzero()[0]
        cuttings, places = [], []
        for row in rows:
            stream = self._streams[row]
            start = stream.window * self._shift - self._padding
            first, stop = max(start, 0), start + int(lengths[row])
            begin = max(first - self._context, 0)
            low, high = (sample - stream.begin for sample in (begin * self._hop, self._samples(stop)))
            cuttings.append(stream.samples[low:high])
            places.append((slice(first - start, stop - start), slice(first - begin, stop - begin)))
        features, _ = self._recognizer.features(cuttings)
        windows = np.zeros((len(lengths), features.shape[1], self._size), np.float32)
        for row, frames, (into, out_of) in zip(rows, features, places, strict=True):
            windows[row, :, into] = frames[:, out_of]
        return windows

    def _silent(self, lengths: Integers) -> NDArray[np.bool_]:
        """Return which streams have no signal in their next window and SILENT_SECONDS before it, bool [B]."""
        silent = np.zeros(len(lengths), np.bool_)
        for row in lengths.nonzero()[0]:
            stream = self._streams[row]
            start = stream.window * self._shift - self._padding
            low, high = (start - self._past) * self._hop, self._samples(start + int(lengths[row]))
            silent[row] = not has_signal(stream.samples[max(low - stream.begin, 0) : high - stream.begin])
        return silent

    def _advance(self, stream: Stream, length: int, hypothesis: Hypothesis, frames: int, compute: float) -> None:
        """Note what a step gave a stream, `frames` encoder frames after its beginning, and drop old samples."""
        stream.tokens += self._recognizer.tokens(hypothesis)
        stop = stream.window * self._shift - self._padding + length
        seconds = min(self._samples(stop), stream.heard) / self._recognizer.sample_rate
        stream.last = (frames * self._frame_seconds, seconds, compute, max(seconds, stream.last[-1]) + compute)
        stream.window += 1
        first = stream.window * self._shift - self._padding
        old = min(max(first - max(self._context, self._past), 0) * self._hop - stream.begin, len(stream.samples))
        stream.samples, stream.begin = stream.samples[old:], stream.begin + old
