"""Run bf16 graphs on ONNX Runtime's CPU provider, which has no bf16 arithmetic: in fp32, rounded after every node.

Example:
    with runnable(Path("out/demo-tdt/onnx/encoder.bf16.onnx")) as path:
        session = open_session(path)

Tensor cores multiply bf16 and add in fp32, so rounding each node's output matches them, except for the order of sums.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

from transducer.core.onnx_files import load_graph, save_graph

BRAIN, FLOAT = TensorProto.BFLOAT16, TensorProto.FLOAT


@contextlib.contextmanager
def runnable(path: Path) -> Iterator[Path]:
    """Yield a graph that computes the same on any CPU as the graph at `path`: itself, unless it is bf16.

    An emulating graph is written beside it, because both read one sidecar, and removed afterwards.
    """
    model = load_graph(path)
    if not any(tensor.data_type == BRAIN for tensor in model.graph.initializer):
        yield path
        return
    emulation = path.with_name(f".{path.stem}.emulated.onnx")
    save_graph(round_tensors(model), emulation)
    try:
        yield emulation
    finally:
        emulation.unlink()


def round_tensors(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a bf16 graph in fp32 whose tensors are rounded to bf16 wherever they were bf16."""
    typed_graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*typed_graph.input, *typed_graph.output, *typed_graph.value_info]
    brain = {value.name for value in values if value.type.tensor_type.elem_type == BRAIN}
    nodes: list[NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type == BRAIN:
            stored = f"{tensor.name}_stored"
            nodes.append(helper.make_node("Cast", [stored], [tensor.name], to=FLOAT))
            tensor.name = stored
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == BRAIN:
                attribute.i = FLOAT
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in brain:
                node.output[place] = f"{name}_unrounded32"
                nodes.append(helper.make_node("Cast", [node.output[place]], [f"{name}_bf16"], to=BRAIN))
                nodes.append(helper.make_node("Cast", [f"{name}_bf16"], [name], to=FLOAT))
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.elem_type == BRAIN:
            value.type.tensor_type.elem_type = FLOAT
    return model
