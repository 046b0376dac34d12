"""The subsampling of a lowered encoder: NeMo's convolutions, a causal one's padding being a layer of its own.

Example:
    subsampling = Subsampling(encoder.pre_encode)
    x, lengths = subsampling(features), subsampling.lengths(length)
"""

from typing import Any

import torch
from torch import Tensor, nn

from transducer.pte.layers import linear


class Subsampling(nn.Module):
    """Strided convolutions over time and features, then a linear layer: [1,F,T] to [T_enc, D]."""

    def __init__(self, pre_encode: Any) -> None:
        super().__init__()
        self.steps = nn.Sequential(*(_convolution(layer) for layer in pre_encode.conv))
        self.out = linear(pre_encode.out)
        # Kernel, stride and padding on both sides of each convolution over time.
        self.over_time = [
            (layer.kernel_size[0], layer.stride[0], sum(_padding(layer)))
            for layer in pre_encode.conv
            if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1
        ]

    def forward(self, features: Tensor) -> Tensor:
        x = self.steps(features.transpose(1, 2).unsqueeze(1))
        return self.out(x.permute(0, 2, 1, 3).contiguous().view(-1, self.out.in_features))

    def lengths(self, length: Tensor) -> Tensor:
        # Nothing is added, because PT2E makes a float of a whole number that is.
        for kernel, stride, padding in self.over_time:
            length = torch.div(length - (kernel - padding - stride), stride, rounding_mode="floor")
        return length


def _convolution(layer: Any) -> nn.Module:
    """Return a subsampling layer as it is, a causal one with its padding as a layer of its own."""
    if not hasattr(layer, "_left_padding"):
        return layer
    before, after = _padding(layer)
    plain = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, groups=layer.groups,
        bias=layer.bias is not None,
    )  # fmt: skip
    plain.weight, plain.bias = layer.weight, layer.bias
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), plain)


def _padding(layer: Any) -> tuple[int, int]:
    """Return the frames of padding before and after a convolution's input."""
    if hasattr(layer, "_left_padding"):
        return layer._left_padding, layer._right_padding
    return layer.padding[0], layer.padding[0]
