"""What a graph is made of and what it computes in: dtypes, shares of the arithmetic, sizes, operators.

Example:
    print(compute_shares("encoder", Path("out/demo-tdt/onnx/encoder.int8.onnx")))
"""

import json
import math
import tempfile
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from transducer.core.contracts import example
from transducer.core.onnx_files import external_files
from transducer.core.operators import operator
from transducer.core.progress import progress
from transducer.runtime.sessions import fixed_sizes, fp32_runner

# What is measured: 10 s of audio or 2 s of a swipe for an encoder, one step for the others.
MEASURED = {"B": 1, "T": 1000, "U": 1}
SWIPE = {"T": 80}
# Inputs by dtype that make a kernel's arithmetic one of integers.
INTEGERS = {"int8", "uint8", "int4", "uint4"}


def weight_dtypes(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """Count tensors, values and bytes of a graph's weights by dtype (names as in ONNX)."""
    dtypes: dict[str, dict[str, int]] = defaultdict(lambda: {"tensors": 0, "values": 0, "bytes": 0})
    for tensor in model.graph.initializer:
        values, dtype = math.prod(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
        entry = dtypes[TensorProto.DataType.Name(tensor.data_type).lower()]
        entry["tensors"] += 1
        entry["values"] += values
        entry["bytes"] += values * np.dtype(dtype).itemsize
    return dict(dtypes)


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Count a graph's nodes by operator, those that are not ONNX's own with their domain."""
    return dict(Counter(operator(node) for node in model.graph.node))


def sizes(path: Path, model: onnx.ModelProto) -> dict[str, int]:
    """Return a graph's bytes with its sidecars, as they are and deflated, as a package or a download has them."""
    files = [path, *(path.parent / name for name in sorted(external_files(model)))]
    deflated = 0
    with progress(desc="deflate", total=sum(file.stat().st_size for file in files), unit="B", leave=False) as bar:
        for file in files:
            packer = zlib.compressobj(6)
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    deflated += len(packer.compress(block))
                    bar.update(len(block))
            deflated += len(packer.flush())
    return {"bytes": sum(file.stat().st_size for file in files), "deflated_bytes": deflated}


def compute_shares(name: str, path: Path) -> dict[str, Any]:
    """Run a graph and return the floating-point operations of its matrix products, convolutions and LSTMs, and of
    these LSTMs' share.

    They are those of the kernels that ONNX Runtime really runs, by what these compute in, so a product that the
    runtime falls back to fp32 for counts as fp32, whatever the file says.
    """
    flops: dict[str, int] = defaultdict(int)
    kernels: dict[str, set[str]] = defaultdict(set)
    lstm = 0
    ran, at = _kernels(name, path)
    for kernel in ran:
        operation, inputs, outputs = kernel["op_name"], kernel["input_type_shape"], kernel["output_type_shape"]
        if count := _flops(operation, [_shape(value) for value in inputs], [_shape(value) for value in outputs]):
            dtypes = {dtype for value in inputs for dtype in value}
            kind = "blocks" if operation == "MatMulNBits" else "int8" if dtypes & INTEGERS else min(dtypes)
            flops[kind] += count
            lstm += count if "LSTM" in operation else 0
            kernels[kind].add(operation)
    total = sum(flops.values())
    return {
        "flops": total,
        "lstm_share": round(lstm / max(total, 1), 4),
        "at": at,
        "shares": {kind: round(count / total, 4) for kind, count in sorted(flops.items())},
        "kernels": {kind: sorted(names) for kind, names in sorted(kernels.items())},
    }


def _kernels(name: str, path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return what ONNX Runtime's profiler says of each kernel of one run, and the sizes of its input."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_profiling = True
    # Prepacked weights have no shape.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map
        dims = json.loads(facts["dims"])
        at = MEASURED | (SWIPE if "swipe" in facts else {}) | fixed_sizes(name, session)
        fp32_runner(session)(example(name, dims | at))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"] for event in events if event["name"].endswith("_kernel_time")], at


def _shape(value: dict[str, list[int]]) -> list[int]:
    (shape,) = value.values()
    return shape


def _flops(operation: str, inputs: list[list[int]], outputs: list[list[int]]) -> int:
    """Return two for each multiplication and addition of a heavy kernel, 0 for any other."""
    if "LSTM" in operation:
        steps, batch, _ = inputs[0]
        return 2 * steps * batch * (math.prod(inputs[1]) + math.prod(inputs[2]))
    if "Conv" in operation:
        # Quantized ones have scale and zero point between data and weight, which has as many axes as the data.
        weight = next(shape for shape in inputs[1:] if len(shape) == len(inputs[0]))
        return 2 * math.prod(outputs[0]) * math.prod(weight[1:])
    if "MatMul" in operation or "Gemm" in operation:
        return 2 * math.prod(inputs[0]) * outputs[0][-1]
    return 0
