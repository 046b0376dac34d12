"""Audit a built model's whole recogniser: what changes its transcripts though the words do not change.

Example:
    .venv/bin/python py/audit/recognizer.py --model out/demo-tdt --encoder out/demo-tdt/onnx/encoder.int8.onnx \
        --manifest models/validation/manifest.jsonl --reference out/demo-tdt/checks/audit.checkpoint.check.json \
        --output out/demo-tdt/checks/audit.encoder.int8.check.json
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile
from kaldialign import edit_distance

from transducer.audit.cases import Clip, sample, sample_arguments
from transducer.audit.listening import Heard, listen
from transducer.audit.outcome import Outcome, bounds_of
from transducer.core.checks import Check
from transducer.core.cli import InputError, existing, log, parser, replacing, run
from transducer.speech.audio import Wave
from transducer.speech.command_line import encoder_of, graph_arguments, open_recognizer
from transducer.speech.live import LiveRecognizer
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

# Recordings beyond this are not kept as examples.
EXAMPLE_SECONDS = 60


def main() -> int:
    options = parse_args()
    recognizer = open_recognizer(options)
    clips = sample(read_manifest(options.manifest), options.clips, recognizer.sample_rate)
    reference = read_reference(options.reference, clips, options.minutes)
    changed_by_pytorch = dict(reference.accuracy or {})
    examples = options.output.with_suffix("").with_suffix("")
    shutil.rmtree(examples, ignore_errors=True)
    figures, worst = {}, {}
    for test, result in listen(clips, recognizer.sample_rate, options.minutes, Listener(recognizer)):
        outcome, pytorch = result.outcome, changed_by_pytorch.get(test)
        figures[test] = outcome.summary() | {"pytorch": pytorch}
        if example := keep_worst(result, reference.facts["texts"].get(test), recognizer.sample_rate, examples, test):
            worst[test] = example
        log.info("%s", line(test, outcome, pytorch))
    bounds = bounds_of(options.max_changed, list(figures))
    more = {test: round(row["share"] - (row["pytorch"] or {"share": 0})["share"], 3) for test, row in figures.items()}
    check = Check.of(
        encoder_of(options),
        "PyTorch",
        figures=more,
        bounds=bounds,
        accuracy=figures,
        facts={"clips": len(clips), "stream": options.stream, "worst": worst},
    )
    sentences = {
        test: f"{options.output.name}: {line(test, None, row['pytorch'])}, by {row['share']:.2f} % here: {{figure}} "
        f"points more where AUDIT_MAX_CHANGED allows {{bound}}; hear {examples}/{test}.wav, mend the cause, or allow "
        "it in the config with its reason."
        for test, row in figures.items()
    }
    check.judged(options.output.name, sentences=sentences).write(options.output)
    return 0


class Listener:
    """A built recogniser, offline or of streams."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def hear(self, waves: Sequence[Wave]) -> list[str | None]:
        return [transcript.text for transcript in self._recognizer.transcribe(waves)]

    def hear_alone(self, waves: Sequence[Wave]) -> list[str | None]:
        return [self._recognizer.transcribe([wave])[0].text for wave in waves]

    def hear_pieces(self, wave: Wave, ends: Sequence[int]) -> str | None:
        if not isinstance(self._recognizer, LiveRecognizer):
            return None
        parts = (wave[start:end] for start, end in zip([0, *ends], ends, strict=False))
        *_, last = self._recognizer.listen(parts)
        return last.transcript.text


def read_reference(path: Path, clips: Sequence[Clip], minutes: Sequence[float]) -> Check:
    """Return what the checkpoint heard. Raises: InputError if it heard other recordings."""
    check = Check.read(existing(path, "run audit/checkpoint.py first"))
    if (check.facts["clips"], check.facts["minutes"]) != ([clip.name for clip in clips], list(minutes)):
        raise InputError(f"{path} is of other recordings; delete it and run again.")
    return check


def keep_worst(
    result: Heard, pytorch: Sequence[str | None] | None, rate: int, folder: Path, test: str
) -> dict[str, Any] | None:
    """Write the recording whose text changed most as a WAV file; return what was heard in it, and by PyTorch."""
    rows = [
        (edit_distance(expected.split(), (text or "").split())["total"], number)
        for number, (expected, text) in enumerate(zip(result.expected, result.texts, strict=True))
        if len(result.cases[number].wave) <= EXAMPLE_SECONDS * rate
    ]
    edits, number = max(rows, default=(0, 0))
    if not edits:
        return None
    path = folder / f"{test}.wav"
    with replacing(path) as tmp:
        soundfile.write(tmp, result.cases[number].wave, rate, format="WAV", subtype="PCM_16")
    case = {"file": f"{folder.name}/{path.name}", "change": result.cases[number].change}
    return case | {
        "expected": result.expected[number],
        "heard": result.texts[number],
        "pytorch": pytorch[number] if pytorch else None,
    }


def line(test: str, outcome: Outcome | None, pytorch: dict[str, Any] | None) -> str:
    """Return what a test changed, here and by PyTorch."""
    here = f"{outcome.share:.2f} % of {outcome.cases}, {outcome.inserted} words inserted; " if outcome else ""
    there = f"{pytorch['share']:.2f} %" if pytorch and pytorch["cases"] else "nothing measured"
    return f"{test} changes {here}PyTorch {there}"


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    graph_arguments(args)
    sample_arguments(args)
    args.add_argument("--reference", type=Path, required=True, help="what audit/checkpoint.py wrote")
    args.add_argument(
        "--max-changed", nargs="+", default=["2"], metavar="POINTS", help="more than PyTorch; TEST=POINTS for one"
    )
    args.add_argument("--output", type=Path, required=True, help="the .check.json; examples go to a folder beside it")
    return args.parse_args()


if __name__ == "__main__":
    sys.exit(run(main))
