"""Rewrite a graph with int8 weights and activations that are quantized at run time, each row by its own range.

Example:
    quantizer = Dynamic(graph)
    nodes = [new for node in graph.nodes for new in quantizer.quantized(node)]
    graph.write(nodes, output, {"method": "int8"})
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from transducer.core.onnx_weights import inline_tensor
from transducer.quantize.rounding import Quantized, int8_columns, int8_factors
from transducer.quantize.source import MICROSOFT, Named, Source

# The name of the smallest magnitude that a row is divided by.
TINY = "int8_tiny"
# A little below the minimum of x sigmoid(x), -0.278465.
LOWEST_SILU = -0.2785


class Dynamic:
    """Rewrites nodes; an activation that several matrices multiply is quantized once.

    reduce_range: weights of 7 bits.
    """

    def __init__(self, graph: Source, reduce_range: bool = False) -> None:
        self.graph = graph
        self.reduce_range = reduce_range
        self.count = 0
        self._activations: set[str] = set()
        self._lowest = lowest_values(graph.nodes)
        self._scaled = scaled_products(graph)

    def quantized(self, node: NodeProto) -> list[NodeProto]:
        """Return what takes the place of a node: the node itself where it stays fp32."""
        if node.input and node.input[0] in self._scaled:
            return []
        if self.graph.is_matrix(node):
            new = [*self._activation(node.input[0]), *self._matmul(node)]
        elif node.op_type == "LSTM" and not self.graph.is_excluded(node) and len(self.graph.shape(node.input[1])) == 3:
            new = [self._lstm(node)]
        elif node.op_type == "Gather" and not self.graph.is_excluded(node) and self._is_embedding(node):
            new = self._embedding(node)
        else:
            return [node]
        self.count += 1
        return new

    def _activation(self, name: str) -> Iterator[NodeProto]:
        """Quantize an activation to uint8, each row by its own range.

        Rows are moved to begin at 0, which `_matmul` makes up for, and divided by their range: each then reaches from 0
        to 1 by itself, so that the tensor's range is the same whatever other frames and utterances are in it. Divided
        by their largest magnitude alone, rows of a short recording may all lack -1, and its company would add it.
        """
        if name in self._activations:
            return
        self._activations.add(name)
        self.graph.weights.setdefault(TINY, inline_tensor(TINY, np.array(np.finfo(np.float32).tiny)))
        # Nodes around the product have no names: in a small graph these are as large as the weights.
        moved = name
        if self._lowest.get(name) == 0:
            yield helper.make_node("ReduceMax", [name], [f"{name}_most"], axes=[-1])
        else:
            low, moved = f"{name}_low", f"{name}_moved"
            if name in self._lowest:
                self.graph.weights[low] = inline_tensor(low, np.array(self._lowest[name], np.float32))
            else:
                yield helper.make_node("ReduceMin", [name], [low], axes=[-1])
            yield helper.make_node("ReduceMax", [name], [f"{name}_high"], axes=[-1])
            yield helper.make_node("Sub", [f"{name}_high", low], [f"{name}_most"])
            yield helper.make_node("Sub", [name, low], [moved])
        # A row of one value stays finite.
        yield helper.make_node("Max", [f"{name}_most", TINY], [f"{name}_range"])
        # To divide every value would take several times as long.
        yield helper.make_node("Reciprocal", [f"{name}_range"], [f"{name}_factor"])
        yield helper.make_node("Mul", [moved, f"{name}_factor"], [f"{name}_rows"])
        outputs = [f"{name}_uint8", f"{name}_scale", f"{name}_zero"]
        yield helper.make_node("DynamicQuantizeLinear", [f"{name}_rows"], outputs)

    def _matmul(self, node: NodeProto) -> Iterator[NodeProto]:
        """uint8 by int8 to int32, then one Mul back to float32: the form that runtimes fuse to one kernel.

        Behind it a row's range is multiplied back, and where the row was moved, that times the sums of the columns
        added.
        """
        activation, weight = node.input
        output, factor = self._scaled.get(node.output[0], (node.output[0], 1.0))
        moved = self._lowest.get(activation) != 0
        low = self._lowest.get(activation, 1.0) if moved else 0.0
        self.graph.convert(weight, partial(self._columns, factor=factor, low=low), bits=8)
        # The zero point of a weight is 0 where it is left out.
        inputs = [f"{activation}_uint8", f"{weight}_int8", f"{activation}_zero"]
        yield helper.make_node("MatMulInteger", inputs, [f"{output}_int32"], name=f"{node.name}Integer")
        yield helper.make_node("Cast", [f"{output}_int32"], [f"{output}_float"], to=TensorProto.FLOAT)
        scales = [f"{activation}_scale", f"{weight}_scale"]
        yield helper.make_node("Mul", scales, [f"{output}_scale_of"])
        product = [f"{output}_float", f"{output}_scale_of"]
        yield helper.make_node("Mul", product, [f"{output}_rows"])
        back = f"{output}_back" if moved else output
        yield helper.make_node("Mul", [f"{output}_rows", f"{activation}_range"], [back])
        if moved and activation in self._lowest:
            yield helper.make_node("Add", [back, f"{weight}_sum"], [output])
        elif moved:
            yield helper.make_node("Mul", [f"{activation}_low", f"{weight}_sum"], [f"{output}_shift"])
            yield helper.make_node("Add", [back, f"{output}_shift"], [output])

    def _columns(self, name: str, array: NDArray[Any], factor: float, low: float) -> Iterator[Named]:
        values, scale = self._factors(array, axis=0)
        scale = scale * np.float32(factor)
        yield f"{name}_int8", values
        yield f"{name}_scale", scale
        if low:
            yield f"{name}_sum", values.sum(axis=0, dtype=np.float32) * scale * np.float32(low)

    def _factors(self, array: NDArray[Any], axis: int) -> Quantized:
        return int8_columns(array, axis, limit=63) if self.reduce_range else int8_factors(array, axis)

    def _lstm(self, node: NodeProto) -> NodeProto:
        names = [*node.input, *[""] * (8 - len(node.input))]
        for place in (1, 2):
            self.graph.convert(names[place], self._gates, bits=8)
            names += [f"{names[place]}_scale", f"{names[place]}_zero"]
            names[place] += "_int8"
        lstm = helper.make_node("DynamicQuantizeLSTM", names, node.output, name=f"{node.name}Integer", domain=MICROSOFT)
        lstm.attribute.extend(attribute for attribute in node.attribute if attribute.name != "layout")
        return lstm

    def _gates(self, name: str, array: NDArray[Any]) -> Iterator[Named]:
        """[directions, 4 H, in] of LSTM to [directions, in, 4 H], with a scale for each column."""
        values, scale = self._factors(array, axis=2)
        yield f"{name}_int8", values.transpose(0, 2, 1)
        yield f"{name}_scale", scale
        yield f"{name}_zero", np.zeros(scale.shape, np.int8)

    def _is_embedding(self, node: NodeProto) -> bool:
        table = self.graph.shape(node.input[0])
        return len(table) == 2 and self.graph.weights[node.input[0]].data_type == TensorProto.FLOAT

    def _embedding(self, node: NodeProto) -> list[NodeProto]:
        """Look rows up in int8, and their scales beside them."""
        table, index = node.input
        self.graph.convert(table, self._rows, bits=8)
        name, (output,) = node.name, node.output
        return [
            helper.make_node("Gather", [f"{table}_int8", index], [f"{output}_int8"], name=f"{name}Integer", axis=0),
            helper.make_node(
                "Cast", [f"{output}_int8"], [f"{output}_float"], name=f"{name}/Cast", to=TensorProto.FLOAT
            ),
            helper.make_node("Gather", [f"{table}_scale", index], [f"{output}_scale"], name=f"{name}/Scale", axis=0),
            helper.make_node("Mul", [f"{output}_float", f"{output}_scale"], [output], name=f"{name}/Mul"),
        ]

    def _rows(self, name: str, array: NDArray[Any]) -> Iterator[Named]:
        values, scale = int8_columns(array, axis=1)
        yield f"{name}_int8", values
        yield f"{name}_scale", scale[:, None]


def lowest_values(nodes: Iterable[NodeProto]) -> dict[str, float]:
    """Return the least value that activation functions can give, by the names of their outputs: ReLU, SiLU."""
    sigmoids = {(node.input[0], node.output[0]) for node in nodes if node.op_type == "Sigmoid"}
    silus = [
        node for node in nodes if node.op_type == "Mul" and {tuple(node.input), tuple(reversed(node.input))} & sigmoids
    ]
    relus = [node for node in nodes if node.op_type == "Relu"]
    return {node.output[0]: LOWEST_SILU for node in silus} | {node.output[0]: 0.0 for node in relus}


def scaled_products(graph: Source) -> dict[str, tuple[str, float]]:
    """Find products that are multiplied by one number: by the product's name, that of the result, and the number.

    Such a number, as the half of a conformer's feed-forward layers, costs nothing within the weight's scale.
    """
    readers = Counter(name for node in graph.nodes for name in node.input)
    readers.update(value.name for value in graph.model.graph.output)
    products = {
        node.output[0]
        for node in graph.nodes
        if graph.is_matrix(node) and readers[node.output[0]] == readers[node.input[1]] == 1
    }
    factors = {}
    for node in graph.nodes:
        if node.op_type == "Mul" and node.input[0] in products and node.input[1] in graph.weights:
            number = graph.array(node.input[1])
            if number.size == 1 and number.ndim < 2:
                factors[node.input[0]] = node.output[0], float(number.item())
    return factors
