"""An ONNX graph's weights: inside the file, or in exactly one sidecar.

Example:
    attach_weights(model, weights, sidecar=Path("out/demo-tdt/onnx/encoder.onnx.data"))
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

from transducer.core.cli import InputError, replacing
from transducer.core.progress import progress

if TYPE_CHECKING:
    from torch import Tensor
from transducer.core.onnx_files import load_graph

# Protobuf messages end at 2 GiB; half leaves room for tools that copy. Small tensors stay inside for shape folding.
SIDECAR_ABOVE = 1 << 30


INLINE_BELOW = 1 << 10


# Runtimes map a sidecar page by page.
ALIGNMENT = 4096


def attach_weights(model: onnx.ModelProto, weights: "Mapping[str, Tensor]", sidecar: Path) -> None:
    """Turn the graph inputs named in `weights` into initializers, in a sidecar if they are too large."""
    names = _remove_inputs(model, weights)
    arrays = ((name, weights[name].contiguous().numpy()) for name in names)
    store_weights(model, arrays, sum(weights[name].nbytes for name in names), sidecar)


def store_weights(model: onnx.ModelProto, arrays: Iterable[tuple[str, NDArray[Any]]], size: int, sidecar: Path) -> None:
    """Add arrays to the graph as initializers, in a sidecar if `size`, their total in bytes, is too large.

    The sidecar is written whole before the graph that needs it. Arrays are read one at a time, so that their
    generator holds no more than one in memory.
    """
    if size <= SIDECAR_ABOVE:
        model.graph.initializer.extend(inline_tensor(name, array) for name, array in arrays)
        record_of(sidecar).unlink(missing_ok=True)
        sidecar.unlink(missing_ok=True)
        return
    with (
        replacing(sidecar) as tmp,
        tmp.open("wb") as stream,
        progress(desc=sidecar.name, total=size, unit="B", unit_scale=True, leave=False) as bar,
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
    record_of(sidecar).write_text(f"{sidecar.name}\n", encoding="utf-8")


def record_of(sidecar: Path) -> Path:
    """Return the small file from which Make knows that there must be a sidecar: GRAPH.onnx.sidecar."""
    return sidecar.with_suffix(".sidecar")


def read_weight(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    """Return an initializer's values; `folder` is where its sidecar lies, if it has one."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    # Read rather than mapped: mapped pages count as the process's memory.
    values = np.fromfile(folder / place["location"], dtype, math.prod(tensor.dims), offset=int(place["offset"]))
    return values.reshape(tensor.dims)


def share_weights(model: onnx.ModelProto, weights: "Mapping[str, Tensor]", other: Path) -> None:
    """Turn the graph inputs named in `weights` into initializers that lie in the sidecar of another graph.

    Weights that the other graph stores inside its file are stored inside this one too, so a graph without a
    sidecar shares none.
    Raises: InputError if a weight is not the same in the sidecar.
    """
    shared = {
        tensor.name: tensor
        for tensor in load_graph(other).graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    for name in progress(_remove_inputs(model, weights), desc="shared weights", unit="tensor", leave=False):
        if name not in shared:
            model.graph.initializer.append(inline_tensor(name, weights[name].contiguous().numpy()))
            continue
        if not _same(shared[name], weights[name].contiguous().numpy(), other.parent):
            raise InputError(
                f"{other}: its weight {name} differs from the checkpoint's, so its weights cannot be shared; "
                "export both graphs from one checkpoint."
            )
        model.graph.initializer.append(shared[name])


def _remove_inputs(model: onnx.ModelProto, weights: "Mapping[str, Tensor]") -> list[str]:
    """Remove the graph inputs that are weights, and return their names."""
    names = [value.name for value in model.graph.input if value.name in weights]
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return names


def _same(proto: TensorProto, array: NDArray[Any], folder: Path) -> bool:
    """Return whether a tensor in a sidecar has exactly these values."""
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
