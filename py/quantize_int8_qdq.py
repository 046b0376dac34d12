"""Quantize a graph's matrices to int8 with static ranges, as QuantizeLinear and DequantizeLinear around each MatMul.

Weights are quantized by column, activations by one scale each, found on speech. All is symmetric with zero point 0,
which TensorRT asks for. Masks, attention scores, convolutions and norms, which have no matrix, stay fp32.

Example:
    .venv/bin/python py/quantize_int8_qdq.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl \
        --output out/demo-tdt/onnx/encoder.int8-qdq.onnx
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnxruntime import InferenceSession

from transducer.calibration import METHODS, activation_limits, speech_batches
from transducer.cli import InputError, existing, log, parser, run
from transducer.graphs import GRAPHS, Arrays
from transducer.onnx_files import inline_tensor, metadata
from transducer.parity import FED_BACK, open_session
from transducer.streaming import Streaming
from transducer.variants import Named, Source, int8_columns

# The zero point of all activations.
ZERO = "int8_zero"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--frontend", type=Path, required=True, help="frontend.onnx, which makes the features")
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest of speech to calibrate with")
    args.add_argument("--batches", type=int, default=16)
    args.add_argument("--batch-size", type=int, default=8)
    args.add_argument("--method", choices=METHODS, default="Percentile")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    if options.graph not in ("encoder", "encoder_streaming"):
        raise InputError(f"{options.input}: speech calibrates encoders only; quantize {options.graph} to int8 instead.")
    graph = Source(options.input, options.exclude)
    names = sorted({node.input[0] for node in graph.nodes if graph.is_matrix(node)})
    frontend = open_session(existing(options.frontend, "run `make frontend.onnx` first"))
    sample_rate = int(metadata(graph.model)["sample_rate"])
    batches = speech_batches(options.manifest, frontend, options.batches, options.batch_size, sample_rate)
    inputs: Iterator[Arrays]
    if options.graph == "encoder":
        inputs = (dict(zip(GRAPHS["encoder"].inputs, batch, strict=True)) for batch in batches)
    else:
        streaming = Streaming.from_facts(json.loads(metadata(graph.model)["streaming"]))
        inputs = windows(streaming, open_session(options.input, optimize=False), batches)
    limits = activation_limits(options.input, names, inputs, options.method)
    facts = {
        "method": "int8-qdq",
        "exclude": options.exclude,
        "calibration": f"{options.method} on {options.batches} batches of {options.batch_size}",
    }
    graph.write(quantized(graph, limits), options.output, facts)
    log.info("%s: %d activations calibrated", options.output, len(limits))
    return 0


def windows(
    streaming: Streaming,
    session: InferenceSession,
    batches: Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]],
) -> Iterator[Arrays]:
    """Yield the inputs of every step of a streaming encoder over batches of features, caches fed back."""
    names = [value.name for value in session.get_outputs()]
    for features, lengths in batches:
        caches = streaming.initial_state(len(lengths))
        rows = [[window for window, _ in streaming.windows(row)] for row in features]
        for step, signal in enumerate(zip(*rows, strict=True)):
            left = lengths + streaming.padding_frames - step * streaming.shift_frames
            inputs = {
                "audio_signal": np.stack(signal),
                "length": np.clip(left, 0, streaming.window_frames),
                **caches,
            }
            yield inputs
            found = dict(zip(names, session.run(None, inputs), strict=True))
            caches = {into: found[out] for out, into in FED_BACK["encoder_streaming"].items()}


def quantized(graph: Source, limits: dict[str, float]) -> Iterator[NodeProto]:
    """Yield a graph's nodes with Q/DQ before both inputs of each matrix product."""
    scales = {name: np.array(limit / 127 or 1, np.float32) for name, limit in limits.items()}
    graph.weights[ZERO] = inline_tensor(ZERO, np.array(0, np.int8))
    dequantized: set[str] = set()
    for node in graph.nodes:
        if graph.is_matrix(node):
            activation, weight = node.input
            if weight not in dequantized:
                dequantized.add(weight)
                graph.convert(weight, columns, bits=8)
                parts = [f"{weight}_int8", f"{weight}_scale", f"{weight}_zero"]
                yield helper.make_node("DequantizeLinear", parts, [f"{weight}_float"], name=f"{weight}/DQ", axis=1)
            # ONNX Runtime runs a product in int8 only where this pair is its alone, and makes one of equal pairs: so
            # the scales of an activation's pairs differ in the last digit.
            scales[activation] = np.nextafter(scales[activation], np.float32(np.inf))
            name = f"{node.output[0]}_input"
            graph.weights[f"{name}_scale"] = inline_tensor(f"{name}_scale", scales[activation])
            values, parts = f"{name}_int8", [f"{name}_scale", ZERO]
            yield helper.make_node("QuantizeLinear", [activation, *parts], [values], name=f"{node.name}/Q")
            yield helper.make_node("DequantizeLinear", [values, *parts], [name], name=f"{node.name}/DQ")
            node.input[:] = [name, f"{weight}_float"]
        yield node


def columns(name: str, array: NDArray[Any]) -> Iterator[Named]:
    values, scale = int8_columns(array, axis=0)
    yield f"{name}_int8", values
    yield f"{name}_scale", scale
    yield f"{name}_zero", np.zeros(scale.shape, np.int8)


if __name__ == "__main__":
    sys.exit(run(main))
