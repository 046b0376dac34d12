"""From a checkpoint's module to an ExecuTorch file: export, quantize, delegate, write.

Example:
    part = load_part("encoder", Checkpoint(Path("out/demo-tdt/checkpoint")), max_frames=3000)
    lowered = lower(part.export(), part, XNNPACK)
    write_pte(lowered, part, {"method": "xnnpack"}, Path("out/demo-tdt/pte/encoder.xnnpack.pte"))

Beside a file lies its manifest (.json): inputs and outputs, the lengths and batches it takes, how it was made, and what
was delegated, which the file itself does not tell.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from tqdm import tqdm

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.core.cli import InputError, existing, hushed, log, parser, replacing, sha256_of, write_json
from transducer.core.contracts import GRAPHS, example
from transducer.export.modules import load_module
from transducer.export.patches import computed_positions, folded_batch_norm, lean_convolutions, lean_masks
from transducer.export.streaming import Streaming
from transducer.pte.delegation import delegated, quantized_nodes, weight_dtypes
from transducer.pte.encoder import LoweredEncoder
from transducer.pte.frontend import LoweredFrontend
from transducer.pte.step import LoweredStep

LOWERED = ("frontend", "encoder", "encoder_streaming", "rnnt_step")
# The largest batch that a step takes: a beam of 64, or as many streams.
MAX_ROWS = 64
PORTABLE, XNNPACK = "portable", "xnnpack"


@dataclass
class Part:
    """A module to be lowered, inputs that fit it, and which of their axes are dynamic.

    bounds: smallest and largest size of the dynamic axes by name, T, samples or B; empty where all is fixed.
    """

    graph: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    bounds: dict[str, tuple[int, int]]
    facts: dict[str, Any] = field(default_factory=dict)

    def export(self, module: nn.Module | None = None) -> ExportedProgram:
        """Return the module, or another of the same inputs, as an exported program."""
        with torch.inference_mode(), any_length():
            return torch.export.export(
                module or self.module,
                self.inputs,
                dynamic_shapes=self._dynamic(),
                strict=False,
                # A size that takes another path, such as one frame alone, is refused at run time, not at export.
                prefer_deferred_runtime_asserts_over_guards=True,
            )

    def _dynamic(self) -> tuple[dict[int, Dim], ...] | None:
        if not self.bounds:
            return None
        axes = {name: Dim(name, min=low, max=high) for name, (low, high) in self.bounds.items()}
        shapes = GRAPHS[self.graph].inputs.values()
        # The length of an encoder's or a frontend's input has the axis B, which is fixed at 1.
        return tuple({n: axes[axis] for n, axis in enumerate(shape) if axis in axes} for shape in shapes)


def load_part(graph: str, checkpoint: Checkpoint, max_frames: int = 0, streaming: Streaming | None = None) -> Part:
    """Return the module of a graph with the checkpoint's weights, ready to be exported.

    An encoder takes one utterance of up to `max_frames` feature frames, a frontend the waveform of as many, a step 1 to
    MAX_ROWS rows, a streaming encoder one stream's window.

    Raises: InputError for a model of a kind that is not lowered.
    """
    facts = describe(checkpoint)
    dims, source = facts["dims"], checkpoint.source
    # One encoder frame alone would be another program: an axis of one has strides of its own.
    low = facts["subsampling_factor"] + 1
    if graph in ("encoder", "frontend") and max_frames <= 2 * low:
        raise InputError(f"{source}: PTE_MAX_FRAMES={max_frames} is too few; give more than {2 * low}.")
    module: nn.Module
    if graph == "encoder":
        module = LoweredEncoder(checkpoint.build("encoder"), source)
        sizes, bounds = {"B": 1, "T": min(101, max_frames)}, {"T": (low, max_frames)}
    elif graph == "frontend":
        module = LoweredFrontend(checkpoint.build("preprocessor"), source)
        sizes = {"B": 1, "samples": min(101, max_frames) * module.hop}
        bounds = {"samples": (module.window, (max_frames + 1) * module.hop - 1)}
    elif graph == "rnnt_step":
        module = LoweredStep(checkpoint.build("decoder"), checkpoint.build("joint"), source)
        sizes, bounds = {"B": 4}, {"B": (1, MAX_ROWS)}
    else:
        assert streaming is not None
        module = load_module(graph, checkpoint, streaming)
        encoder: Any = module.encoder
        for patch in (computed_positions, folded_batch_norm, lean_masks, lean_convolutions):
            patch(encoder).__enter__()  # for good: the module is used for nothing else
        facts |= {"dims": dims | streaming.sizes, "streaming": streaming.facts()}
        sizes, bounds = {"B": 1}, {}
    arrays = example(graph, facts["dims"] | sizes)
    return Part(graph, module.eval(), tuple(torch.from_numpy(array) for array in arrays.values()), bounds, facts)


def any_length() -> AbstractContextManager[None]:
    """Return a context in which convolutions are traced as for any length.

    Whether PyTorch takes oneDNN for them depends on the input's size, and a program traced so takes one side only.
    """
    return torch.backends.mkldnn.flags(enabled=False)


def quantize(part: Part, quantizer: Any, inputs: Iterable[Sequence[Tensor]]) -> ExportedProgram:
    """Return the part quantized by PT2E, its activations observed on inputs.

    Raises: ValueError if nothing came out quantized.
    """
    with hushed():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(part.export().module(check_guards=False), quantizer)
    with torch.inference_mode():
        for arrays in tqdm(inputs, desc="calibrate", unit="utterance", delay=5, leave=False):
            prepared(*arrays)
    program = part.export(convert_pt2e(prepared))
    if not quantized_nodes(program.graph_module)["dequantize"]:
        raise ValueError("the quantizer found no layer that it knows")
    return program


def lower(program: ExportedProgram, part: Part, how: str) -> Any:
    """Return an exported program in ExecuTorch's edge dialect, parts of it delegated to XNNPACK."""
    with hushed():
        import executorch.kernels.quantized  # noqa: F401  registers the out variants of quantize and dequantize
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    numbers = {f"min_{axis}": low for axis, (low, _) in part.bounds.items()}
    numbers |= {f"max_{axis}": high for axis, (_, high) in part.bounds.items()}
    with any_length():
        return to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()] if how == XNNPACK else [],
            constant_methods=numbers | {"blank_id": part.facts["blank_id"]},
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )


def write_pte(edge: Any, part: Part, made_with: dict[str, Any], output: Path) -> None:
    """Write the file and beside it its manifest (.json)."""
    from executorch.exir import ExecutorchBackendConfig

    module = edge.exported_program()
    bounds = _kept_bounds(part, module)
    graph = GRAPHS[part.graph]
    names = list(graph.inputs) if "swipe" not in part.facts else swipe_names(graph.inputs)
    manifest: dict[str, Any] = {
        "file": output.name,
        "graph": part.graph,
        "made_with": made_with,
        "inputs": [{"name": n, **_value(t)} for n, t in zip(names, part.inputs, strict=True)],
        "outputs": list(graph.outputs),
        "bounds": {axis: list(ends) for axis, ends in bounds.items()},
        "facts": part.facts,
        "delegation": delegated(module),
        "weights": weight_dtypes(module),
    }
    with any_length():
        program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    with replacing(output) as tmp:
        with tmp.open("wb") as stream:
            program.write_to_file(stream)
        manifest |= {"sha256": sha256_of(tmp), "bytes": tmp.stat().st_size}
        # Before the file, which Make takes for both.
        write_json(output.with_suffix(".json"), manifest)
    share = manifest["delegation"]["flops"]["share"]
    log.info("%s: %d bytes, %.1f %% of the arithmetic delegated", output, manifest["bytes"], 100 * share)


def _kept_bounds(part: Part, program: Any) -> dict[str, tuple[int, int]]:
    """Return the bounds that a lowered program has kept: a decomposition may have taken one path of several.

    A lower end of 2 says nothing: the exporter notes it for every dynamic axis, and what it makes takes 1 as well.
    """
    ranges = [(int(ends.lower), int(ends.upper)) for ends in program.range_constraints.values()]
    kept = [(low if low > 2 else 0, high) for low, high in ranges]
    bounds = {
        axis: (max(low, *(ends[0] for ends in kept)), min(high, *(ends[1] for ends in kept))) if kept else (low, high)
        for axis, (low, high) in part.bounds.items()
    }
    if bounds != part.bounds:
        log.warning("%s takes %s only, where %s was asked for", part.graph, bounds, part.bounds)
    return bounds


def swipe_names(axes: Iterable[str]) -> list[str]:
    """Return the input names of a swipe encoder, whose features are no audio."""
    return ["features" if name == "audio_signal" else name for name in axes]


def _value(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}


def lowering_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the command line that all lowering workers share."""
    args = parser(doc)
    args.add_argument("--graph", choices=LOWERED, default="encoder")
    args.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    args.add_argument("--streaming", type=Path, help="model_meta.json that says how a streaming encoder is fed")
    args.add_argument(
        "--max-frames",
        type=int,
        default=3001,
        help="feature frames that an encoder takes at most, and a frontend gives",
    )
    args.add_argument("--output", type=Path, required=True, help="the .pte file; its manifest (.json) goes beside it")
    return args


def load_requested(options: argparse.Namespace) -> Part:
    """Return the part that the options name."""
    streaming = None
    if options.graph == "encoder_streaming":
        if not options.streaming:
            raise InputError(f"{options.output.name}: name a streaming model's model_meta.json by --streaming.")
        meta = json.loads(existing(options.streaming, "run `make meta STREAMING=1` first").read_text(encoding="utf-8"))
        streaming = Streaming.from_facts(meta["streaming"])
    return load_part(options.graph, Checkpoint(options.checkpoint), options.max_frames, streaming)
