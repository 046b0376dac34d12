"""Measure WER and CER of a built model's graphs over a NeMo manifest, compared with the checkpoint's in PyTorch.

Example:
    .venv/bin/python py/speech/evaluate.py --model out/demo-tdt --encoder encoder.int8.onnx \
        --manifest models/validation/manifest.jsonl --reference out/demo-tdt/checks/checkpoint.check.json \
        --output out/demo-tdt/checks/wer.encoder.int8.check.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from transducer.core.checks import Check
from transducer.core.cli import InputError, existing, parser, replacing, run
from transducer.core.error_rates import Errors, character_errors, interval, rate, word_errors
from transducer.core.shards import read_shards
from transducer.speech.command_line import encoder_of, graph_arguments, open_recognizer
from transducer.speech.hearing import hear
from transducer.speech.manifest import Utterance, read_lines, stretch
from transducer.speech.meta import read_meta


def main() -> int:
    options = parse_args()
    utterances, problems = read_lines(options.manifest)
    if options.heard:
        texts = read_shards(options.heard, len(utterances))
        problems += [InputError(f"{options.manifest} has audio that cannot be heard; see above.")] * (None in texts)
    else:
        recognizer = open_recognizer(options)
        texts, unheard = hear(recognizer, utterances)
        problems += unheard
    pairs = [(utterance, text) for utterance, text in zip(utterances, texts, strict=True) if text is not None]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if not pairs:
        raise InputError(f"{options.manifest} has no utterance that can be transcribed; correct its lines.")
    rows = compared(pairs, existing(options.reference, "run evaluate_checkpoint.py first"))
    with replacing(options.output.with_suffix("").with_suffix(".jsonl")) as tmp:
        tmp.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    figures = measured(rows)
    print(f"  {summary(figures)}")
    if problems:
        # A partial run prints its figures but writes no check.
        return 2
    check = Check.of(
        encoder_of(options),
        "PyTorch",
        figures={"wer_delta": figures["wer_delta"]["points"]},
        bounds={"wer_delta": options.max_wer_delta},
        accuracy=figures,
        facts=facts_of(options),
    )
    judged(check, options).write(options.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    graph_arguments(args)
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio and text")
    args.add_argument("--reference", type=Path, required=True, help="what evaluate_checkpoint.py wrote")
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what transcribe_shard.py heard")
    args.add_argument("--max-wer-delta", type=float, default=0.5, help="points of WER that the graphs may lose")
    args.add_argument("--output", type=Path, required=True, help="the .check.json; .jsonl goes beside it")
    return args.parse_args()


def facts_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the names of the graphs that options chose, and how streams were cut."""
    decoder = ("ctc",) if options.ctc else ("step",) if options.step else ("predictor", "joint")
    roles = ("frontend", "encoder", *decoder)
    paths = {role: getattr(options, role) for role in roles}
    facts: dict[str, Any] = {"graphs": {role: path.name if path else None for role, path in paths.items()}}
    if options.buffer:
        facts["buffer_seconds"] = options.buffer
    elif options.stream:
        streaming = read_meta(options.model)["streaming"]
        facts["streaming"] = {key: streaming[key] for key in ("att_context_size", "lookahead_ms") if key in streaming}
    return facts


def summary(figures: dict[str, Any]) -> str:
    """Return the figures as one line."""
    wer, pytorch = figures["onnx"]["wer"], figures["pytorch"]["wer"]["points"]
    low, high = wer["interval"]
    return (
        f"WER {wer['points']:.2f} ({low:.2f} to {high:.2f}), PyTorch {pytorch:.2f}, "
        f"on {figures['utterances']} utterances"
    )


def judged(check: Check, options: argparse.Namespace) -> Check:
    """Return the check as passed. Raises: CheckError."""
    low, high = check.accuracy["wer_delta"]["interval"] if check.accuracy else (0, 0)
    advice = (
        "stream in longer chunks, or hear more on either side of each"
        if options.stream
        else "quantize fewer layers, calibrate on more speech"
    )
    sentence = (
        f"{options.output.name}: {summary(dict(check.accuracy or {}))}: {{figure}} points worse ({low:.2f} to "
        f"{high:.2f}) where MAX_WER_DELTA allows {{bound}}; {advice}, or raise the bound in the config if the loss is "
        "worth it."
    )
    return check.judged(options.output.name, sentences={"wer_delta": sentence})


def compared(pairs: list[tuple[Utterance, str]], reference: Path) -> list[dict[str, Any]]:
    """Return a row for each utterance with both transcripts and the word errors of both."""
    texts = {
        (row["audio"], row["offset"], row["reference"]): row["hypothesis"]
        for row in Check.read(reference).facts["hypotheses"]
    }
    rows = []
    for utterance, text in pairs:
        audio, offset, reference_text = utterance["audio_filepath"].name, stretch(utterance).offset, utterance["text"]
        key = audio, offset, reference_text
        if key not in texts:
            raise InputError(f"{reference} has no {audio}: it is of another manifest; delete it and run again.")
        rows.append(
            {"audio": audio, "offset": offset, "reference": reference_text, "onnx": text, "pytorch": texts[key]}
        )
    for system in ("onnx", "pytorch"):
        for row, (edits, _) in zip(rows, _errors(rows, system), strict=True):
            row[f"{system}_word_errors"] = int(edits)
    return rows


def measured(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return WER and CER of both systems and the difference in WER, in points with 95 % intervals."""
    onnx, pytorch = _errors(rows, "onnx"), _errors(rows, "pytorch")
    delta = rate(onnx) - rate(pytorch)
    return (
        {"utterances": len(rows)}
        | {
            system: {
                "wer": {"points": round(rate(errors), 3), "interval": _rounded(interval(errors))},
                "cer": {"points": round(rate(letters), 3), "interval": _rounded(interval(letters))},
            }
            for system, errors, letters in (
                ("onnx", onnx, _errors(rows, "onnx", letters=True)),
                ("pytorch", pytorch, _errors(rows, "pytorch", letters=True)),
            )
        }
        | {
            "wer_delta": {"points": round(delta, 3), "interval": _rounded(interval(onnx, pytorch))},
            "same_transcripts": sum(row["onnx"] == row["pytorch"] for row in rows),
        }
    )


def _errors(rows: list[dict[str, Any]], system: str, letters: bool = False) -> Errors:
    count = character_errors if letters else word_errors
    return count([row["reference"] for row in rows], [row[system] for row in rows])


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]


if __name__ == "__main__":
    sys.exit(run(main))
