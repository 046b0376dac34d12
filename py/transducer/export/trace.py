"""Trace a graph of a checkpoint to ONNX without ever holding its weights in memory.

Example:
    export_graph("joint", Checkpoint(Path("out/demo-tdt/checkpoint")), Path("joint.raw.onnx"), opset=17)
"""

import argparse
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import as_props, describe
from transducer.core.cli import InputError, log, parser, replacing
from transducer.core.contracts import DYNAMIC_AXES, Graph, example, graph_of, input_names
from transducer.core.onnx_files import IR_VERSION, interface, save_graph, set_metadata
from transducer.core.onnx_weights import attach_weights, share_weights
from transducer.core.version import __version__
from transducer.export.encoders import encoder_patches
from transducer.export.modules import load_module
from transducer.export.patches import dense_layers, no_dropout, raw_joint
from transducer.export.streaming import Streaming

# Traced with more than one row, frame and token, so that nothing of size one is taken for constant. A streaming
# encoder's T is its window.
TRACED = {
    "encoder": {"B": 2, "T": 101},
    "encoder_streaming": {"B": 2},
    "predictor": {"B": 2, "U": 3},
    "joint": {"B": 2, "T": 4, "U": 3},
    "rnnt_step": {"B": 2},
    "ctc": {"B": 2, "T": 4},
    "frontend": {"B": 2, "samples": 16000},
}
# 10 s of features at 10 ms, one token at a time; a frontend adds a frame to the whole steps in its samples.
FIXED = {
    "encoder": {"B": 1, "T": 1000},
    "encoder_streaming": {"B": 1},
    "predictor": {"B": 1, "U": 1},
    "joint": {"B": 1, "T": 1, "U": 1},
    "rnnt_step": {"B": 1},
    "ctc": {"B": 1, "T": 125},
    "frontend": {"B": 1, "samples": 999 * 160},
}


def export_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the command line that all export workers share."""
    args = parser(doc)
    args.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    args.add_argument("--opset", type=int, default=17)
    args.add_argument("--fixed", action="store_true", help="fix batch, time and token axes at their smallest use")
    args.add_argument("--device", default="cpu", help="where to trace: cpu or cuda")
    args.add_argument("--output", type=Path, required=True)
    return args


def export_graph(
    name: str,
    checkpoint: Checkpoint,
    output: Path,
    opset: int,
    fixed: bool = False,
    device: str = "cpu",
    streaming: Streaming | None = None,
    weights_of: Path | None = None,
) -> None:
    """Write one graph, as traced, with metadata; weights go inside or to the sidecar of the final graph.

    Args:
        streaming: how a streaming encoder cuts its input; the others have none.
        weights_of: a graph beside the output whose sidecar holds the same weights, to be shared.

    Raises: InputError if the weights do not fit the config, or differ from those to be shared.
    """
    facts = describe(checkpoint)
    if streaming:
        facts |= {"dims": facts["dims"] | streaming.sizes, "streaming": streaming.facts()}
    module = load_module(name, checkpoint, streaming).to(device)
    sizes = facts["dims"] | (FIXED if fixed else TRACED)[name]
    log.info("%s: axes are %s", name, "fixed" if fixed else f"dynamic ({', '.join(DYNAMIC_AXES)})")
    inputs = [torch.from_numpy(array).to(device) for array in example(name, sizes).values()]
    graph = graph_of(name, facts["dims"])
    names = input_names(graph, "swipe" in facts)
    require_runs(name, module, inputs, checkpoint.source)
    with contextlib.ExitStack() as stack:
        for patch in patches(name, module):
            stack.enter_context(patch)
        weights = stack.enter_context(detached_weights(module))
        model = trace(graph, module, dict(zip(names, inputs, strict=True)), opset, fixed)
    if weights_of:
        share_weights(model, weights, weights_of)
    else:
        attach_weights(model, weights, output.with_name(f"{name}.onnx.data"))
    set_metadata(model, as_props(facts))
    with replacing(output) as tmp:
        save_graph(model, tmp)
    log.info("%s: %s", output, interface(model))


def require_runs(name: str, module: nn.Module, inputs: list[Tensor], source: str) -> None:
    """Raise InputError for a module that fails on an input of the graph's contract, before anything is patched."""
    try:
        with torch.inference_mode():
            module(*inputs)
    except Exception as error:  # whatever NeMo's code says of settings that it was not written for
        message = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"{source}: NeMo's {name} fails as it is configured ({message}); correct the checkpoint's config."
        ) from None


def patches(name: str, module: Any) -> list[contextlib.AbstractContextManager[None]]:
    """Return the export-only changes of a graph, in order of application."""
    if name in ("encoder", "encoder_streaming"):
        return [*encoder_patches(module.encoder), dense_layers(module)]
    if name == "predictor":
        return [no_dropout(module)]
    if name == "frontend":
        return []
    if name == "ctc":
        return [dense_layers(module)]
    joint = module if name == "joint" else module.joint
    return [no_dropout(module), raw_joint(joint.joint), dense_layers(module)]


@contextlib.contextmanager
def detached_weights(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Replace every weight by untouched memory of its shape while a module is traced, and yield the weights.

    Tracing reads zeros, for which the system keeps one page; the weights themselves stay on disk.
    """
    tensors: dict[str, Tensor] = dict(module.named_parameters())
    tensors |= {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    weights = {name: tensor.detach() for name, tensor in tensors.items()}
    for number, tensor in enumerate(tensors.values()):
        tensor.data = torch.empty_like(tensor.data, memory_format=torch.contiguous_format)
        # The exporter merges weights that are equal; one number each keeps them apart.
        tensor.data.view(-1)[0] = number
    try:
        yield weights
    finally:
        for name, tensor in tensors.items():
            tensor.data = weights[name]


def trace(graph: Graph, module: nn.Module, inputs: dict[str, Tensor], opset: int, fixed: bool) -> onnx.ModelProto:
    """Return the module as an ONNX graph whose weights are inputs named as in the module."""
    log.info("exporter: TorchScript (torch.onnx.export with dynamo=False), opset %d", opset)
    tensors = dict(zip(inputs, graph.inputs.values(), strict=True)) | dict(graph.outputs)
    axes = {
        tensor: {index: axis for index, axis in enumerate(names) if axis in DYNAMIC_AXES}
        for tensor, names in tensors.items()
    }
    buffer = io.BytesIO()
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        buffer,  # type: ignore[arg-type]  # a stream is taken too
        dynamo=False,
        export_params=False,
        do_constant_folding=False,
        opset_version=opset,
        input_names=list(inputs),
        output_names=list(graph.outputs),
        dynamic_axes=None if fixed else axes,
    )
    model = onnx.load_model_from_string(buffer.getvalue())
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "transducer-export", __version__
    return model
