"""Streams transcribed while they are heard, by the streaming encoder of a built model, or by any encoder buffered.

Example:
    recognizer = LiveRecognizer(Path("out/demo-streaming"))
    for partial in recognizer.listen(read_pipe(sys.stdin.buffer, recognizer.sample_rate, raw_rate=16000)):
        print(partial.transcript.text, partial.latency)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError
from transducer.core.contracts import Arrays, Floats
from transducer.decoding.greedy import DecoderState, Hypothesis, Integers
from transducer.decoding.prefixes import BeamState
from transducer.speech.alternatives import Heard
from transducer.speech.audio import Wave
from transducer.speech.meta import read_meta
from transducer.speech.partial import Partial
from transducer.speech.recognizer import ALTERNATIVES, GREEDY, Recognizer
from transducer.speech.steering import Steering, repeated
from transducer.speech.streams import BATCH_ROWS, SearchState, Streams
from transducer.speech.transcript import Token, Transcript
from transducer.speech.windows import Buffer, BufferedWindows, CachedWindows, Windows

ENCODER = "encoder_streaming.onnx"


class LiveRecognizer(Recognizer):
    """A recognizer whose encoder takes streams window by window; recordings are never cut, however long.

    Args: those of Recognizer, and
        buffer: what the model's offline encoder hears at a time; without it the streaming encoder takes windows as
            `streaming` in model_meta.json says.

    Raises: InputError as Recognizer does, and if there is neither a streaming encoder nor a buffer.
    """

    def __init__(
        self,
        folder: Path,
        frontend: Path | None = None,
        encoder: Path | None = None,
        predictor: Path | None = None,
        joint: Path | None = None,
        ctc: Path | None = None,
        steering: Steering = GREEDY,
        buffer: Buffer | None = None,
    ) -> None:
        if not buffer and "streaming" not in read_meta(folder):
            raise InputError(
                f"{folder} was built without its streaming encoder; build it with `make all STREAMING=1`, or set "
                "BUFFER."
            )
        cached = encoder or folder / "onnx" / ENCODER
        super().__init__(folder, frontend, encoder if buffer else cached, predictor, joint, ctc=ctc, steering=steering)
        self._windows: Windows = (
            BufferedWindows(self._encoder, self.meta, buffer)
            if buffer
            else CachedWindows(self._encoder, self.meta["streaming"], cached)
        )
        self.streaming = self._windows.facts

    def listen(self, pieces: Iterable[Wave]) -> Iterator[Partial]:
        """Transcribe one stream, float32 [samples] piece by piece as it arrives; yield whatever adds to its text.

        The last partial is the whole stream's, whether it adds anything or not.
        """
        streams = Streams(self, 1)
        for piece in pieces:
            streams.accept(0, piece)
            yield from streams.run()
        streams.end(0)
        yield from streams.run()
        yield streams.final(0)

    def transcribe(
        self, waves: Sequence[Wave], progress: Callable[[float], object] = lambda seconds: None
    ) -> list[Transcript]:
        """Transcribe recordings, float32 [samples] each, as streams in batches."""
        transcripts = []
        for start in range(0, len(waves), BATCH_ROWS):
            batch = waves[start : start + BATCH_ROWS]
            streams = Streams(self, len(batch))
            for row, wave in enumerate(batch):
                streams.accept(row, wave)
                streams.end(row)
            for _ in streams.run():
                pass
            transcripts += [streams.final(row).transcript for row in range(len(batch))]
            progress(sum(map(len, batch)) / self.sample_rate)
        return transcripts

    def initial_state(self, count: int) -> tuple[Arrays, SearchState]:
        """Return what `count` new streams carry along: the encoder's state, as its caches, and the decoder's."""
        return self._windows.initial_state(count), (self._search or self._decoder).initial_state(count)

    def step(
        self, windows: Floats, lengths: Integers, state: tuple[Arrays, SearchState], silent: NDArray[np.bool_]
    ) -> tuple[list[Hypothesis], tuple[Arrays, SearchState]]:
        """Encode and decode the next windows, float32 [B, F, T] and int64 [B]; length 0 leaves a stream as it is.

        Streams that are silent, bool [B], are encoded but not decoded, as they have no words.
        Returns: the labels that are new and will not change, and the state after them.
        """
        encoder_state, search_state = state
        with self._timed("encoder"):
            conditions = repeated(self._conditions, len(lengths))
            encoded, frames, encoder_state = self._windows.encode(windows, lengths, encoder_state, conditions)
        with self._timed("decoder"):
            hypotheses, search_state = self._decode(encoded, frames, silent, search_state)
        return hypotheses, (encoder_state, search_state)

    def _decode(
        self, encoded: Floats, frames: Integers, silent: NDArray[np.bool_], state: SearchState
    ) -> tuple[list[Hypothesis], SearchState]:
        decoded, passed = np.where(silent, 0, frames), np.where(silent, frames, 0)
        if self._search and isinstance(state, BeamState):
            return self._search.settle(self._search.pass_over(self._search.decode(encoded, decoded, state), passed))
        assert isinstance(state, DecoderState)
        hypotheses, state = self._decoder.decode(encoded, decoded, state)
        skip = np.where(passed > 0, 0, state.skip)
        return hypotheses, replace(state, frames=state.frames + passed, skip=skip)

    def pending(self, state: tuple[Arrays, SearchState], ended: NDArray[np.bool_]) -> list[list[Heard]]:
        """Return what each stream may have said since its settled labels, the best first; nothing if searched greedily.

        ended: bool [B], streams of which no more will come.
        """
        if not (self._search and isinstance(state[1], BeamState)):
            return [[] for _ in ended]
        return [
            [(self.tokens(hypothesis), score) for hypothesis, _, score in ranking[:ALTERNATIVES]]
            for ranking in self._search.alternatives(state[1], ended)
        ]

    def transcript(self, tokens: list[Token]) -> Transcript:
        """Spell out the tokens of a stream, which may get more of them later."""
        return self._vocabulary.transcript(list(tokens))
