"""Relative attention in the form that ExecuTorch's quantizer and XNNPACK take.

Example:
    attention = Attention(layer.self_attn)
"""

from typing import Any

import torch
from torch import Tensor, nn

from transducer.pte.layers import Norm, fixed, linear

# What is added to the attention scores of frames that are hidden; softmax makes 0 of it.
HIDDEN = -10000.0


class Attention(nn.Module):
    """Normed self-attention with relative positions; queries carry the scale of the scores."""

    def __init__(self, norm: Any, attention: Any) -> None:
        super().__init__()
        self.heads, self.head_width = int(attention.h), int(attention.d_k)
        scale = 1 / attention.s_d_k
        self.norm = Norm(norm)
        self.query = linear(attention.linear_q, norm, scale)
        self.key = linear(attention.linear_k, norm)
        self.value = linear(attention.linear_v, norm)
        self.position = linear(attention.linear_pos)
        # Sines lie before cosines here, where NeMo has them in turn.
        weight = self.position.weight
        self.position.weight = fixed(torch.cat([weight[:, 0::2], weight[:, 1::2]], dim=1))
        self.out = linear(attention.linear_out)
        self.content_bias = fixed(attention.pos_bias_u.detach() * scale).unsqueeze(1)
        self.position_bias = fixed(attention.pos_bias_v.detach() * scale).unsqueeze(1)

    def forward(self, x: Tensor, positions: Tensor, hidden: Tensor | None) -> Tensor:
        frames = x.size(0)
        x = self.norm(x)
        q, k, v = self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))
        p = self._split(self.position(positions))
        near = torch.bmm(q + self.position_bias, p.transpose(1, 2)).contiguous()
        # Row i begins at relative position frames-1-i, so each row begins one place before the row above it.
        wide = 2 * frames - 1
        near = torch.as_strided_copy(near, (self.heads, frames, frames), (frames * wide, wide - 1, 1), frames - 1)
        scores = torch.bmm(q + self.content_bias, k.transpose(1, 2)) + near
        if hidden is not None:
            scores = scores + hidden
        x = torch.bmm(torch.softmax(scores, dim=-1), v)
        return self.out(x.transpose(0, 1).contiguous().view(-1, self.heads * self.head_width))

    def _split(self, x: Tensor) -> Tensor:
        """Return [T, D] as heads [heads, T, head_width]."""
        return x.view(-1, self.heads, self.head_width).transpose(0, 1)
