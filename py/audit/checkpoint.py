"""Hear an audit's recordings by the checkpoint in NeMo, beside which the changes of its graphs are judged.

Example:
    .venv/bin/python py/audit/checkpoint.py --checkpoint out/demo-tdt/checkpoint \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/checks/audit.checkpoint.check.json
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transducer.audit.cases import sample, sample_arguments
from transducer.audit.listening import listen
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.nemo_model import restore_model, use_attention_context
from transducer.core.checks import Check
from transducer.core.cli import parser, run
from transducer.speech.audio import Wave, has_signal
from transducer.speech.manifest import read_manifest

# Attention over all frames takes memory by the square of a recording's length.
LONGEST_SECONDS = 330
BATCH = 16


def main() -> int:
    args = parse_args()
    source = Checkpoint(args.checkpoint).manifest
    utterances = read_manifest(args.manifest)
    model = restore_model(args.checkpoint, args.ctc)
    use_attention_context(model, None, args.like)
    rate = int(model.cfg.sample_rate)
    clips = sample(utterances, args.clips, rate)
    results = dict(listen(clips, rate, args.minutes, NeMo(model)))
    facts = {
        "clips": [clip.name for clip in clips],
        "minutes": args.minutes,
        "texts": {test: list(result.texts) for test, result in results.items()},
    }
    figures = {test: result.outcome.summary() for test, result in results.items()}
    check = Check(source["source"], source["sha256"], {}, args.manifest.name, accuracy=figures, facts=facts)
    check.judged(source["source"]).write(args.output)
    return 0


class NeMo:
    """A model as NeMo transcribes it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def hear(self, waves: Sequence[Wave], batch: int = BATCH) -> list[str | None]:
        """Return the texts. A recording without signal has none, as our recogniser has it."""
        longest = LONGEST_SECONDS * int(self._model.cfg.sample_rate)
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


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    sample_arguments(args)
    args.add_argument("--like", type=Path, help="model_meta.json of a streaming encoder, to use its attention context")
    args.add_argument("--ctc", action="store_true", help="decode by a hybrid's CTC head")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    return args.parse_args()


if __name__ == "__main__":
    sys.exit(run(main))
