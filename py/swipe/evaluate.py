"""Measure a swipe model's graphs on a manifest of traces, compared with the checkpoint: top-1, 3 and 5.

Example:
    .venv/bin/python py/swipe/evaluate.py --encoder out/demo-swipe/onnx/encoder.int8.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/model_meta.json \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --reference out/demo-swipe/checks/checkpoint.check.json \
        --output out/demo-swipe/checks/top1.encoder.int8.check.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.checks import Check
from transducer.core.cli import InputError, existing, log, parser, run
from transducer.core.error_rates import interval, rate
from transducer.swipe.accuracy import accuracy, groups_of, summary
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.facts import Facts
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout
from transducer.swipe.recognition import (
    decode_all,
    encoder_frames,
    layout_of_swipes,
    open_encoder,
    open_step,
    search_arguments,
    search_facts,
    search_of,
)
from transducer.swipe.traces import Trace, read_traces


def main() -> int:
    options = parse_args()
    meta = json.loads(existing(options.meta, "run `make meta` first").read_text(encoding="utf-8"))
    if "swipe" not in meta:
        raise InputError(f"{options.meta} is not of a swipe model; evaluate speech with speech/evaluate.py.")
    labels = options.meta.with_name("vocab.txt").read_text(encoding="utf-8").splitlines()
    traces = read_traces(options.manifest, "".join(labels))
    search = search_of(options, labels, meta["dims"])
    layout = layout_of_swipes(options, Facts(meta, str(options.meta)).layout)
    words, milliseconds = decode(options, traces, layout, search)
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
        facts={"graphs": graphs, **search_facts(options, search, traces), "cpu_milliseconds": milliseconds},
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
    args.add_argument("--encoder", type=Path, required=True)
    args.add_argument("--step", type=Path, required=True, help="an rnnt_step graph")
    args.add_argument("--meta", type=Path, required=True, help="model_meta.json; vocab.txt lies beside it")
    search_arguments(args)
    args.add_argument("--reference", type=Path, required=True, help="what swipe/evaluate_checkpoint.py wrote")
    args.add_argument("--max-top1-delta", type=float, default=0.5, help="points of top-1 that the graphs may lose")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    return args.parse_args()


def decode(
    options: argparse.Namespace, traces: list[Trace], layout: Layout, search: BeamSearch
) -> tuple[list[list[str]], float]:
    """Return the best words of each trace by the graphs, and the CPU time per trace in ms."""
    encode, step = open_encoder(options.encoder), open_step(options.step)
    frames = (encoder_frames(encode, swipe_features(trace.points, layout)) for trace in traces)
    return decode_all(frames, step, search, len(traces))


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
