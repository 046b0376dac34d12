"""Adapt graphs to the names and inputs that other runtimes feed.

Example:
    write_graph(predictor_with_lengths(source), source, folder / "decoder.onnx")
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from transducer.core.onnx_files import external_files, save_graph
from transducer.package.folder import copy


def write_graph(model: onnx.ModelProto, source: Path, target: Path) -> None:
    """Write a graph made from `source`, and its sidecar, if any, as TARGET.data beside it."""
    for sidecar in external_files(model):
        copy(source.parent / sidecar, target.with_name(f"{target.name}.data"))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = f"{target.name}.data"
    save_graph(model, target)


def expose(model: onnx.ModelProto, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Rename a graph's inputs and outputs, and put both in the order given."""
    names = {**inputs, **outputs}
    graph = model.graph
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for values, order in ((graph.input, inputs), (graph.output, outputs)):
        by_name = {value.name: value for value in values}
        exposed = [by_name[name] for name in order]
        for value in exposed:
            value.name = names[value.name]
        del values[:]
        values.extend(exposed)


def predictor_with_lengths(path: Path, integers: int = TensorProto.INT32) -> onnx.ModelProto:
    """Return the predictor with the inputs of NeMo's own export, which these runtimes feed.

    In: targets [B,U] and target_length [B] of the dtype `integers`, h and c [L,B,H]; out: g [B,H,U], prednet_lengths
    (the lengths, passed through), h_out, c_out.
    """
    model = onnx.load_model(path)
    graph = model.graph
    tokens = next(value for value in graph.input if value.name == "y")
    axes = [axis.dim_param or axis.dim_value for axis in tokens.type.tensor_type.shape.dim]
    graph.input.remove(tokens)
    graph.input.extend(
        [
            helper.make_tensor_value_info("targets", integers, axes),
            helper.make_tensor_value_info("target_length", integers, axes[:1]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("prednet_lengths", integers, axes[:1]))
    graph.node.insert(0, helper.make_node("Cast", ["targets"], ["y"], name="/targets/Cast", to=TensorProto.INT64))
    graph.node.append(helper.make_node("Identity", ["target_length"], ["prednet_lengths"], name="/lengths/Identity"))
    order = ("targets", "target_length", "h", "c"), ("g", "prednet_lengths", "h_out", "c_out")
    expose(model, *({name: name for name in names} for names in order))
    return model
