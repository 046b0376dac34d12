"""Quantize a graph's matrices to int8 with static ranges, as QuantizeLinear and DequantizeLinear around each MatMul.

Ranges of activations are found on real speech or swipes: what joint and rnnt_step are given is that of greedy
decoding. Masks, attention scores, norms and LSTMs stay fp32, convolutions too unless asked for.

Example:
    .venv/bin/python py/quantize/int8_qdq.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl \
        --output out/demo-tdt/onnx/encoder.int8-qdq.onnx
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from onnxruntime import InferenceSession

from transducer.core.cli import InputError, existing, log, parser, run
from transducer.core.contracts import Arrays, Batches
from transducer.core.onnx_files import metadata
from transducer.quantize.calibration import METHODS, activation_limits
from transducer.quantize.inputs import calibration_batches, encoder_inputs, joint_inputs, step_inputs, window_inputs
from transducer.quantize.source import Source
from transducer.quantize.static_int8 import Static
from transducer.runtime.sessions import open_session

GRAPHS = ("encoder", "encoder_streaming", "predictor", "joint", "rnnt_step")


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=GRAPHS, required=True)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--frontend", type=Path, help="frontend.onnx, which makes the features of speech")
    for name in ("encoder", "rnnt_step", "predictor"):
        flag = f"--{name.replace('_', '-')}"
        args.add_argument(flag, type=Path, help=f"fp32 {name}, to decode with; for what is not an encoder")
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest of speech, or manifest of swipes")
    args.add_argument("--batches", type=int, default=16)
    args.add_argument("--batch-size", type=int, default=8)
    args.add_argument("--method", choices=METHODS, default="Percentile")
    args.add_argument("--convolutions", action="store_true", help="quantize convolutions too, and what they give")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    graph = Source(options.input, options.exclude)
    static = Static(graph, options.convolutions)
    names = static.activations()
    if not names:
        raise InputError(
            f"{options.input} has no matrix product to quantize with static ranges, which an LSTM cannot have; use "
            "its .fp16, or for ONNX Runtime its .int8."
        )
    props = {key: json.loads(value) for key, value in metadata(graph.model).items() if key in ("swipe", "sample_rate")}
    source = str(options.input)
    count, size = options.batches, options.batch_size
    batches = calibration_batches(props, source, options.manifest, options.frontend, count, size)
    inputs = calibration_inputs(options, batches)
    limits = activation_limits(options.input, names, inputs, options.method)
    facts = {
        "method": "int8-qdq",
        "exclude": options.exclude,
        "convolutions": options.convolutions,
        "calibration": f"{options.method} on {options.batches} batches of {options.batch_size}",
    }
    graph.write(static.quantized(limits), options.output, facts)
    log.info("%s: %d activations calibrated", options.output, len(limits))
    return 0


def calibration_inputs(options: argparse.Namespace, batches: Batches) -> Iterator[Arrays]:
    """Return what the graph is given when the batches are encoded, streamed or decoded."""
    if options.graph == "encoder":
        return encoder_inputs(batches)
    if options.graph == "encoder_streaming":
        return window_inputs(open_session(options.input, optimize=False), batches)
    steps = step_inputs(other_graph(options, "encoder"), other_graph(options, "rnnt_step"), batches)
    return steps if options.graph == "rnnt_step" else joint_inputs(other_graph(options, "predictor"), steps)


def other_graph(options: argparse.Namespace, name: str) -> InferenceSession:
    """Open a graph that the calibrated one decodes with."""
    path: Path | None = options.input if name == options.graph else getattr(options, name)
    if path is None:
        raise InputError(f"{options.input} is calibrated while decoding, which takes the fp32 {name} too; name it.")
    return open_session(existing(path, f"run `make {name}.onnx` first"))


if __name__ == "__main__":
    sys.exit(run(main))
