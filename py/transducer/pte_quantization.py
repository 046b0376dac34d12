"""Quantizing an encoder's linear layers for XNNPACK: what with, on what data, and how much each layer minds.

Example:
    utterances = calibration_utterances(options)
    quantizer = quantizer_of({name: "int8-static" for name in linear_layers(part.module)})

Only linear layers are quantized: they are nearly all of the weights. Attention's products of activations, softmax,
norms and the subsampling's convolutions stay in fp32, which is where int8 loses most.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transducer.calibration_inputs import speech_batches, trace_batches
from transducer.checkpoint import Checkpoint
from transducer.cli import InputError, existing, hushed, log
from transducer.keyboard import layout_of
from transducer.lowering import XNNPACK, Part, lower, quantize, write_pte
from transducer.metadata import describe
from transducer.parity import open_session

# Ways to compute a layer; the weights of all have a scale for each output channel. XNNPACK has no products of fp32
# activations and integer weights, so weight-only is not among them.
INT8_STATIC, INT8, INT4 = "int8-static", "int8", "int4"
LIMITS = {INT8_STATIC: 127, INT8: 127, INT4: 7}

Utterance = tuple[Tensor, Tensor]


def data_arguments(args: argparse.ArgumentParser) -> None:
    """Add the options that say which utterances are taken."""
    args.add_argument("--manifest", type=Path, help="NeMo manifest of speech, or manifest of swipes")
    args.add_argument("--frontend", type=Path, help="frontend.onnx, which makes the features of speech")
    args.add_argument("--batches", type=int, default=16)
    args.add_argument("--batch-size", type=int, default=8)


def quantization_arguments(args: argparse.ArgumentParser) -> None:
    """Add the options of calibration and of what to do when a model cannot be quantized."""
    data_arguments(args)
    args.add_argument("--synthetic-calibration", action="store_true", help="calibrate on noise, which real data is not")
    args.add_argument("--fallback-to-fp32", action="store_true", help="write the fp32 form where int8 cannot be made")
    args.add_argument("--exclude", default="", help="regular expression of names of layers to leave in fp32")


def calibration_utterances(options: argparse.Namespace) -> list[Utterance]:
    """Return the features [1,F,T] and lengths [1] of `batches` times `batch_size` utterances.

    Raises: InputError if there is nothing to calibrate with.
    """
    checkpoint = Checkpoint(options.checkpoint)
    facts, source = describe(checkpoint), checkpoint.source
    if getattr(options, "synthetic_calibration", False):
        return noise(options)
    if not options.manifest:
        raise InputError(
            f"{source}: nothing to calibrate with; set CALIB_MANIFEST to a manifest, or SYNTHETIC_CALIBRATION=1."
        )
    if "swipe" in facts:
        layout = layout_of(facts["swipe"]["layout"], source)
        batches = trace_batches(options.manifest, layout, options.batches, options.batch_size)
    else:
        if not options.frontend:
            raise InputError(f"{source}: a model of speech needs its frontend; name it by --frontend.")
        frontend = open_session(existing(options.frontend, "run `make frontend.onnx` first"))
        batches = speech_batches(
            options.manifest, frontend, options.batches, options.batch_size, int(facts["sample_rate"])
        )
    shortest, longest = facts["subsampling_factor"] + 1, getattr(options, "max_frames", sys.maxsize)
    found = [
        (torch.from_numpy(np.ascontiguousarray(row[None, :, :frames])), torch.tensor([frames]))
        for features, lengths in batches
        for row, frames in zip(features, lengths.tolist(), strict=True)
        if shortest <= frames <= longest
    ]
    if not found:
        raise InputError(
            f"{options.manifest}: no entry chosen from it has {shortest} to {longest} feature frames; "
            "set CALIB_MANIFEST to another manifest or PTE_MAX_FRAMES to more."
        )
    return found


def noise(options: argparse.Namespace) -> list[Utterance]:
    """Return as many utterances of noise, of 20 to 400 frames."""
    log.warning("%s: calibrated on noise, so expect its accuracy to be worse than on real data", options.output)
    dims, random = describe(Checkpoint(options.checkpoint))["dims"], torch.Generator().manual_seed(0)
    lengths = torch.linspace(20, min(400, options.max_frames), options.batches * options.batch_size).int().tolist()
    return [(torch.randn(1, dims["F"], frames, generator=random), torch.tensor([frames])) for frames in lengths]


def linear_layers(module: nn.Module, exclude: str = "") -> dict[str, nn.Linear]:
    """Return a module's linear layers by name, but for those whose name the regular expression finds."""
    try:
        left_out = re.compile(exclude) if exclude else None
    except re.error as error:
        raise InputError(f"EXCLUDE={exclude} is no regular expression ({error}); correct it.") from None
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and not (left_out and left_out.search(name))
    }


def quantizer_of(plan: Mapping[str, str]) -> Any:
    """Return a PT2E quantizer that computes each named layer as the plan says, and nothing else."""
    with hushed():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )

    settings = {
        INT8_STATIC: get_symmetric_quantization_config(is_per_channel=True),
        INT8: get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True),
        INT4: get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True, weight_qmin=-8, weight_qmax=7),
    }
    quantizer = XNNPACKQuantizer()
    for name, way in plan.items():
        quantizer.set_module_name(name, settings[way])
    return quantizer


def write_quantized(
    part: Part,
    plan: Mapping[str, str],
    utterances: Sequence[Utterance],
    how: str,
    options: argparse.Namespace,
    found: Mapping[str, Any] | None = None,
) -> None:
    """Quantize an encoder by a plan, lower it and write it; or its fp32 form, if that is what the options ask for.

    Raises: InputError if the quantizer cannot take the model and there is no fallback.
    """
    made_with: dict[str, Any] = {"method": Counter(plan.values()), "exclude": options.exclude, **(found or {})}
    made_with["calibration"] = "noise" if options.synthetic_calibration else f"{len(utterances)} utterances"
    try:
        program = quantize(part, quantizer_of(plan), utterances)
    except (ValueError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not options.fallback_to_fp32:
            raise InputError(
                f"{options.output.name}: this model cannot be quantized ({reason}); use encoder.xnnpack.pte, or set "
                "FALLBACK_TO_FP32=1 to have that under this name."
            ) from None
        log.warning("%s is fp32, because the model cannot be quantized (%s)", options.output, reason)
        made_with = {"method": "xnnpack", "fallback": reason}
        program, how = part.export(), XNNPACK
    # Outside: what fails here is a defect, not a model that cannot be quantized.
    edge = lower(program, part, how)
    write_pte(edge, part, made_with, options.output)


class Sensitivity:
    """How far an encoder's output moves when its layers are computed in integers.

    Args:
        module: the encoder in fp32.
        utterances: what it is measured on.
    """

    def __init__(self, module: nn.Module, utterances: Sequence[Utterance]) -> None:
        self.module, self.utterances = module, utterances
        self.layers = linear_layers(module)
        self.ranges: dict[str, tuple[float, float]] = {}
        with self._hooked({name: self._observe(name) for name in self.layers}):
            self.expected = [self._run(utterance) for utterance in utterances]

    def error(self, plan: Mapping[str, str]) -> float:
        """Return the relative root mean square error of the output under a plan."""
        kept = {name: self.layers[name].weight.data for name in plan}
        try:
            for name, way in plan.items():
                self.layers[name].weight.data = rounded_columns(kept[name], LIMITS[way])
            with self._hooked({name: self._round(name, way) for name, way in plan.items()}):
                found = [self._run(utterance) for utterance in self.utterances]
        finally:
            for name, weight in kept.items():
                self.layers[name].weight.data = weight
        wrong = sum(float((a - b).square().sum()) for a, b in zip(self.expected, found, strict=True))
        return (wrong / sum(float(a.square().sum()) for a in self.expected)) ** 0.5

    def _run(self, utterance: Utterance) -> Tensor:
        with torch.inference_mode():
            return self.module(*utterance)[0]

    @contextmanager
    def _hooked(self, hooks: Mapping[str, Any]) -> Iterator[None]:
        handles = [self.layers[name].register_forward_pre_hook(hook) for name, hook in hooks.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _observe(self, name: str) -> Any:
        def observe(_: nn.Module, args: tuple[Tensor]) -> None:
            low, high = self.ranges.get(name, (0.0, 0.0))
            self.ranges[name] = min(low, float(args[0].min())), max(high, float(args[0].max()))

        return observe

    def _round(self, name: str, way: str) -> Any:
        def rounded(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            (x,) = args
            low, high = (
                self.ranges[name] if way == INT8_STATIC else (min(0.0, float(x.min())), max(0.0, float(x.max())))
            )
            scale = max((high - low) / 255, 2.0**-12)
            return (((x - low) / scale).round().clamp(0, 255) * scale + low,)

        return rounded


def rounded_columns(weight: Tensor, limit: int) -> Tensor:
    """Return a weight [out, in] rounded to integers within ±limit times a scale for each output."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / limit
    return (weight / scale).round() * scale
