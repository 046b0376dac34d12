"""Measure a swipe model's graphs on a manifest of traces beside the checkpoint's own figures: top-1, 3 and 5.

Example:
    .venv/bin/python py/swipe/evaluate.py --encoder out/demo-swipe/onnx/encoder.int8.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/model_meta.json \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --reference out/demo-swipe/checks/checkpoint.check.json \
        --output out/demo-swipe/checks/top1.encoder.int8.check.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import CheckError, InputError, existing, log, parser, run, write_json
from transducer.core.error_rates import interval, rate
from transducer.swipe.accuracy import accuracy, summary
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of
from transducer.swipe.recognition import (
    decode_all,
    encoder_frames,
    open_encoder,
    open_step,
    search_arguments,
    search_facts,
    search_of,
)
from transducer.swipe.traces import read_traces


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--encoder", type=Path, required=True)
    args.add_argument("--step", type=Path, required=True, help="an rnnt_step graph")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json; vocab.txt lies beside it")
    search_arguments(args)
    args.add_argument("--reference", type=Path, required=True, help="what evaluate_swipe_checkpoint.py wrote")
    args.add_argument("--max-top1-delta", type=float, default=0.5, help="points of top-1 that the graphs may lose")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    options = args.parse_args()
    meta = json.loads(existing(options.meta, "run `make meta` first").read_text(encoding="utf-8"))
    if "swipe" not in meta:
        raise InputError(f"{options.meta} is of no swipe model; evaluate speech with evaluate_wer.py.")
    labels = options.meta.with_name("vocab.txt").read_text(encoding="utf-8").splitlines()
    traces = read_traces(options.manifest, "".join(labels))
    layout = layout_of(meta["swipe"]["layout"], str(options.meta))
    search = search_of(options, labels, meta["dims"])
    encode, step = open_encoder(options.encoder), open_step(options.step)
    frames = (encoder_frames(encode, swipe_features(trace.points, layout)) for trace in traces)
    found, milliseconds = decode_all(frames, step, search, len(traces))
    figures = accuracy(traces, found)
    wrong = np.array([(words[:1] != [trace.word], 1) for trace, words in zip(traces, found, strict=True)], np.int64)
    before = reference_errors(options.reference, search_facts(options, search, traces))
    delta, (low, high) = rate(wrong) - rate(before), interval(wrong, before)
    told = f"top-1 / 3 / 5 of {summary(figures)}; {delta:.2f} points ({low:.2f} to {high:.2f}) of top-1 lost"
    log.info("%s", told)
    if not delta <= options.max_top1_delta:
        raise CheckError(
            f"{options.output.name}: {told} against PyTorch where MAX_TOP1_DELTA allows {options.max_top1_delta:g}; "
            "quantize fewer layers, calibrate on more traces, or raise the bound in the config if the loss is worth it."
        )
    report = {
        "graphs": {"encoder": options.encoder.name, "rnnt_step": options.step.name},
        **search_facts(options, search, traces),
        "cpu_milliseconds": milliseconds,
        **figures,
        "top1_delta": {"points": round(delta, 3), "interval": [round(low, 3), round(high, 3)]},
        "bound_top1_delta": options.max_top1_delta,
        "passed": True,
    }
    write_json(options.output, report)
    return 0


def reference_errors(path: Path, facts: dict[str, Any]) -> np.ndarray:
    """Return which traces PyTorch gets wrong, int64 [traces, 2]: 1 if so, and 1."""
    report = json.loads(existing(path, "run `make validate` first").read_text(encoding="utf-8"))
    if any(report[key] != value for key, value in facts.items()):
        raise InputError(f"{path} is of other traces or another search; delete it and run again.")
    errors = np.tile(np.array([0, 1], np.int64), (report["traces"], 1))
    errors[[error["trace"] for error in report["errors"]], 0] = 1
    return errors


if __name__ == "__main__":
    sys.exit(run(main))
