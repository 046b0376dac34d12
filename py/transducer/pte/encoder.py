"""NeMo's conformer encoder for one utterance, written in the operators that XNNPACK has.

Example:
    encoder = LoweredEncoder(checkpoint.build("encoder"), checkpoint.source)
    encoder_output, encoded_lengths = encoder(features, torch.tensor([features.shape[2]]))

One utterance needs no padding, so no mask is computed from lengths, and any length is taken at run time. Layer
norms are written as products with a vector of ones, whose scale and shift join the linear layers after them; pointwise
convolutions are linear layers. XNNPACK can neither slice nor reshape two dynamic axes at once, so what NeMo cuts in
halves are two layers here, and the shift of relative positions is one strided copy. Values are those of NeMo but for
rounding; tests hold that.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from transducer.core.cli import InputError
from transducer.pte.attention import HIDDEN, Attention
from transducer.pte.layers import Norm, fixed, halves, linear
from transducer.pte.subsampling import Subsampling


class LoweredEncoder(nn.Module):
    """Features [1,F,T] and their length [1], which is T, to encoder frames [1,D,T_enc] and their length [1].

    Args:
        encoder: a ConformerEncoder in eval mode, with relative positions. It keeps its weights.
        source: whose encoder it is, for messages.

    Raises: InputError for an encoder of a kind that this does not cover.
    """

    def __init__(self, encoder: Any, source: str) -> None:
        super().__init__()
        require_supported(encoder, source)
        self.subsampling = Subsampling(encoder.pre_encode)
        self.layers = nn.ModuleList(_Layer(layer) for layer in encoder.layers)
        self.out_proj = linear(encoder.out_proj) if encoder.out_proj is not None else None
        self.width = int(encoder.d_model)
        self.scale = float(encoder.xscale or 1.0)
        # Frames of a chunk, and chunks seen before it; None where every frame sees all.
        self.chunk: int | None = None
        left, right = encoder.att_context_size
        if (left, right) != (-1, -1):
            self.chunk = right + 1
            self.chunks_before = left // self.chunk if left >= 0 else 10000

    def forward(self, features: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        x = self.subsampling(features) * self.scale
        frames = x.size(0)
        positions = self._positions(frames)
        hidden = self._hidden(frames, self.chunk) if self.chunk else None
        for layer in self.layers:
            x = layer(x, positions, hidden)
        if self.out_proj is not None:
            x = self.out_proj(x)
        return x.t().unsqueeze(0), self.subsampling.lengths(length)

    def _positions(self, frames: int) -> Tensor:
        """Return the waves of the relative positions frames-1 to -(frames-1), all sines before all cosines."""
        positions = torch.arange(frames - 1, -frames, -1).to(torch.float32).view(-1, 1)
        even = torch.arange(0, self.width, 2, dtype=torch.float32)
        angles = positions * torch.exp(even * -(math.log(10000.0) / self.width)).view(1, -1)
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)

    def _hidden(self, frames: int, chunk: int) -> Tensor:
        """Return what to add to the scores [T_enc, T_enc] of a chunked encoder: 0 where a frame sees another."""
        chunks = torch.arange(frames) // chunk
        distance = chunks.view(-1, 1) - chunks.view(1, -1)
        return torch.logical_or(distance < 0, distance > self.chunks_before).to(torch.float32) * HIDDEN


class _Layer(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.feed_forward1 = _FeedForward(layer.norm_feed_forward1, layer.feed_forward1, layer.fc_factor)
        self.attention = Attention(layer.norm_self_att, layer.self_attn)
        self.convolution = _Convolution(layer.norm_conv, layer.conv)
        self.feed_forward2 = _FeedForward(layer.norm_feed_forward2, layer.feed_forward2, layer.fc_factor)
        self.norm_out = Norm(layer.norm_out, scaled=True)

    def forward(self, x: Tensor, positions: Tensor, hidden: Tensor | None) -> Tensor:
        x = x + self.feed_forward1(x)
        x = x + self.attention(x, positions, hidden)
        x = x + self.convolution(x)
        return self.norm_out(x + self.feed_forward2(x))


class _FeedForward(nn.Module):
    """A normed feed-forward block, its factor in the last layer's weights."""

    def __init__(self, norm: Any, block: Any, factor: float) -> None:
        super().__init__()
        self.norm = Norm(norm)
        self.linear1 = linear(block.linear1, norm)
        self.linear2 = linear(block.linear2, scale=factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(functional.silu(self.linear1(self.norm(x))))


class _Convolution(nn.Module):
    """A normed conformer convolution: gated linear layers, a depthwise convolution, another linear layer."""

    def __init__(self, norm: Any, conv: Any) -> None:
        super().__init__()
        self.norm = Norm(norm)
        first, gate = halves(conv.pointwise_conv1)
        self.first, self.gate = linear(first, norm), linear(gate, norm)
        depthwise = conv.depthwise_conv
        weight, bias = depthwise.weight.detach(), None if depthwise.bias is None else depthwise.bias.detach()
        inner: Any = conv.batch_norm
        self.inner = None
        folded = isinstance(inner, nn.BatchNorm1d)
        if folded:
            weight, bias = fuse_conv_bn_weights(
                weight, bias, inner.running_mean, inner.running_var, inner.eps, inner.weight, inner.bias
            )
        else:
            self.inner = Norm(inner, scaled=True)
        self.width = weight.size(0)
        self.padding = depthwise._left_padding, depthwise._right_padding
        self.depthwise = nn.Conv2d(
            self.width, self.width, (1, weight.size(2)), groups=self.width, bias=bias is not None
        )
        self.depthwise.weight = fixed(weight.unsqueeze(2))
        self.depthwise.bias = None if bias is None else fixed(bias)
        self.last = linear(conv.pointwise_conv2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        x = self.first(x) * torch.sigmoid(self.gate(x))
        x = functional.pad(x.t().contiguous().view(1, self.width, 1, -1), self.padding)
        x = self.depthwise(x).view(self.width, -1).t()
        if self.inner is not None:
            x = self.inner(x)
        return self.last(functional.silu(x))


def require_supported(encoder: Any, source: str) -> None:
    """Refuse an encoder that LoweredEncoder does not compute. Raises: InputError."""
    context = tuple(encoder.att_context_size)
    convolution = encoder.layers[0].conv
    subsampling = getattr(encoder.pre_encode, "_subsampling", type(encoder.pre_encode).__name__)
    settings = {
        "subsampling": (subsampling, ("striding", "dw_striding")),
        "self_attention_model": (encoder.self_attention_model, ("rel_pos",)),
        "conv_norm_type": (convolution.norm_type, ("batch_norm", "layer_norm")),
        "pointwise activation": (convolution.pointwise_activation, ("glu_",)),
        "reduction_position": (encoder.reduction_position, (None,)),
        "att_context_style": (
            encoder.att_context_style if context != (-1, -1) else "regular",
            ("chunked_limited",) if context != (-1, -1) else ("regular",),
        ),
    }
    for name, (value, supported) in settings.items():
        if value not in supported:
            raise InputError(
                f"{source}: its encoder's {name} is {value}, and ExecuTorch files are made for "
                f"{' and '.join(map(str, supported))} only; use the ONNX graphs."
            )
