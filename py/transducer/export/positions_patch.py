"""An export-only change: positions of an encoder are computed from the input's length.

Example:
    with computed_positions(encoder):
        torch.onnx.export(...)
"""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor

from transducer.export.patches import replaced


def computed_positions(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Compute positions from the input's length instead of slicing a table of 5,000 frames."""
    from nemo.collections.asr.parts.submodules import multi_head_attention

    table, width = encoder.pos_enc, encoder.d_model  # a Transformer may have no positions

    def waves(positions: Tensor) -> Tensor:
        even = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device)
        angles = positions.unsqueeze(1) * torch.exp(even * -(math.log(10000.0) / width))
        return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).reshape(1, -1, width)

    def scaled(x: Tensor) -> Tensor:
        return x * table.xscale if table.xscale else x

    def relative(x: Tensor, cache_len: int = 0) -> tuple[Tensor, Tensor]:
        frames = x.size(1) + cache_len
        return scaled(x), waves(torch.arange(frames - 1, -frames, -1, dtype=torch.float32, device=x.device))

    def local(x: Tensor, cache_len: int = 0) -> tuple[Tensor, Tensor]:
        first, end = table.left_context, -table.right_context - 1
        return scaled(x), waves(torch.arange(first, end, -1, dtype=torch.float32, device=x.device))

    def absolute(x: Tensor, cache_len: int = 0) -> tuple[Tensor, Tensor]:
        positions = waves(torch.arange(x.size(1) + cache_len, dtype=torch.float32, device=x.device))
        return scaled(x) + positions, positions

    forms = {"RelPositionalEncoding": relative, "LocalAttRelPositionalEncoding": local, "PositionalEncoding": absolute}
    known = {getattr(multi_head_attention, name): forward for name, forward in forms.items()}
    places = [(table, "forward", known[type(table)])] if type(table) in known else []
    return replaced(places, "positions are computed, not a table")
