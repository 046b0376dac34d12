"""Convert an fp16 graph to bf16: what is computed in fp16 is computed in bf16, or in fp32 where ONNX has no bf16.

Example:
    .venv/bin/python py/trt/bf16.py --input out/demo-tdt/onnx/encoder.fp16.onnx \
        --output out/demo-tdt/onnx/encoder.bf16.onnx

For TensorRT: ONNX Runtime has hardly any bf16 arithmetic on CPUs. Convolutions and LSTMs of opset 17 are in fp32, on
weights that are rounded too. A weight rounded to fp16 first differs from one rounded at once in the last bit at most,
and only where it lies in the middle between two.
"""

import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from transducer.core.cli import InputError, existing, parser, replacing, run
from transducer.core.onnx_files import external_files, load_graph, save_graph

HALF, BRAIN = TensorProto.FLOAT16, TensorProto.BFLOAT16


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True, help="the fp16 graph")
    args.add_argument("--output", type=Path, required=True, help="its sidecar, if any, goes beside it with .data")
    options = args.parse_args()
    model = load_graph(existing(options.input, f"run `make {options.input.name}` first"))
    halves = [tensor for tensor in model.graph.initializer if tensor.data_type == HALF]
    if not halves:
        raise InputError(f"{options.input} has no weights in fp16; give the .fp16 graph.")
    sidecar = options.output.with_name(options.output.name + ".data")
    for name in external_files(model):
        with replacing(sidecar) as tmp:
            copy_sidecar(options.input.with_name(name), tmp, halves)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = sidecar.name if entry.key == "location" else entry.value
    half = half_names(model)
    retype(model)
    widen(model, half)
    with replacing(options.output) as tmp:
        save_graph(model, tmp)
    return 0


def half_names(model: onnx.ModelProto) -> set[str]:
    """Return the names of all tensors of a graph that are fp16."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.input, *graph.output, *graph.value_info]
    names = {value.name for value in values if value.type.tensor_type.elem_type == HALF}
    return names | {tensor.name for tensor in graph.initializer if tensor.data_type == HALF}


def widen(model: onnx.ModelProto, brain: set[str]) -> None:
    """Have nodes that take no bf16 compute in fp32, between casts; `brain` are the names of the bf16 tensors."""
    nodes: list[NodeProto] = []
    casts: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Cast" or takes_bf16(node, model.opset_import[0].version):
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if name in brain:
                node.input[place] = wide = f"{name}_wide"
                if wide not in casts:
                    casts.add(wide)
                    nodes.append(helper.make_node("Cast", [name], [wide], f"{wide}/Cast", to=TensorProto.FLOAT))
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in brain:
                node.output[place] = wide = f"{name}_unrounded"
                nodes.append(helper.make_node("Cast", [wide], [name], f"{wide}/Cast", to=BRAIN))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def takes_bf16(node: NodeProto, opset: int) -> bool:
    """Tell whether an operator's data may be bf16 in an opset."""
    schema = onnx.defs.get_schema(node.op_type, opset)
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    first = schema.inputs[0].type_str if schema.inputs else ""
    return "tensor(bfloat16)" in allowed.get(first, ["tensor(bfloat16)"])


def retype(model: onnx.ModelProto) -> None:
    """Turn every fp16 in a graph into bf16: inline tensors, constants, casts, inputs, outputs."""
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                tensors.append(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == HALF:
                attribute.i = BRAIN
    for tensor in tensors:
        if tensor.data_type == HALF:
            if tensor.data_location != TensorProto.EXTERNAL:
                tensor.raw_data = rounded(onnx.numpy_helper.to_array(tensor))
                del tensor.int32_data[:]
            tensor.data_type = BRAIN
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        if value.type.tensor_type.elem_type == HALF:
            value.type.tensor_type.elem_type = BRAIN


def copy_sidecar(source: Path, target: Path, halves: list[TensorProto]) -> None:
    """Copy a sidecar with its fp16 tensors, which are as large in bf16, rounded in their places; one at a time."""
    places = []
    for tensor in halves:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place:
            places.append((int(place["offset"]), int(place["length"])))
    with source.open("rb") as old, target.open("wb") as new:
        for offset, length in sorted(places):
            new.write(old.read(offset - old.tell()))
            new.write(rounded(np.frombuffer(old.read(length), np.float16)))
        new.write(old.read())


def rounded(array: NDArray[np.float16]) -> bytes:
    return array.astype(np.float32).astype(ml_dtypes.bfloat16).tobytes()


if __name__ == "__main__":
    sys.exit(run(main))
