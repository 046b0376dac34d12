"""What TensorRT takes of a graph, and what it will compute in: precision is in the graph, and no flag asks for it.

Example:
    require_supported(load_graph(path), path)
"""

from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from transducer.core.cli import InputError

DYNAMIC_INT8 = {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"}
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
TYPES = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}


def require_supported(model: onnx.ModelProto, path: Path) -> None:
    """Refuse graphs that no TensorRT takes, before any build. Raises: InputError."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in DYNAMIC_INT8:
            raise InputError(
                f"{path} is quantized dynamically ({node.op_type} at {node.name}), which TensorRT does not support; "
                "give it the static Q/DQ graph, .int8-qdq.onnx."
            )
        if node.domain not in ("", "ai.onnx"):
            raise InputError(
                f"{path} has the operator {node.domain}.{node.op_type} at {node.name}, which only ONNX Runtime knows; "
                "give TensorRT an fp32, fp16, bf16 or int8-qdq graph."
            )
        zero = constants.get(node.input[2]) if node.op_type in QUANTIZERS and len(node.input) > 2 else None
        if zero is not None and (zero.data_type != TensorProto.INT8 or numpy_helper.to_array(zero).any()):
            raise InputError(
                f"{path} has a zero point other than int8 0 at {node.name}; TensorRT quantizes symmetrically, so "
                "quantize the graph with symmetric int8."
            )


def precision(model: onnx.ModelProto) -> str:
    """Return what a graph computes in: int8-qdq, bf16, fp16 or fp32."""
    if any(node.op_type in QUANTIZERS for node in model.graph.node):
        return "int8-qdq"
    casts = {a.i for node in model.graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
    kinds = {TYPES.get(kind) for kind in casts | {tensor.data_type for tensor in model.graph.initializer}}
    return next((kind for kind in ("bf16", "fp16") if kind in kinds), "fp32")
