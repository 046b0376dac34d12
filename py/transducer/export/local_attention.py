"""An export-only rewrite of local attention in standard operators, in memory linear in the time, numerically equal.

Example:
    with block_attention(encoder):
        torch.onnx.export(...)

Attention within w frames is cut into blocks of w queries, each of which sees the 3 w keys of its block and its
neighbours. Of those scores [w, 3w] the diagonals matter, that is a band [w, 2w + 1]: written row after row and read
again with rows one longer, a diagonal becomes a column.
"""

import contextlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.patches import Once, replaced


def block_attention(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Compute local attention block by block; NeMo writes into slices, of which a traced graph has a fixed number."""
    from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionMultiHeadAttentionLongformer

    local = [module for module in encoder.modules() if type(module) is RelPositionMultiHeadAttentionLongformer]
    masks = Once(_mask_of(encoder))
    places: list[tuple[nn.Module, str, Any]] = [
        (module, "forward", partial(_attend, module, masks)) for module in local
    ]
    return replaced(places, "local attention is computed in blocks")


def _attend(
    module: Any,
    masks: Once,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pad_mask: Tensor,
    pos_emb: Tensor,
    cache: Tensor | None = None,
) -> Tensor:
    """Return attended frames [B,T,D] of frames [B,T,D], positions [1,left+right+1,D] and padding [B,T]."""
    assert cache is None, "streams have attention of another kind"
    q, k, v = module.forward_qkv(query, key, value)
    batch, heads, frames, size = q.shape
    left, right = module.att_context_size
    w = max(left, right)
    scale = 1 / module.s_d_k
    blocks = _blocks(q * scale, w)
    content = (blocks + (module.pos_bias_u * scale)[:, None, None]) @ _neighbours(k, w).transpose(-2, -1)
    p = module.linear_pos(pos_emb).view(-1, heads, size).permute(1, 2, 0)
    position = (blocks + (module.pos_bias_v * scale)[:, None, None]) @ p[:, None]
    # NeMo adds the left positions to the first columns and the others to the last, of whatever width.
    between = position.new_zeros(1).expand(*position.shape[:-1], 2 * w - left - right)
    position = torch.cat([position[..., :left], between, position[..., left:]], dim=-1)
    hidden, blind = masks(pad_mask)
    scores = _band(content, w) + position + hidden
    everywhere = _Global(module, (query, key, value), (q, k, v), pad_mask) if module.global_tokens else None
    if everywhere:
        scores = torch.cat([_blocks(everywhere.scores(), w), scores], dim=-1)
    weights = torch.softmax(scores, dim=-1).masked_fill(blind, 0.0)
    attended = _unband(weights[..., -(2 * w + 1) :], w) @ _neighbours(v, w)
    if everywhere:
        attended = attended + weights[..., : -(2 * w + 1)] @ everywhere.of(v)[:, :, None]
    attended = attended.reshape(batch, heads, -1, size)[:, :, :frames]
    if everywhere:
        attended = everywhere.put_into(attended)
    output: Tensor = module.linear_out(attended.transpose(1, 2).reshape(batch, -1, heads * size))
    return output


class _Global:
    """Frames that all frames attend to, and that attend to all: every `spacing`-th from the first on, so many of them.

    Args:
        inputs: queries, keys and values [B,T,D] before their projections.
        local: the same after local attention's [B,H,T,d], which these frames share unless they have their own.
        padding: [B,T].
    """

    def __init__(
        self,
        module: Any,
        inputs: tuple[Tensor, Tensor, Tensor],
        local: tuple[Tensor, Tensor, Tensor],
        padding: Tensor,
    ) -> None:
        heads, size = module.h, module.d_k
        if module.global_attn_separate:
            layers = module.global_q, module.global_k, module.global_v
            local = tuple(
                layer(x).view(x.size(0), -1, heads, size).transpose(1, 2)
                for layer, x in zip(layers, inputs, strict=True)
            )
        q, self.k, self.v = local
        self.q = q / module.s_d_k
        self.padding = padding
        self.spacing, self.end = module.global_tokens_spacing, module.global_tokens * module.global_tokens_spacing

    def of(self, x: Tensor) -> Tensor:
        """Return those of frames [B,H,T,d] that are global [B,H,g,d]."""
        return x[:, :, : self.end : self.spacing]

    def scores(self) -> Tensor:
        """Return every frame's scores of the global ones [B,H,T,g]."""
        return self.q @ self.of(self.k).transpose(-2, -1)

    def put_into(self, attended: Tensor) -> Tensor:
        """Return frames [B,H,T,d] with the global ones attended to all."""
        from nemo.collections.asr.parts.submodules.multi_head_attention import INF_VAL

        # NeMo mixes up the heads of several global frames like this, and was trained so.
        queries = self.of(self.q).permute(2, 0, 1, 3).reshape(*self.q.shape[:2], -1, self.q.size(-1))
        scores = queries @ self.k.transpose(-2, -1) - self.padding[:, None, None].to(torch.float32) * INF_VAL
        output = torch.softmax(scores, dim=-1) @ self.v
        numbers = torch.arange(attended.size(2), device=attended.device)
        is_global = (numbers < self.end) & (numbers % self.spacing == 0)
        spread = output.index_select(2, torch.clamp(numbers // self.spacing, max=output.size(2) - 1))
        return torch.where(is_global[:, None], spread, attended)


def _mask_of(encoder: Any) -> Any:
    """Return the function from padding [B,T] to what is added to scores [B,1,n,w,2w+1] and the padded rows."""
    from nemo.collections.asr.parts.submodules.multi_head_attention import INF_VAL

    def mask(padding: Tensor) -> tuple[Tensor, Tensor]:
        left, right = encoder.att_context_size
        w = max(left, right)
        outside = torch.ones(2 * w + 1)
        outside[w - left : w + right + 1] = 0
        # Frames before the first and after the last are padding too.
        real = (~padding).to(torch.float32)[:, None, :, None]
        unseen = 1 - _neighbours(real, w)[..., 0].unsqueeze(-2).expand(-1, -1, -1, w, -1)
        return (_band(unseen, w) + outside) * -INF_VAL, _blocks(real, w) == 0

    return mask


def _blocks(x: Tensor, w: int) -> Tensor:
    """Return [B,H,T,d] as blocks of w frames [B,H,n,w,d], zeros after the last."""
    batch, heads, frames, size = x.shape
    padded = nn.functional.pad(x, (0, 0, 0, w))[:, :, : (frames // w + 1) * w]
    return padded.reshape(batch, heads, -1, w, size)


def _neighbours(x: Tensor, w: int) -> Tensor:
    """Return for each block of [B,H,T,d] the frames of itself and the blocks beside it [B,H,n,3w,d]."""
    blocks = nn.functional.pad(_blocks(x, w), (0, 0, 0, 0, 1, 1))
    return torch.cat([blocks[:, :, :-2], blocks[:, :, 1:-1], blocks[:, :, 2:]], dim=3)


def _band(x: Tensor, w: int) -> Tensor:
    """Return the diagonals of [...,w,3w] as columns [...,w,2w+1]."""
    flat = nn.functional.pad(x.flatten(-2), (0, w))
    return flat.unflatten(-1, (w, 3 * w + 1))[..., : 2 * w + 1]


def _unband(x: Tensor, w: int) -> Tensor:
    """Return columns [...,w,2w+1] as the diagonals of [...,w,3w], zeros beside them."""
    flat = nn.functional.pad(x, (0, w)).flatten(-2)
    return flat[..., : 3 * w * w].unflatten(-1, (w, 3 * w))
