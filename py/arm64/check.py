"""Check a form of an encoder on an emulated arm64 processor against the same file here: error, accuracy, differences.

Example:
    .venv/bin/python py/arm64/check.py --here out/demo-tdt/onnx/encoder.int8.onnx \
        --there out/demo-tdt/arm64/encoder.int8.onnx.remote \
        --found-here out/demo-tdt/arm64/here.encoder.int8.onnx.json \
        --found-there out/demo-tdt/arm64/there.encoder.int8.onnx.json --manifest models/validation/manifest.jsonl \
        --meta out/demo-tdt/meta/model_meta.json --output out/demo-tdt/checks/arm64.encoder.int8.onnx.check.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cases import bound_of
from transducer.core.checks import Check
from transducer.core.cli import existing, log, parser, run
from transducer.core.error_rates import Errors, interval, rate, word_errors
from transducer.core.shards import read_shards
from transducer.runtime.loader import open_graph
from transducer.runtime.parity import compare
from transducer.runtime.sessions import session_runner
from transducer.speech.manifest import read_lines
from transducer.swipe.traces import read_traces

# One row and several, that end in the middle of a window. A swipe has fewer frames.
SIZES = {"speech": [{"B": 1, "T": 160}, {"B": 3, "T": 403}], "swipe": [{"B": 1, "T": 40}, {"B": 3, "T": 103}]}


def main() -> int:
    options = parse_args()
    meta = json.loads(existing(options.meta, "run `make meta` first").read_text(encoding="utf-8"))
    task = "swipe" if "swipe" in meta else "speech"
    here, there = (session_runner(open_graph(path, threads=1)) for path in (options.here, options.there))
    cases = compare("encoder", here, there, meta["dims"], {}, SIZES[task])
    figures = swipe_figures(options) if task == "swipe" else speech_figures(options)
    delta = abs(figures["delta"]["points"])
    check = Check.of(
        options.here,
        "the same file on x86",
        cases=cases,
        figures={"delta": delta},
        bounds={"delta": options.max_delta, "max_abs": bound_of(cases, options.max_abs) if options.max_abs else None},
        accuracy=figures,
        facts={"processor": "arm64, a Neoverse N1 emulated by QEMU"},
    )
    text = (
        f"{figures['metric']} {figures['there']:.2f} on arm64 and {figures['here']:.2f} here, "
        f"{figures['different']} of {figures['items']} differ"
    )
    log.info("%s: %s", options.here.name, text)
    sentence = (
        f"{options.here.name}: {text}, {{figure}} points where MAX_ARM64_DELTA allows {{bound}}; use another form."
    )
    check.judged(f"{options.here} on arm64", sentences={"delta": sentence}).write(options.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--here", type=Path, required=True, help="the encoder")
    args.add_argument("--there", type=Path, required=True, help=".remote file of the same encoder")
    for place in ("here", "there"):
        args.add_argument(
            f"--found-{place}", type=Path, required=True, help=f"what transcribe_shard or decode_shard found {place}"
        )
    args.add_argument("--manifest", type=Path, required=True, help="of what was recognized")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json; vocab.txt lies beside it")
    args.add_argument("--max-delta", type=float, default=0.3, help="points of WER or top-1 between the processors")
    args.add_argument("--max-abs", type=float, help="largest absolute error that passes, for small values")
    args.add_argument("--output", type=Path, required=True)
    return args.parse_args()


def speech_figures(options: argparse.Namespace) -> dict[str, Any]:
    """Return the word error rates, and in how many transcripts they differ."""
    utterances, _ = read_lines(options.manifest)
    references = [utterance["text"] for utterance in utterances]
    here, there = (read_shards([path], len(references)) for path in (options.found_here, options.found_there))
    # What cannot be heard has no words.
    texts = ([text or "" for text in transcripts] for transcripts in (here, there))
    errors = [word_errors(references, transcripts) for transcripts in texts]
    return summary("WER", errors[0], errors[1], here, there)


def swipe_figures(options: argparse.Namespace) -> dict[str, Any]:
    """Return the errors in top-1, and in how many traces the best word differs."""
    labels = options.meta.with_name("vocab.txt").read_text(encoding="utf-8").splitlines()
    traces = read_traces(options.manifest, "".join(labels))
    here, there = (read_shards([path], len(traces)) for path in (options.found_here, options.found_there))
    wrong = [
        np.array([(best[:1] != [trace.word], 1) for trace, best in zip(traces, candidates, strict=True)], np.int64)
        for candidates in (here, there)
    ]
    best = ([words[:1] for words in candidates] for candidates in (here, there))
    return summary("errors in top-1", wrong[0], wrong[1], *best)


def summary(metric: str, before: Errors, after: Errors, here: list[Any], there: list[Any]) -> dict[str, Any]:
    low, high = interval(after, before)
    return {
        "metric": metric,
        "items": len(here),
        "here": round(rate(before), 3),
        "there": round(rate(after), 3),
        "delta": {"points": round(rate(after) - rate(before), 3), "interval": [round(low, 3), round(high, 3)]},
        "different": sum(one != other for one, other in zip(here, there, strict=True)),
    }


if __name__ == "__main__":
    sys.exit(run(main))
