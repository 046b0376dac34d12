"""Variants of a graph: its nodes rewritten, its weights converted one at a time, so that memory holds the result only.

Example:
    graph = Source(Path("out/demo-tdt/onnx/joint.onnx"))
    nodes = [rewritten(node) if graph.is_matrix(node) else node for node in graph.nodes]
    graph.write(nodes, Path("out/demo-tdt/onnx/joint.int8.onnx"), {"method": "int8"})
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from transducer.core.cli import InputError, existing, replacing
from transducer.core.onnx_files import load_graph, metadata, save_graph, set_metadata
from transducer.core.onnx_weights import read_weight, store_weights
from transducer.core.progress import progress

Named = tuple[str, NDArray[Any]]
Convert = Callable[[str, NDArray[Any]], Iterable[Named]]

# What marks a graph that is not an fp32 graph.
QUANTIZED_OPS = {
    "DynamicQuantizeLinear",
    "DynamicQuantizeLSTM",
    "QuantizeLinear",
    "DequantizeLinear",
    "MatMulInteger",
    "MatMulNBits",
    "ConvInteger",
}
MICROSOFT = "com.microsoft"
# The method of a graph that is still fp32.
EQUALIZED = "equalized"


class Source:
    """An fp32 graph to be rewritten: its nodes, and its weights by name, still on disk.

    Args:
        path: the graph; its sidecar, if any, is beside it.
        exclude: a regular expression; nodes whose name it finds are not matrices. Empty excludes none.

    Raises: InputError for a graph that is quantized, in fp16 or no fp32 graph of this project.
    """

    def __init__(self, path: Path, exclude: str = "") -> None:
        self.path = existing(path, "build it first")
        self.model = load_graph(path)
        _require_fp32(path, self.nodes, self.model.graph.initializer)
        try:
            self._excluded = re.compile(exclude) if exclude else None
        except re.error as error:
            raise InputError(f"EXCLUDE={exclude} is not a regular expression ({error}); correct it.") from None
        self.made_with: dict[str, Any] = json.loads(metadata(self.model).get("quantization", "{}"))
        self.weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._conversions: dict[str, tuple[int, Convert]] = {}
        self._factors: dict[str, list[tuple[int, NDArray[np.float32]]]] = {}
        self._split_gemm()
        self._hold_constants()

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.model.graph.node)

    def shape(self, name: str) -> list[int]:
        """Return the shape of a weight; of what is none, []."""
        return list(self.weights[name].dims) if name in self.weights else []

    def is_matrix(self, node: NodeProto) -> bool:
        """Tell whether a node multiplies by a learned matrix [in, out] and is not excluded."""
        return node.op_type == "MatMul" and len(self.shape(node.input[1])) == 2 and not self.is_excluded(node)

    def is_excluded(self, node: NodeProto) -> bool:
        return bool(self._excluded and self._excluded.search(node.name))

    def array(self, name: str) -> NDArray[Any]:
        """Read a weight. Raises: InputError if it has values that are not finite."""
        values = read_weight(self.weights[name], self.path.parent)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"{self.path}: its weight {name} has values that are not finite; train or save it again.")
        for axis, factors in self._factors.get(name, []):
            values = values * np.expand_dims(factors, tuple(range(1, values.ndim - axis)))
        return values

    def rescale(self, name: str, axis: int, factors: NDArray[np.float32]) -> None:
        """Have a weight multiplied along an axis wherever it is read or written from now on."""
        self._factors.setdefault(name, []).append((axis, factors))

    @property
    def matrices(self) -> list[str]:
        """Names of the float weights of two axes and more, which are learned: lengths and positions have none."""
        return [
            name
            for name, tensor in self.weights.items()
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
        ]

    def floats(self) -> set[str]:
        """Return the names of all float32 tensors."""
        graph = onnx.shape_inference.infer_shapes(self.model).graph
        values = [*graph.input, *graph.value_info, *graph.output]
        names = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
        return names | {name for name, tensor in self.weights.items() if tensor.data_type == TensorProto.FLOAT}

    def own_vectors(self) -> None:
        """Give each node that shares a float vector one of its own, so that it can be rescaled there alone."""
        seen: set[str] = set()
        for node in self.nodes:
            for place, name in enumerate(node.input):
                vector = len(self.shape(name)) == 1 and self.weights[name].data_type == TensorProto.FLOAT
                if vector and name in seen:
                    own = f"{name}_of_{node.output[0]}"
                    self.weights[own] = numpy_helper.from_array(self.array(name), own)
                    node.input[place] = own
                seen.add(name)

    def convert(self, name: str, convert: Convert, bits: float) -> None:
        """Have `write` replace a weight by what `convert` makes of its name and values, `bits` a value."""
        self._conversions[name] = (math.ceil(math.prod(self.shape(name)) * bits / 8), convert)

    def write(self, nodes: Iterable[NodeProto], output: Path, facts: dict[str, Any]) -> None:
        """Write the graph with these nodes and the converted weights, `facts` among its metadata as `quantization`.

        Raises: InputError if no weight is to be converted.
        """
        replacements = list(nodes)
        if not self._conversions and facts["method"] != EQUALIZED:
            raise InputError(f"{self.path} has no weight that {facts['method']} applies to; use it as it is.")
        self._set_nodes(replacements)
        del self.model.graph.initializer[:], self.model.graph.value_info[:]
        domains = {entry.domain for entry in self.model.opset_import}
        for domain in {node.domain for node in replacements} - domains - {""}:
            self.model.opset_import.append(helper.make_opsetid(domain, 1))
        added = {name for node in replacements for name in node.input} & self.weights.keys()
        sizes = [math.prod(self.shape(name)) * 4 for name in added] + [size for size, _ in self._conversions.values()]
        made_with = facts | ({EQUALIZED: self.made_with} if self.made_with else {})
        set_metadata(self.model, {"quantization": json.dumps(made_with, sort_keys=True)})
        with replacing(output) as tmp:
            store_weights(self.model, self._arrays(added), sum(sizes), output.with_name(f"{output.name}.data"))
            save_graph(self.model, tmp)

    def _arrays(self, added: set[str]) -> Iterator[Named]:
        for name in progress(self.weights, desc=self.path.name, unit="tensor", leave=False):
            if name in self._conversions or name in added:
                values = self.array(name)
                if name in self._conversions:
                    yield from self._conversions[name][1](name, values)
                if name in added:
                    yield name, values

    def _split_gemm(self) -> None:
        """Write Gemm of a matrix stored as it is used as MatMul and Add, so that there is one kind of matrix."""
        nodes: list[NodeProto] = []
        for node in self.nodes:
            plain = node.op_type == "Gemm" and not any(
                helper.get_attribute_value(attribute) != (1.0 if attribute.name in ("alpha", "beta") else 0)
                for attribute in node.attribute
            )
            if not plain:
                nodes.append(node)
                continue
            product = f"{node.output[0]}_product" if len(node.input) > 2 else node.output[0]
            nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=node.name))
            if len(node.input) > 2:
                nodes.append(helper.make_node("Add", [product, node.input[2]], node.output, name=f"{node.name}/Add"))
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def _hold_constants(self) -> None:
        """Hold the values of Constant nodes as weights, so that there is one kind of constant."""
        others = []
        for node in self.nodes:
            value = {attribute.name: attribute for attribute in node.attribute}.get("value")
            if node.op_type == "Constant" and value:
                value.t.name = node.output[0]
                self.weights[value.t.name] = value.t
                self.model.graph.initializer.append(value.t)
            else:
                others.append(node)
        self._set_nodes(others)

    def _set_nodes(self, nodes: list[NodeProto]) -> None:
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)


def _require_fp32(path: Path, nodes: Iterable[NodeProto], weights: Iterable[TensorProto]) -> None:
    kinds = {node.op_type for node in nodes} & QUANTIZED_OPS
    if kinds:
        raise InputError(f"{path} is quantized already ({min(kinds)}); give the fp32 graph.")
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in weights):
        raise InputError(f"{path} is in fp16; give the fp32 graph.")
