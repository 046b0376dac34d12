"""ONNX files with their weights inside or in exactly one sidecar, never in loose files.

Example:
    model = load_graph(Path("out/demo-tdt/onnx/encoder.onnx"))  # weights in a sidecar stay there
    print(interface(model))
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tqdm import tqdm

from transducer.core.cli import InputError, replacing

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
    """Turn the graph inputs named in `weights` into initializers, in a sidecar if they are too large."""
    used = _taken_inputs(model, weights)
    arrays = ((name, weights[name].contiguous().numpy()) for name in used)
    store_weights(model, arrays, sum(weights[name].nbytes for name in used), sidecar)


def store_weights(model: onnx.ModelProto, arrays: Iterable[tuple[str, NDArray[Any]]], size: int, sidecar: Path) -> None:
    """Add arrays to the graph as initializers, in a sidecar if `size`, their bytes in all, is too large.

    The sidecar is written whole before the graph that needs it. Arrays are taken one at a time, so that what makes
    them need hold no more than one.
    """
    if size <= SIDECAR_ABOVE:
        model.graph.initializer.extend(inline_tensor(name, array) for name, array in arrays)
        sidecar.unlink(missing_ok=True)
        return
    with (
        replacing(sidecar) as tmp,
        tmp.open("wb") as stream,
        tqdm(desc=sidecar.name, total=size, unit="B", unit_scale=True, delay=5, leave=False) as bar,
    ):
        for name, array in arrays:
            bar.update(array.nbytes)
            if array.nbytes < INLINE_BELOW:
                model.graph.initializer.append(inline_tensor(name, array))
                continue
            stream.seek(-stream.tell() % ALIGNMENT, os.SEEK_CUR)
            proto = _header(name, array)
            proto.data_location = TensorProto.EXTERNAL
            place = {"location": sidecar.name, "offset": stream.tell(), "length": array.nbytes}
            for key, value in place.items():
                proto.external_data.add(key=key, value=str(value))
            stream.write(np.ascontiguousarray(array).data.cast("B"))
            model.graph.initializer.append(proto)


def read_weight(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """Return an initializer's values; `folder` is where its sidecar lies, if it has one."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    # Read rather than mapped: what a process maps counts as its memory.
    values = np.fromfile(folder / place["location"], dtype, math.prod(tensor.dims), offset=int(place["offset"]))
    return values.reshape(tensor.dims)


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
            model.graph.initializer.append(inline_tensor(name, weights[name].contiguous().numpy()))
            continue
        if not _same(shared[name], weights[name].contiguous().numpy(), other.parent):
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


def _same(proto: TensorProto, array: NDArray[Any], folder: Path) -> bool:
    """Tell whether a tensor in a sidecar has exactly these values."""
    header = _header(proto.name, array)
    if (proto.data_type, list(proto.dims)) != (header.data_type, list(header.dims)):
        return False
    return np.array_equal(read_weight(proto, folder), array)


def _header(name: str, array: NDArray[Any]) -> TensorProto:
    return TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)


def inline_tensor(name: str, array: NDArray[Any]) -> TensorProto:
    """Return an array as an initializer that holds its values itself."""
    proto = _header(name, array)
    proto.raw_data = array.tobytes()
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


def sidecars_of(graph: Path) -> list[Path]:
    """Return the sidecars beside a graph's file; one that is no ONNX has none."""
    names = external_files(load_graph(graph)) if graph.suffix == ".onnx" else set()
    return [graph.parent / name for name in sorted(names)]


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
