"""Layers of a lowered encoder: weights that are not trained, with what stands before a layer folded into it.

Example:
    query = linear(attention.linear_q, norm=layer.norm_self_att, scale=0.125)
    x = query(Norm(layer.norm_self_att)(x))
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.Module):
    """Layer norm of [T, D]; without its scale and shift unless `scaled`, because the next layer has them."""

    mean: Tensor
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, norm: Any, scaled: bool = False) -> None:
        super().__init__()
        width = norm.normalized_shape[0]
        self.eps = norm.eps
        self.register_buffer("mean", torch.full((1, width), 1 / width))
        self.weight, self.bias = (fixed(norm.weight), fixed(norm.bias)) if scaled else (None, None)

    def forward(self, x: Tensor) -> Tensor:
        x = x - functional.linear(x, self.mean)
        x = x * torch.rsqrt(functional.linear(x * x, self.mean) + self.eps)
        return x if self.weight is None or self.bias is None else x * self.weight + self.bias


def linear(layer: Any, norm: Any = None, scale: float = 1.0) -> nn.Linear:
    """Return a linear layer or pointwise convolution as nn.Linear that does the norm's scale and shift as well."""
    weight = layer.weight.detach()
    weight = (weight if weight.dim() == 2 else weight[:, :, 0]) * scale
    bias = None if layer.bias is None else layer.bias.detach() * scale
    if norm is not None:
        shift = weight @ norm.bias.detach()
        bias = shift if bias is None else bias + shift
        weight = weight * norm.weight.detach()
    replacement = nn.Linear(weight.size(1), weight.size(0), bias=bias is not None)
    replacement.weight = fixed(weight)
    if bias is not None:
        replacement.bias = fixed(bias)
    return replacement


def halves(conv: Any) -> tuple[Any, Any]:
    """Return the two halves of a convolution's output channels as linear layers."""
    parts = []
    for half in range(2):
        part = nn.Linear(conv.in_channels, conv.out_channels // 2, bias=conv.bias is not None)
        part.weight = fixed(conv.weight.detach()[:, :, 0].chunk(2)[half])
        if conv.bias is not None:
            part.bias = fixed(conv.bias.detach().chunk(2)[half])
        parts.append(part)
    return parts[0], parts[1]


def fixed(values: Tensor) -> nn.Parameter:
    """Return a weight that is not trained."""
    return nn.Parameter(values.detach(), requires_grad=False)
