"""ONNX files with their weights inside or in exactly one sidecar, never in loose files.

Example:
    model = load_graph(Path("out/demo-tdt/onnx/encoder.onnx"))  # weights in a sidecar stay there
    print(interface(model))
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

# Newer versions are refused by runtimes in use; 8 goes with opset 17 and 18.
IR_VERSION = 8


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
