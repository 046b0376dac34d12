"""An export-only rewrite of NeMo's TransformerEncoder, whose FlexAttention no exporter takes, in standard operators.

Example:
    with plain_attention(encoder):
        torch.onnx.export(...)
"""

import contextlib
from functools import partial
from typing import Any

import torch
from torch import Tensor

from transducer.export.patches import replaced


def plain_attention(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Compute attention as the softmax of masked scores; the mask of a batch is computed once."""
    from nemo.collections.asr.modules import transformer_encoder

    places: list[tuple[Any, str, Any]] = [
        (transformer_encoder, "create_block_mask", _hidden),
        (transformer_encoder, "flex_attention", _attend),
    ]
    for layer in encoder.layers:
        places.append((layer.attn, "_build_rel_pos_score_mod", partial(_position_scores, layer.attn)))
    return replaced(places, "FlexAttention is written out")


def _hidden(mask_mod: Any, device: Any, **sizes: int) -> Tensor:
    """Return what is added to scores [B,H,T,T], from a function that says which frames see which."""
    from nemo.collections.asr.parts.submodules.multi_head_attention import INF_VAL

    rows, queries, keys = (torch.arange(sizes[name], device=device) for name in ("B", "Q_LEN", "KV_LEN"))
    seen = mask_mod(rows[:, None, None, None], 0, queries[:, None], keys)
    # Not infinite, which integer forms could not hold; its exponential is 0 all the same.
    return torch.where(seen, 0.0, -INF_VAL)


def _attend(q: Tensor, k: Tensor, v: Tensor, block_mask: Tensor, score_mod: Tensor | None) -> Tensor:
    """Return attended values [B,H,T,D]; `block_mask` and `score_mod` are what is added to scores [B,H,T,T]."""
    scores = torch.matmul(q * q.size(-1) ** -0.5, k.transpose(-2, -1))
    if score_mod is not None:
        scores = scores + score_mod
    return torch.matmul(torch.softmax(scores + block_mask, dim=-1), v)


def _position_scores(module: Any, q: Tensor, pos_emb: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores of positions [B,H,T,T], and queries with what they add to all keys."""
    heads, width = module.n_heads, module.head_dim
    p = module.linear_pos(pos_emb).view(pos_emb.size(0), -1, heads, width).transpose(1, 2)
    scores = torch.matmul(q + module.pos_bias_v[:, None], p.transpose(-2, -1))
    scores = module._rel_shift(scores)[..., : q.size(-2)] * width**-0.5
    return scores, q + module.pos_bias_u[:, None]
