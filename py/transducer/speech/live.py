"""Streams transcribed while they are heard, by the streaming encoder of a built model.

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
from transducer.runtime.greedy import DecoderState, Hypothesis, Integers
from transducer.speech.audio import Wave
from transducer.speech.recognizer import Recognizer, read_meta
from transducer.speech.streams import BATCH_ROWS, TYPES, Partial, Streams
from transducer.speech.transcript import Token, Transcript

ENCODER = "encoder_streaming.onnx"


class LiveRecognizer(Recognizer):
    """A recognizer whose encoder takes streams window by window, as `streaming` in model_meta.json says.

    Args: those of Recognizer; recordings are never cut, however long.

    Raises: InputError as Recognizer does, and if the model was built without its streaming encoder.
    """

    def __init__(
        self,
        folder: Path,
        frontend: Path | None = None,
        encoder: Path | None = None,
        predictor: Path | None = None,
        joint: Path | None = None,
    ) -> None:
        if "streaming" not in read_meta(folder):
            raise InputError(f"{folder} was built without its streaming encoder; build it with `make all STREAMING=1`.")
        encoder = encoder or folder / "onnx" / ENCODER
        super().__init__(folder, frontend, encoder, predictor, joint)
        self.streaming = self.meta["streaming"]
        self._inputs = [value.name for value in self._encoder.get_inputs()]
        self._outputs = [value.name for value in self._encoder.get_outputs()]
        if not set(self.streaming["initial_state"]) <= set(self._inputs):
            raise InputError(f"{encoder} is not a streaming encoder; name a variant of {ENCODER}.")

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
        yield replace(streams.partial(0), final=True)

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
            transcripts += [streams.partial(row).transcript for row in range(len(batch))]
            progress(sum(map(len, batch)) / self.sample_rate)
        return transcripts

    def initial_state(self, count: int) -> tuple[Arrays, DecoderState]:
        """Return what `count` new streams carry along: the encoder's caches and the decoder's state."""
        caches = {
            name: np.full(
                [count if axis == "B" else axis for axis in cache["shape"]], cache["value"], TYPES[cache["dtype"]]
            )
            for name, cache in self.streaming["initial_state"].items()
        }
        return caches, self._decoder.initial_state(count)

    def step(
        self, windows: Floats, lengths: Integers, state: tuple[Arrays, DecoderState], silent: NDArray[np.bool_]
    ) -> tuple[list[Hypothesis], tuple[Arrays, DecoderState]]:
        """Encode and decode the next windows, float32 [B, F, T] and int64 [B]; length 0 leaves a stream as it is.

        Streams that are silent, bool [B], are encoded but not decoded, as they have no words.
        """
        caches, decoder_state = state
        signal, length = self._inputs[:2]
        with self._timed("encoder"):
            arrays = self._encoder.run(None, {signal: windows, length: lengths, **caches})
        encoded, frames, *_ = arrays
        after = dict(zip(self._outputs, arrays, strict=True))
        with self._timed("decoder"):
            found, decoder_state = self._decoder.decode(encoded, np.where(silent, 0, frames), decoder_state)
        if silent.any():
            passed = decoder_state.frames + np.where(silent, frames, 0)
            decoder_state = replace(decoder_state, frames=passed, skip=np.where(silent, 0, decoder_state.skip))
        return found, ({name: after[f"{name}_out"] for name in caches}, decoder_state)

    def transcript(self, tokens: list[Token]) -> Transcript:
        """Spell out the tokens of a stream, which may get more of them later."""
        return self._vocabulary.transcript(list(tokens))
