"""Run bf16 graphs on ONNX Runtime's CPU provider, which has no bf16 arithmetic: in fp32, rounded after every node.

Example:
    with runnable(Path("out/demo-tdt/onnx/encoder.bf16.onnx")) as path:
        session = open_session(path)

Tensor cores multiply bf16 and add in fp32, so rounding what a node gives is what they do, but for the order of sums.
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
    """Yield a graph that gives on any CPU what the graph at `path` gives: itself, unless it is bf16.

    The other lies beside it, because both read one sidecar, and goes afterwards.
    """
    model = load_graph(path)
    if not any(tensor.data_type == BRAIN for tensor in model.graph.initializer):
        yield path
        return
    emulated = path.with_name(f".{path.stem}.emulated.onnx")
    save_graph(rounded_everywhere(model), emulated)
    try:
        yield emulated
    finally:
        emulated.unlink()


def rounded_everywhere(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a bf16 graph in fp32, its tensors rounded to bf16 wherever they were that."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*inferred.input, *inferred.output, *inferred.value_info]
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
