"""Rewrite a graph with int8 weights and QuantizeLinear and DequantizeLinear around its products.

Example:
    static = Static(graph, convolutions=False)
    graph.write(static.quantized(limits), output, {"method": "int8-qdq"})

Weights have a scale for each column, activations one each. All is symmetric with zero point 0, as TensorRT asks for.
"""

from collections.abc import Iterator, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from transducer.core.onnx_weights import inline_tensor
from transducer.quantize.rounding import int8_columns, int8_factors
from transducer.quantize.source import Named, Source

# The zero point of all activations.
ZERO = "int8_zero"


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

    def activations(self) -> dict[str, NDArray[np.float32]]:
        """Return all activations that need a scale, and how much an error in each channel adds to what reads it.

        That is the sum of the squares of the weights that a channel [C] is multiplied by; what convolutions read and
        give counts alike.
        """
        importance: dict[str, NDArray[np.float32]] = {}
        for node in filter(self._is_convolution, self.graph.nodes):
            importance |= dict.fromkeys((node.input[0], node.output[0]), np.ones(1, np.float32))
        for node in filter(self.graph.is_matrix, self.graph.nodes):
            weights = np.square(self.graph.array(node.input[1])).sum(axis=1)
            importance[node.input[0]] = importance.get(node.input[0], np.zeros(1, np.float32)) + weights
        return importance

    def quantized(self, limits: dict[str, float], in_fp32: Set[str] = frozenset()) -> Iterator[NodeProto]:
        """Yield the nodes with Q/DQ before both inputs of each product, and after each convolution.

        in_fp32: outputs of the products that stay in fp32.
        """
        self._scales = {name: np.array(limit / 127 or 1, np.float32) for name, limit in limits.items()}
        self.graph.weights[ZERO] = inline_tensor(ZERO, np.array(0, np.int8))
        for node in self.graph.nodes:
            if node.output[0] in in_fp32:
                yield node
            elif self.graph.is_matrix(node):
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
    yield from _named(name, *int8_factors(array, axis=0))


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
