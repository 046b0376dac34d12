"""The module of a graph with the inputs and dynamic axes that it is lowered with.

Example:
    part = load_part("encoder", Checkpoint(Path("out/demo-tdt/checkpoint")), max_frames=3000)
    program = part.export()
"""

import argparse
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from transducer.checkpoint.architecture import class_of, peculiarity
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.core.cli import InputError, existing, parser
from transducer.core.contracts import example, graph_of
from transducer.export.modules import load_module
from transducer.export.patches import folded_batch_norm, lean_convolutions
from transducer.export.positions_patch import computed_positions
from transducer.export.streaming import Streaming
from transducer.export.subsampling_patch import lean_masks
from transducer.pte.encoder import LoweredEncoder
from transducer.pte.frontend import LoweredFrontend
from transducer.pte.step import LoweredStep

LOWERED = ("frontend", "encoder", "encoder_streaming", "rnnt_step")


# The largest batch that a step takes: a beam of 64, or as many streams.
MAX_ROWS = 64


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
        shapes = graph_of(self.graph, self.facts["dims"]).inputs.values()
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
    require_lowerable(graph, facts, class_of(checkpoint.config, "encoder", source), source)
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


def require_lowerable(graph: str, facts: Mapping[str, Any], encoder: str, source: str) -> None:
    """Refuse a model of an architecture that ExecuTorch files are not made of. Raises: InputError."""
    what = peculiarity(facts) if graph != "frontend" else ""
    if graph.startswith("encoder") and encoder != "ConformerEncoder":
        what = f"a {encoder}"
    elif graph == "rnnt_step" and facts["joint_output"] == "log_probs":
        what = "a HAT joint"
    if what:
        raise InputError(f"{source} has {what}, which ExecuTorch files are not made of; use the ONNX graphs.")


def any_length() -> AbstractContextManager[None]:
    """Return a context in which convolutions are traced as for any length.

    Whether PyTorch takes oneDNN for them depends on the input's size, and a program traced so takes one side only.
    """
    return torch.backends.mkldnn.flags(enabled=False)


def lowering_parser(
    doc: str | None, output: str = "the .pte file; its manifest (.json) goes beside it"
) -> argparse.ArgumentParser:
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
    args.add_argument("--output", type=Path, required=True, help=output)
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
