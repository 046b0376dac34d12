"""Who hears an audit's recordings: a built recogniser, or the checkpoint in NeMo.

Example:
    texts = listen(Graphs(recognizer), tests)
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transducer.checkpoint.nemo_model import restore_model, use_attention_context
from transducer.speech.audio import Wave, has_signal
from transducer.speech.live import LiveRecognizer
from transducer.speech.recognizer import Recognizer

# Attention over all frames takes memory by the square of a recording's length.
LONGEST_SECONDS = 330
BATCH = 16


class Graphs:
    """A built recogniser, offline or of streams."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def hear(self, waves: Sequence[Wave]) -> list[str | None]:
        return [transcript.text for transcript in self._recognizer.transcribe(waves)]

    def hear_alone(self, waves: Sequence[Wave]) -> list[str | None]:
        return [self._recognizer.transcribe([wave])[0].text for wave in waves]

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> str:
        assert isinstance(self._recognizer, LiveRecognizer), "only streams arrive in pieces"
        parts = (wave[start:end] for start, end in zip([0, *ends], ends, strict=False))
        *_, last = self._recognizer.listen(parts)
        return last.transcript.text


class NeMo:
    """A model as NeMo transcribes it.

    Attributes:
        sample_rate: that recordings must have, in Hz.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.sample_rate = int(model.cfg.sample_rate)

    def hear(self, waves: Sequence[Wave], batch: int = BATCH) -> list[str | None]:
        """Return the texts. A recording without signal has none, as our recogniser has it."""
        longest = LONGEST_SECONDS * self.sample_rate
        texts: list[str | None] = [None if len(wave) > longest else "" for wave in waves]
        places = [place for place, wave in enumerate(waves) if texts[place] == "" and has_signal(wave)]
        if not places:  # NeMo refuses to hear nothing
            return texts
        size = 1 if any(len(waves[place]) > longest / 10 for place in places) else batch
        logging.disable(logging.WARNING)
        outputs = self._model.transcribe([waves[n] for n in places], batch_size=size, num_workers=0, verbose=False)
        logging.disable(logging.NOTSET)
        for place, output in zip(places, outputs, strict=True):
            texts[place] = output.text
        return texts

    def hear_alone(self, waves: Sequence[Wave]) -> list[str | None]:
        return self.hear(waves, batch=1)

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> None:
        """PyTorch is the offline reference: it hears no pieces."""


def nemo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which checkpoint NeMo is to hear by, and how."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    parser.add_argument(
        "--like", type=Path, help="model_meta.json of a streaming encoder, to use its attention context"
    )
    parser.add_argument("--ctc", action="store_true", help="decode by a hybrid's CTC head")


def open_nemo(options: argparse.Namespace) -> NeMo:
    """Return the checkpoint that the options name."""
    model = restore_model(options.checkpoint, options.ctc)
    use_attention_context(model, None, options.like)
    return NeMo(model)
