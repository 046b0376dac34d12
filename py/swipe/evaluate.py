"""Measure a swipe model's graphs on a manifest of traces, compared with the checkpoint: top-1, 3 and 5.

Example:
    .venv/bin/python py/swipe/evaluate.py --encoder out/demo-swipe/onnx/encoder.int8.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/model_meta.json \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --reference out/demo-swipe/checks/checkpoint.check.json \
        --output out/demo-swipe/checks/top1.encoder.int8.check.json
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.checks import Check
from transducer.core.cli import InputError, existing, log, parser, run
from transducer.core.error_rates import interval, rate
from transducer.core.shards import read_shards
from transducer.swipe.accuracy import accuracy, groups_of, summary
from transducer.swipe.recognition import decode_traces, graph_arguments, inputs_of, search_arguments, search_facts


def main() -> int:
    options = parse_args()
    traces, layout, search = inputs_of(options)
    if options.heard:
        words = read_shards(options.heard, len(traces))
    else:
        words = decode_traces(options.encoder, options.step, traces, layout, search)
    figures = accuracy(traces, words, groups_of(traces, set(search.lexicon.words)))
    wrong = np.array([(best[:1] != [trace.word], 1) for trace, best in zip(traces, words, strict=True)], np.int64)
    before = reference_errors(options.reference, search_facts(options, search, traces))
    delta, (low, high) = rate(wrong) - rate(before), interval(wrong, before)
    lost = {"points": round(delta, 3), "interval": [round(low, 3), round(high, 3)]}
    graphs = {"encoder": options.encoder.name, "rnnt_step": options.step.name}
    check = Check.of(
        options.encoder,
        "PyTorch",
        figures={"top1_delta": delta},
        bounds={"top1_delta": options.max_top1_delta},
        accuracy={"traces": len(traces), **figures, "top1_delta": lost},
        facts={"graphs": graphs, **search_facts(options, search, traces)},
    )
    text = f"top-1 / 3 / 5 of {summary(figures)}; {delta:.2f} points ({low:.2f} to {high:.2f}) of top-1 lost"
    log.info("%s", text)
    sentence = (
        f"{options.output.name}: {text} against PyTorch where MAX_TOP1_DELTA allows {{bound}}; quantize fewer layers, "
        "calibrate on more traces, or raise the bound in the config if the loss is worth it."
    )
    check.judged(options.output.name, sentences={"top1_delta": sentence}).write(options.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    graph_arguments(args)
    search_arguments(args)
    args.add_argument("--reference", type=Path, required=True, help="what swipe/evaluate_checkpoint.py wrote")
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what decode_shard.py decoded")
    args.add_argument("--max-top1-delta", type=float, default=0.5, help="points of top-1 that the graphs may lose")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    return args.parse_args()


def reference_errors(path: Path, facts: dict[str, Any]) -> np.ndarray:
    """Return which traces PyTorch gets wrong, int64 [traces, 2]: 1 if so, and 1."""
    recorded = Check.read(existing(path, "run `make validate` first")).facts
    if any(recorded.get(key) != value for key, value in facts.items()):
        raise InputError(f"{path} is of other traces or another search; delete it and run again.")
    errors = np.tile(np.array([0, 1], np.int64), (recorded["traces"], 1))
    errors[[error["trace"] for error in recorded["errors"]], 0] = 1
    return errors


if __name__ == "__main__":
    sys.exit(run(main))
