"""Export-only rewrites of the subsampling by convolutions, numerically equal to NeMo's.

Example:
    with lean_masks(encoder):
        torch.onnx.export(...)
"""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.patches import replaced

# The first convolution's output is by far the largest tensor of an encoder whose attention is limited: 0.2 GB a minute
# in the 0.6B models, and again as much while it is computed. One of so many slices at a time is a sixteenth of that.
SLICES = 16


def lean_masks(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Mask the subsampling's input before convolutions over time only, by a mask that broadcasts.

    NeMo masks before and after every layer, by a mask of all channels and features. Encoders with local attention,
    which hours of audio are for, subsample one slice of the time after the other.
    """
    from nemo.collections.asr.parts.submodules.subsampling import MaskedConvSequential

    conv: Any = getattr(encoder.pre_encode, "conv", None)
    slices = SLICES if getattr(encoder, "self_attention_model", None) == "rel_pos_local_attn" else 1

    def forward(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, sizes = x.unsqueeze(1), [lengths.clone().float()]
        for layer in conv:
            sizes.append(_output_size(sizes[-1], layer))
        output = _sliced(conv, x, sizes, slices) if slices > 1 else _convolve(conv, x, x.size(2), sizes)
        return output, sizes[-1].long()

    places = [(conv, "forward", forward)] if type(conv) is MaskedConvSequential else []
    return replaced(places, "subsampling masks what convolutions over time see")


def _convolve(conv: nn.Sequential, x: Tensor, frames: Any, lengths: list[Tensor], first: Any = None) -> Tensor:
    """Return the output [B,C,T',F'] of so many frames [B,1,T,F] of recordings.

    Args:
        frames: T. Sizes are computed, not asked of what a convolution gives: runtimes fuse what has one reader only.
        lengths: of the recordings before each layer and after the last [B].
        first: the number of frame 0 in its recording, a multiple of the factor of all layers; below 0 is silence.
    """
    for layer, length in zip(conv, lengths, strict=False):
        if getattr(layer, "kernel_size", (1, 1))[0] > 1:
            x = x * _seen(frames, length, first, x)
        x = layer(x)
        frames = _output_size(frames, layer)
        first = None if first is None else first // _stride(layer)
    return x * _seen(frames, lengths[-1], first, x)


def _sliced(conv: nn.Sequential, x: Tensor, lengths: list[Tensor], slices: int) -> Tensor:
    """Return the output of all frames [B,1,T,F], computed from one slice of the time after the other."""
    factor, reach, frames = 1, 0, x.size(2)
    for layer in conv:
        reach += factor * (getattr(layer, "kernel_size", (1, 1))[0] - 1)
        factor *= _stride(layer)
        frames = _output_size(frames, layer)
    # Output frames on either side of a slice that depend on what is beyond it.
    halo = math.ceil(reach / factor)
    size = (frames + slices - 1) // slices
    x = nn.functional.pad(x, (0, 0, halo * factor, (slices * size + halo) * factor - x.size(2)))
    width = (size + 2 * halo) * factor
    outputs = []
    for number in range(slices):
        begin = number * size * factor
        part = _convolve(conv, x[:, :, begin : begin + width], width, lengths, begin - halo * factor)
        outputs.append(part[:, :, halo : halo + size])
    return torch.cat(outputs, dim=2)[:, :, :frames]


def _stride(layer: nn.Module) -> int:
    stride: tuple[int, ...] = getattr(layer, "stride", (1, 1))
    return stride[0]


def _output_size(size: Any, layer: Any) -> Any:
    """Return how many frames a layer makes of so many."""
    from nemo.collections.asr.parts.submodules.subsampling import calculate_conv_output_size

    if getattr(layer, "stride", (1, 1)) == (1, 1):
        return size
    causal = hasattr(layer, "_left_padding")
    padding = (layer._left_padding, layer._right_padding) if causal else layer.padding
    return calculate_conv_output_size(size, layer.kernel_size[0], layer.stride[0], padding)


def _seen(frames: Any, lengths: Tensor, first: Any, like: Tensor) -> Tensor:
    """Return 1 for those of so many frames that are in each row's recording and 0 for others, [B,1,T,1]."""
    numbers = torch.arange(frames, device=like.device)
    if first is None:
        inside = numbers < lengths.long().unsqueeze(1)
    else:
        numbers = numbers + first
        inside = (numbers >= 0) & (numbers < lengths.long().unsqueeze(1))
    return inside.to(like.dtype)[:, None, :, None]
