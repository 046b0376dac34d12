"""Quantizing an encoder's linear layers for XNNPACK, on what data.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.core.cli import InputError, log, quiet_stderr
from transducer.pte.forms import FORMS
from transducer.pte.lowering import XNNPACK, lower, quantize, write_pte
from transducer.pte.parts import Part
from transducer.quantize.inputs import calibration_batches

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
    count, size = options.batches, options.batch_size
    batches = calibration_batches(facts, source, options.manifest, options.frontend, count, size)
    shortest, longest = facts["subsampling_factor"] + 1, getattr(options, "max_frames", sys.maxsize)
    utterances = [
        (torch.from_numpy(np.ascontiguousarray(row[None, :, :frames])), torch.tensor([frames]))
        for features, lengths in batches
        for row, frames in zip(features, lengths.tolist(), strict=True)
        if shortest <= frames <= longest
    ]
    if not utterances:
        raise InputError(
            f"{options.manifest}: no entry chosen from it has {shortest} to {longest} feature frames; "
            "set CALIB_MANIFEST to another manifest or PTE_MAX_FRAMES to more."
        )
    return utterances


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
        raise InputError(f"EXCLUDE={exclude} is not a regular expression ({error}); correct it.") from None
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and not (left_out and left_out.search(name))
    }


def quantizer_of(plan: Mapping[str, str]) -> Any:
    """Return a PT2E quantizer that computes each named layer in the form that the plan says, and nothing else."""
    with quiet_stderr():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer

    settings = {name: FORMS[name].settings() for name in set(plan.values())}
    quantizer = XNNPACKQuantizer()
    # It looks for every pattern in every layer, and exports a module again for each of convolutions'.
    quantizer.SUPPORTED_PATTERNS = [one for one in quantizer.SUPPORTED_PATTERNS if one.name.startswith("linear")]
    for layer, form in plan.items():
        quantizer.set_module_name(layer, settings[form])
    return quantizer


def write_quantized(
    part: Part,
    plan: Mapping[str, str],
    utterances: Sequence[Utterance],
    options: argparse.Namespace,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Quantize an encoder by a plan, lower it and write it; or its fp32 form, if that is what the options ask for.

    Raises: InputError if the quantizer cannot take the model without a fallback.
    """
    made_with: dict[str, Any] = {"method": Counter(plan.values()), "exclude": options.exclude, **(facts or {})}
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
        program = part.export()
    # Outside: what fails here is a defect, not a model that cannot be quantized.
    edge = lower(program, part, XNNPACK)
    write_pte(edge, part, made_with, options.output)
