"""Waveforms to transcripts by the ONNX graphs of a built model, with ONNX Runtime and NumPy alone.

Example:
    recognizer = Recognizer(Path("out/demo-tdt"), encoder=Path("out/demo-tdt/onnx/encoder.int8.onnx"))
    [transcript] = recognizer.transcribe([read_audio(Path("a.wav"), recognizer.sample_rate)])
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError
from transducer.core.contracts import Arrays, Floats
from transducer.decoding.beam_search import Alternative
from transducer.decoding.greedy import Hypothesis, Integers
from transducer.runtime.loader import open_graph
from transducer.speech.alternatives import Heard, likeliest
from transducer.speech.audio import Wave, has_signal
from transducer.speech.decoders import open_decoder
from transducer.speech.grouping import BATCH_ROWS, SEARCH_ROWS, batches, groups, joined, length
from transducer.speech.long_audio import Piece, cut, join
from transducer.speech.meta import read_meta
from transducer.speech.steering import Steering, repeated
from transducer.speech.transcript import Token, Transcript, Vocabulary

# Recordings above the second are cut: models are trained on about 20 s, and attention costs its square.
SEGMENT_SECONDS = (15.0, 30.0)
# Texts of a recording, where a beam search finds so many.
ALTERNATIVES = 8
GREEDY = Steering()


class Recognizer:
    """A built model: its frontend, encoder, predictor and joint graphs, and what model_meta.json says of them.

    Args:
        folder: the model's build folder, with onnx/ and meta/.
        frontend, encoder, predictor, joint: graphs to use in place of the folder's fp32 ones, ONNX, .pte or .plan.
        step, ctc: an rnnt_step graph, or a hybrid's CTC head, to use in place of predictor and joint.
        steering: how to search; the greedy search unless given.
        segment_seconds: shortest and longest stretch that the encoder gets of a recording too long for it.

    Attributes:
        meta: the content of model_meta.json.
        sample_rate: that waveforms must have, in Hz.
        seconds: time spent so far in the frontend, encoder and decoder.

    Raises: InputError if a file is missing, is of another build, or takes one fixed size only.
    """

    def __init__(
        self,
        folder: Path,
        frontend: Path | None = None,
        encoder: Path | None = None,
        predictor: Path | None = None,
        joint: Path | None = None,
        segment_seconds: tuple[float, float] = SEGMENT_SECONDS,
        step: Path | None = None,
        ctc: Path | None = None,
        steering: Steering = GREEDY,
    ) -> None:
        meta = read_meta(folder)
        self.meta = meta
        self.sample_rate = int(meta["sample_rate"])
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._frame_seconds = meta["subsampling_factor"] * meta["window_stride"]
        self._tdt = bool(meta["durations"]) and not ctc
        self._segment_seconds = segment_seconds
        self._vocabulary = Vocabulary.read(folder / "meta/vocab.txt", meta["tokenizer"])
        graphs = folder / "onnx"
        self._frontend = open_graph(frontend or graphs / "frontend.onnx")
        self._encoder = open_graph(encoder or graphs / "encoder.onnx")
        self._decoder, limit = open_decoder(meta, graphs, predictor, joint, step, ctc)
        self._search = steering.search(self._decoder, self._vocabulary)
        self._conditions = steering.conditions(meta)
        # A TensorRT engine takes the batches that it was built for, in which each prefix of a beam is a row.
        beam = self._search.beam if self._search else 1
        most = limit or SEARCH_ROWS * beam
        if most < beam:
            raise InputError(
                f"{step or joint} takes {most} rows, fewer than the beam of {beam}; give a beam of {most} at most."
            )
        # A beam search takes the recordings of several batches; the greedy one is quick as it is.
        self._search_rows = most // beam if self._search else 1
        self._rows = min(getattr(self._encoder, "max_rows", BATCH_ROWS), most // beam)

    def transcribe(
        self, waves: Sequence[Wave], progress: Callable[[float], object] = lambda seconds: None
    ) -> list[Transcript]:
        """Transcribe recordings, float32 [samples] each; long ones in pieces, all of them in batches.

        `progress` gets the seconds of audio that were done since its last call.
        """
        cuttings = [cut(wave, self.sample_rate, *self._segment_seconds) for wave in waves]
        # What has no signal has no words, though a model may be trained so that it hears some.
        pieces = [
            [piece for piece in cuts if has_signal(wave[piece.start : piece.stop])]
            for wave, cuts in zip(waves, cuttings, strict=True)
        ]
        places = [(row, column) for row, cuts in enumerate(pieces) for column in range(len(cuts))]
        results: dict[tuple[int, int], list[Heard]] = {}

        def seconds(place: tuple[int, int]) -> float:
            return length(pieces[place[0]][place[1]]) / self.sample_rate

        for group in groups(batches(places, seconds, self._rows), seconds, self._search_rows):
            encoded = []
            for batch in group:
                cuts = [(waves[row], pieces[row][column]) for row, column in batch]
                parts = [wave[piece.start : piece.stop] for wave, piece in cuts]
                encoded.append(self._encode(*self.features(parts)))
                progress(sum(map(len, parts)) / self.sample_rate)
            results |= dict(zip(itertools.chain(*group), self._hear(*joined(encoded)), strict=True))
        return [
            self._transcript(cuts, likeliest([results[row, column] for column in range(len(cuts))], ALTERNATIVES))
            for row, cuts in enumerate(pieces)
        ]

    def _transcript(self, pieces: Sequence[Piece], n_best: Sequence[tuple[Sequence[list[Token]], float]]) -> Transcript:
        """Return a recording's transcript by what may have been heard in its pieces, the best first."""
        candidates = [
            (self._vocabulary.transcript(join(list(zip(pieces, parts, strict=True)), self.sample_rate)), score)
            for parts, score in n_best
        ]
        texts: dict[str, float] = {}
        for transcript, score in candidates if self._search and pieces else ():
            texts.setdefault(transcript.text, score)
        return replace(candidates[0][0], alternatives=tuple(texts.items()))

    def features(self, waves: Sequence[Wave]) -> tuple[Floats, Integers]:
        """Run the frontend on waveforms [samples] of any lengths: features [B, F, T] and lengths [B]."""
        lengths = np.array([len(wave) for wave in waves], dtype=np.int64)
        padded = np.zeros((len(waves), lengths.max()), np.float32)
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = wave
        with self._timed("frontend"):
            features, frames = self._frontend.run(None, {"waveform": padded, "length": lengths})
        return features, frames

    def recognize(self, features: Floats, lengths: Integers) -> list[Hypothesis]:
        """Run the encoder and decoder on features, float32 [B, F, T] and int64 [B]."""
        return [alternatives[0].hypothesis for alternatives in self._alternatives(*self._encode(features, lengths))]

    def _hear(self, encoded: Floats, frames: Integers) -> list[list[Heard]]:
        """Return the tokens of the best hypotheses in each row of encoder frames, with their scores."""
        return [
            [(self.tokens(hypothesis), score) for hypothesis, _, score in alternatives[:ALTERNATIVES]]
            for alternatives in self._alternatives(encoded, frames)
        ]

    def _encode(self, features: Floats, lengths: Integers) -> tuple[Floats, Integers]:
        first, second, *_ = (value.name for value in self._encoder.get_inputs())
        with self._timed("encoder"):
            inputs: Arrays = {first: features, second: lengths, **repeated(self._conditions, len(lengths))}
            encoded, frames = self._encoder.run(None, inputs)
        return encoded, frames

    def _alternatives(self, encoded: Floats, frames: Integers) -> list[list[Alternative]]:
        with self._timed("decoder"):
            if not self._search:
                return [[Alternative(hypothesis, 0.0, 0.0)] for hypothesis in self._decoder.decode(encoded, frames)[0]]
            return self._search.alternatives(self._search.decode(encoded, frames))

    def tokens(self, hypothesis: Hypothesis) -> list[Token]:
        """Give the labels of a hypothesis their times in seconds."""
        columns = zip(hypothesis.tokens, hypothesis.frames, hypothesis.durations, hypothesis.confidences, strict=True)
        unit = self._frame_seconds
        return [
            Token(label, frame * unit, (frame + (duration if self._tdt else 1)) * unit, confidence)
            for label, frame, duration, confidence in columns
        ]

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - began
