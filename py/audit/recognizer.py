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
from transducer.audit.listeners import Graphs
from transducer.audit.listening import Heard, Hearing, hearings, listen, results, total_of
from transducer.audit.outcome import Outcome, bounds_of
from transducer.core.checks import Check
from transducer.core.cli import InputError, existing, log, parser, replacing, run
from transducer.core.shards import read_shards
from transducer.speech.command_line import encoder_of, graph_arguments, open_recognizer
from transducer.speech.meta import read_meta

# Recordings beyond this are not kept as examples.
EXAMPLE_SECONDS = 60


def main() -> int:
    options = parse_args()
    rate = int(read_meta(options.model)["sample_rate"])
    clips = sample(options.manifest, options.clips, rate)
    tests = hearings(clips, rate, options.minutes, options.stream)
    reference = read_reference(options.reference, clips, options.minutes)
    changed_by_pytorch = dict(reference.accuracy or {})
    examples = options.output.with_suffix("").with_suffix("")
    shutil.rmtree(examples, ignore_errors=True)
    figures, worst = {}, {}
    texts = read_shards(options.heard, total_of(tests)) if options.heard else listen_by_graphs(options, tests)
    for test, result in results(tests, texts):
        outcome, pytorch = result.outcome, changed_by_pytorch.get(test)
        figures[test] = outcome.summary() | {"pytorch": pytorch}
        if example := keep_worst(result, reference.facts["texts"].get(test), rate, examples, test):
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


def listen_by_graphs(options: argparse.Namespace, tests: Sequence[Hearing]) -> list[str | None]:
    return listen(Graphs(open_recognizer(options)), tests)


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
    ]
    changed = ((number, result.cases[number].make()) for edits, number in sorted(rows, reverse=True) if edits)
    short = ((number, wave) for number, wave in changed if len(wave) <= EXAMPLE_SECONDS * rate)
    number, wave = next(short, (0, None))
    if wave is None:
        return None
    path = folder / f"{test}.wav"
    with replacing(path) as tmp:
        soundfile.write(tmp, wave, rate, format="WAV", subtype="PCM_16")
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
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what hear_shard.py heard")
    args.add_argument("--output", type=Path, required=True, help="the .check.json; examples go to a folder beside it")
    return args.parse_args()


if __name__ == "__main__":
    sys.exit(run(main))
