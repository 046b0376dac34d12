"""Convert a graph to fp16: learned weights and what is computed from the signal; lengths, masks, positions stay fp32.

Numbers above 2,048 are not whole in fp16, so lengths and positions would be wrong there.

Example:
    .venv/bin/python py/quantize/fp16.py --input out/demo-tdt/onnx/encoder.onnx \
        --output out/demo-tdt/onnx/encoder.fp16.onnx
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from transducer.core.cli import parser, run
from transducer.quantize.source import Named, Source

LARGEST = float(np.finfo(np.float16).max)


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--fp16-io", action="store_true", help="inputs and outputs in fp16 too")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    graph = Source(options.input, options.exclude)
    facts = {"method": "fp16", "exclude": options.exclude, "fp16_io": options.fp16_io}
    graph.write(converted(graph, options.fp16_io), options.output, facts)
    return 0


def converted(graph: Source, fp16_io: bool) -> list[NodeProto]:
    """Return a graph's nodes with those in fp16 that depend on its float inputs or on learned weights."""
    floats = graph.floats()
    inputs = [value for value in graph.model.graph.input if value.name in floats]
    outputs = [value for value in graph.model.graph.output if value.name in floats]
    computed = signal(graph.nodes, [*(value.name for value in inputs), *graph.matrices])
    halved = [
        node
        for node in graph.nodes
        if computed.intersection(node.input) and node.op_type != "Shape" and not graph.is_excluded(node)
    ]
    # Tensors in fp16 under their own names; one that is needed in the other form has a Cast of it beside.
    half = floats.intersection(name for node in halved for name in node.output)
    if fp16_io:
        half |= set_half(inputs)
    casts = Casts(graph, half)
    nodes: list[NodeProto] = []
    in_half = {id(node) for node in halved}
    for node in graph.nodes:
        to_half = id(node) in in_half
        if node.op_type != "Shape":
            node.input[:] = [casts.name(name, to_half) if name in floats else name for name in node.input]
        nodes += casts.taken()
        if to_half:
            halve_attributes(node)
        nodes.append(node)
    if fp16_io:
        set_half(value for value in outputs if value.name in half)
        return nodes
    renamed = {value.name: f"{value.name}_half" for value in outputs if value.name in half}
    for node in nodes:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    return nodes + [
        helper.make_node("Cast", [internal], [name], name=f"{name}/Cast", to=TensorProto.FLOAT)
        for name, internal in renamed.items()
    ]


def signal(nodes: Iterable[NodeProto], sources: Iterable[str]) -> set[str]:
    """Return the names of `sources` and of all that is computed from their values, not their shapes alone."""
    reached = set(sources)
    for node in nodes:
        if node.op_type != "Shape" and reached.intersection(node.input):
            reached.update(node.output)
    return reached


class Casts:
    """Where tensors change between fp16 and fp32: each once, weights for good."""

    def __init__(self, graph: Source, half: set[str]) -> None:
        self.graph = graph
        self.half = half
        self._made: set[str] = set()
        self._nodes: list[NodeProto] = []

    def name(self, tensor: str, to_half: bool) -> str:
        """Return the name of a float tensor's form in fp16 or fp32, made where it has none."""
        if (tensor in self.half) == to_half:
            return tensor
        name = f"{tensor}_fp16" if to_half else f"{tensor}_fp32"
        if name not in self._made:
            self._made.add(name)
            if tensor in self.graph.weights:
                self.graph.convert(tensor, _half, bits=16)
            else:
                to = TensorProto.FLOAT16 if to_half else TensorProto.FLOAT
                self._nodes.append(helper.make_node("Cast", [tensor], [name], name=f"{name}/Cast", to=to))
        return name

    def taken(self) -> list[NodeProto]:
        """Return the Cast nodes that were needed since the last call."""
        nodes, self._nodes = self._nodes, []
        return nodes


def halve_attributes(node: NodeProto) -> None:
    """Have a node that makes float32 make float16."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def set_half(values: Iterable[ValueInfoProto]) -> set[str]:
    """Make graph inputs or outputs fp16 and return their names."""
    names = set()
    for value in values:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
        names.add(value.name)
    return names


def _half(name: str, array: NDArray[Any]) -> Iterator[Named]:
    yield f"{name}_fp16", np.clip(array, -LARGEST, LARGEST).astype(np.float16)


if __name__ == "__main__":
    sys.exit(run(main))
