"""Quantize a graph's matrices to int8 with static ranges, as QuantizeLinear and DequantizeLinear around each MatMul.

Weights are quantized by column, activations by one scale each, found on speech. All is symmetric with zero point 0,
which TensorRT asks for. Masks, attention scores and norms stay fp32, convolutions too unless asked for.

Example:
    .venv/bin/python py/quantize_int8_qdq.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl \
        --output out/demo-tdt/onnx/encoder.int8-qdq.onnx
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnxruntime import InferenceSession

from transducer.calibration import METHODS, activation_limits, speech_batches, trace_batches
from transducer.cli import InputError, existing, log, parser, run
from transducer.graphs import GRAPHS, Arrays
from transducer.keyboard import layout_of
from transducer.onnx_files import inline_tensor, metadata
from transducer.parity import FED_BACK, open_session
from transducer.streaming import Streaming
from transducer.variants import Named, Source, int8_columns

Batches = Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]

# The zero point of all activations.
ZERO = "int8_zero"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--frontend", type=Path, help="frontend.onnx, which makes the features of speech")
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest of speech, or manifest of swipes")
    args.add_argument("--batches", type=int, default=16)
    args.add_argument("--batch-size", type=int, default=8)
    args.add_argument("--method", choices=METHODS, default="Percentile")
    args.add_argument("--convolutions", action="store_true", help="quantize convolutions too, and what they give")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    if options.graph not in ("encoder", "encoder_streaming"):
        raise InputError(f"{options.input}: only encoders are calibrated; quantize {options.graph} to int8 instead.")
    graph = Source(options.input, options.exclude)
    static = Static(graph, options.convolutions)
    names = static.activations()
    batches = calibration_batches(metadata(graph.model), options)
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
        "convolutions": options.convolutions,
        "calibration": f"{options.method} on {options.batches} batches of {options.batch_size}",
    }
    graph.write(static.quantized(limits), options.output, facts)
    log.info("%s: %d activations calibrated", options.output, len(limits))
    return 0


def calibration_batches(facts: dict[str, str], options: argparse.Namespace) -> Batches:
    """Return batches of features [B,F,T] and lengths [B] of the kind that the model was trained on."""
    count, size = options.batches, options.batch_size
    if "swipe" in facts:
        layout = layout_of(json.loads(facts["swipe"])["layout"], str(options.input))
        return trace_batches(options.manifest, layout, count, size)
    if not options.frontend:
        raise InputError(f"{options.input}: a model of speech needs its frontend; name it by --frontend.")
    frontend = open_session(existing(options.frontend, "run `make frontend.onnx` first"))
    return speech_batches(options.manifest, frontend, count, size, int(facts["sample_rate"]))


def windows(
    streaming: Streaming,
    session: InferenceSession,
    batches: Batches,
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


class Static:
    """Rewrites a graph's nodes with Q/DQ pairs."""

    def __init__(self, graph: Source, convolutions: bool) -> None:
        self.graph = graph
        self.convolutions = convolutions
        self._scales: dict[str, NDArray[np.float32]] = {}
        self._dequantized: set[str] = set()

    def _is_convolution(self, node: NodeProto) -> bool:
        known = node.op_type == "Conv" and bool(self.graph.shape(node.input[1]))
        return self.convolutions and known and not self.graph.is_excluded(node)

    def activations(self) -> list[str]:
        """Return the names of all activations that need a scale."""
        found = {node.input[0] for node in self.graph.nodes if self.graph.is_matrix(node)}
        for node in filter(self._is_convolution, self.graph.nodes):
            found |= {node.input[0], node.output[0]}
        return sorted(found)

    def quantized(self, limits: dict[str, float]) -> Iterator[NodeProto]:
        """Yield the nodes with Q/DQ before both inputs of each product, and after each convolution."""
        self._scales = {name: np.array(limit / 127 or 1, np.float32) for name, limit in limits.items()}
        self.graph.weights[ZERO] = inline_tensor(ZERO, np.array(0, np.int8))
        for node in self.graph.nodes:
            if self.graph.is_matrix(node):
                yield from self._weight(node.input[1], axis=1)
                yield from self._pair(node.input[0], f"{node.output[0]}_input")
                node.input[:] = [f"{node.output[0]}_input", f"{node.input[1]}_float"]
                yield node
            elif self._is_convolution(node):
                yield from self._convolution(node)
            else:
                yield node

    def _pair(self, activation: str, name: str, scale_of: str = "") -> Iterator[NodeProto]:
        """Quantize an activation and dequantize it as `name`; its limit is that of `scale_of`.

        ONNX Runtime runs a product in int8 only where this pair is its alone, and makes one of equal pairs: so the
        scales of an activation's pairs differ in the last digit.
        """
        scale = np.nextafter(self._scales[scale_of or activation], np.float32(np.inf))
        self._scales[scale_of or activation] = scale
        self.graph.weights[f"{name}_scale"] = inline_tensor(f"{name}_scale", np.array(scale))
        values, parts = f"{name}_int8", [f"{name}_scale", ZERO]
        yield helper.make_node("QuantizeLinear", [activation, *parts], [values], name=f"{name}/Q")
        yield helper.make_node("DequantizeLinear", [values, *parts], [name], name=f"{name}/DQ")

    def _weight(self, weight: str, axis: int) -> Iterator[NodeProto]:
        """Dequantize a weight, quantized with a scale for each index of `axis`, as WEIGHT_float."""
        if weight in self._dequantized:
            return
        self._dequantized.add(weight)
        self.graph.convert(weight, columns if axis else channels, bits=8)
        parts = [f"{weight}_int8", f"{weight}_scale", f"{weight}_zero"]
        yield helper.make_node("DequantizeLinear", parts, [f"{weight}_float"], name=f"{weight}/DQ", axis=axis)

    def _convolution(self, node: NodeProto) -> Iterator[NodeProto]:
        """A convolution with all of input, weight, bias and output quantized, as kernels for it want them."""
        (output,), (activation, weight, *bias) = node.output, node.input
        yield from self._weight(weight, axis=0)
        yield from self._pair(activation, f"{output}_input")
        node.input[:2] = [f"{output}_input", f"{weight}_float"]
        if bias:
            # int32 in units of the products of activations and weights.
            unit = float(self._scales[activation])
            _, scale = channel_scales(self.graph.array(weight))
            values = np.rint(self.graph.array(bias[0]) / (unit * scale)).astype(np.int32)
            for suffix, array in (("int32", values), ("scale", (unit * scale).astype(np.float32))):
                self.graph.weights[f"{output}_bias_{suffix}"] = inline_tensor(f"{output}_bias_{suffix}", array)
            parts = [f"{output}_bias_int32", f"{output}_bias_scale"]
            node.input[2] = f"{output}_bias"
            yield helper.make_node("DequantizeLinear", parts, node.input[2:3], name=f"{output}/bias/DQ", axis=0)
        node.output[0] = f"{output}_fp32"
        yield node
        yield from self._pair(f"{output}_fp32", output, scale_of=output)


def columns(name: str, array: NDArray[Any]) -> Iterator[Named]:
    """Quantize a matrix [in, out], with a scale for each output."""
    yield from _named(name, *int8_columns(array, axis=0))


def channels(name: str, array: NDArray[Any]) -> Iterator[Named]:
    """Quantize a convolution's weight [out, in, ...], with a scale for each output."""
    yield from _named(name, *channel_scales(array))


def channel_scales(array: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    values, scale = int8_columns(array.reshape(len(array), -1), axis=1)
    return values.reshape(array.shape), scale


def _named(name: str, values: NDArray[np.int8], scale: NDArray[np.float32]) -> Iterator[Named]:
    yield f"{name}_int8", values
    yield f"{name}_scale", scale
    yield f"{name}_zero", np.zeros(scale.shape, np.int8)


if __name__ == "__main__":
    sys.exit(run(main))
