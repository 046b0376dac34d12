"""ONNX files with their weights inside or in exactly one sidecar, never in loose files.

Example:
    model = load_graph(Path("out/demo-tdt/onnx/encoder.onnx"))  # weights in a sidecar stay there
    print(interface(model))
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from tqdm import tqdm

from transducer.cli import InputError, replacing

if TYPE_CHECKING:
    from torch import Tensor

# Newer versions are refused by runtimes in use; 8 goes with opset 17 and 18.
IR_VERSION = 8
# Protobuf ends at 2 GiB; half of it leaves room for tools that copy. Small tensors stay where shapes can fold.
SIDECAR_ABOVE = 1 << 30
INLINE_BELOW = 1 << 10
# Runtimes map a sidecar page by page.
ALIGNMENT = 4096


def load_graph(path: Path) -> onnx.ModelProto:
    """Load a graph without the weights of its sidecar."""
    return onnx.load_model(path, load_external_data=False)


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph, the same bytes for the same graph; its sidecar, if any, is there already."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def interface(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """List inputs and outputs: name, dtype (ONNX names), shape (numbers, or axis names where dynamic)."""

    def describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
        tensor = value.type.tensor_type
        shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
        return {"name": value.name, "dtype": TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}

    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        "inputs": [describe(value) for value in model.graph.input if value.name not in weights],
        "outputs": [describe(value) for value in model.graph.output],
    }


def attach_weights(model: onnx.ModelProto, weights: "Mapping[str, Tensor]", sidecar: Path) -> None:
    """Turn the graph inputs named in `weights` into initializers, in a sidecar if they are too large.

    The sidecar is written whole before the graph that needs it. Tensors are converted one at a time,
    so memory holds one of them.
    """
    used = _taken_inputs(model, weights)
    size = sum(weights[name].nbytes for name in used)
    if size <= SIDECAR_ABOVE:
        model.graph.initializer.extend(_inline(name, weights[name]) for name in used)
        sidecar.unlink(missing_ok=True)
        return
    with replacing(sidecar) as tmp, tmp.open("wb") as stream:
        for name in tqdm(used, desc=sidecar.name, unit="tensor", delay=5, leave=False):
            tensor = weights[name]
            if tensor.nbytes < INLINE_BELOW:
                model.graph.initializer.append(_inline(name, tensor))
                continue
            stream.seek(-stream.tell() % ALIGNMENT, os.SEEK_CUR)
            proto = _header(name, tensor)
            proto.data_location = TensorProto.EXTERNAL
            place = {"location": sidecar.name, "offset": stream.tell(), "length": tensor.nbytes}
            for key, value in place.items():
                proto.external_data.add(key=key, value=str(value))
            stream.write(tensor.contiguous().numpy().data.cast("B"))
            model.graph.initializer.append(proto)


def share_weights(model: onnx.ModelProto, weights: "Mapping[str, Tensor]", other: Path) -> None:
    """Turn the graph inputs named in `weights` into initializers that lie in the sidecar of another graph.

    Weights that the other graph holds within itself are held here too, so a graph without a sidecar shares none.
    Raises: InputError if a weight is not the same in the sidecar.
    """
    shared = {
        tensor.name: tensor
        for tensor in load_graph(other).graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    for name in tqdm(_taken_inputs(model, weights), desc="shared weights", unit="tensor", delay=5, leave=False):
        if name not in shared:
            model.graph.initializer.append(_inline(name, weights[name]))
            continue
        if not _same(shared[name], weights[name], other.parent):
            raise InputError(
                f"{other}: its weight {name} differs from the checkpoint's, so its weights cannot be shared; "
                "export both graphs from one checkpoint."
            )
        model.graph.initializer.append(shared[name])


def _taken_inputs(model: onnx.ModelProto, weights: "Mapping[str, Tensor]") -> list[str]:
    """Remove the graph inputs that are weights, and return their names."""
    taken = [value.name for value in model.graph.input if value.name in weights]
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return taken


def _same(proto: TensorProto, tensor: "Tensor", folder: Path) -> bool:
    """Tell whether a tensor in a sidecar has exactly these values."""
    header = _header(proto.name, tensor)
    if (proto.data_type, list(proto.dims)) != (header.data_type, list(header.dims)):
        return False
    place = {entry.key: entry.value for entry in proto.external_data}
    array = tensor.contiguous().numpy()
    found = np.memmap(folder / place["location"], array.dtype, "r", int(place["offset"]), array.shape)
    return np.array_equal(found, array)


def _header(name: str, tensor: "Tensor") -> TensorProto:
    array_type = helper.np_dtype_to_tensor_dtype(tensor[:0].numpy().dtype if tensor.ndim else tensor.numpy().dtype)
    return TensorProto(name=name, data_type=array_type, dims=list(tensor.shape))


def _inline(name: str, tensor: "Tensor") -> TensorProto:
    proto = _header(name, tensor)
    proto.raw_data = tensor.contiguous().numpy().tobytes()
    return proto


def external_files(model: onnx.ModelProto) -> set[str]:
    """Return the names of the sidecars that a graph reads."""
    return {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def external_as_inputs(model: onnx.ModelProto) -> list[TensorProto]:
    """Make inputs of the initializers that lie in a sidecar, and return these, so that a tool cannot load them."""
    external = [tensor for tensor in model.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    inline = [tensor for tensor in model.graph.initializer if tensor.data_location != TensorProto.EXTERNAL]
    del model.graph.initializer[:]
    model.graph.initializer.extend(inline)
    model.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in external
    )
    return external


def inputs_as_external(model: onnx.ModelProto, external: Iterable[TensorProto]) -> None:
    """Undo external_as_inputs, leaving out weights that the graph no longer uses."""
    by_name = {tensor.name: tensor for tensor in external}
    used = {name for node in model.graph.node for name in node.input}
    kept = [value for value in model.graph.input if value.name not in by_name]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(tensor for name, tensor in by_name.items() if name in used)


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return metadata_props by name."""
    return {entry.key: entry.value for entry in model.metadata_props}


def set_metadata(model: onnx.ModelProto, facts: Mapping[str, str]) -> None:
    """Write metadata_props, sorted, replacing those of the same name."""
    merged = metadata(model) | dict(facts)
    del model.metadata_props[:]
    for key, value in sorted(merged.items()):
        model.metadata_props.add(key=key, value=value)
