"""Export-only changes to NeMo modules: context managers that apply, log and restore.

Each is numerically equal to what it replaces; the parity checks of every build hold that.

Example:
    with no_dropout(decoder), dense_layers(encoder):
        torch.onnx.export(...)
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from transducer.cli import log


@contextlib.contextmanager
def _replaced(replacements: list[tuple[nn.Module, str, Any]], what: str) -> Iterator[None]:
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
    log.info("patch: %s (%d places)", what, len(replacements))
    try:
        yield
    finally:
        for owner, name, original in reversed(originals):
            setattr(owner, name, original)
        log.info("patch restored: %s", what)


def _attributes(root: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[nn.Module, str, Any]]:
    """Yield (owner, attribute, module) for every direct child of exactly this kind, once per place."""
    for owner in root.modules():
        for name, child in owner.named_children():
            if type(child) is kind:
                yield owner, name, child


def no_dropout(root: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Set every attribute `dropout` that holds nn.Dropout to None: NeMo asks `if self.dropout:`."""
    places = [(owner, name, None) for owner, name, _ in _attributes(root, nn.Dropout) if name == "dropout"]
    return _replaced(places, "dropout modules are None")


def raw_joint(joint: Any) -> contextlib.AbstractContextManager[None]:
    """Switch off the joint's fused loss, which asks for transcripts, and its log-softmax."""
    places = [(joint, "_fuse_loss_wer", False), (joint, "log_softmax", False)]
    return _replaced(places, "joint without fused loss, raw logits")


def computed_positions(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Compute relative positions from the input's length instead of slicing a table of 5,000 frames."""
    from nemo.collections.asr.parts.submodules.multi_head_attention import RelPositionalEncoding

    table = encoder.pos_enc
    places = []
    if type(table) is RelPositionalEncoding:

        def forward(x: Tensor, cache_len: int = 0) -> tuple[Tensor, Tensor]:
            frames = x.size(1) + cache_len
            positions = torch.arange(frames - 1, -frames, -1, dtype=torch.float32, device=x.device)
            even = torch.arange(0, encoder.d_model, 2, dtype=torch.float32, device=x.device)
            angles = positions.unsqueeze(1) * torch.exp(even * -(math.log(10000.0) / encoder.d_model))
            waves = torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1)
            return x * table.xscale if table.xscale else x, waves.reshape(1, -1, encoder.d_model)

        places = [(table, "forward", forward)]
    return _replaced(places, "positions are computed, not a table")


def folded_batch_norm(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Fold each inference-time batch norm into the depthwise convolution before it."""
    places: list[tuple[nn.Module, str, Any]] = []
    for owner, name, norm in _attributes(encoder, nn.BatchNorm1d):
        conv: Any = owner.depthwise_conv
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        places += [(conv, "weight", weight), (conv, "bias", bias), (owner, name, nn.Identity())]
    return _replaced(places, "batch norm folded into convolutions")


def dense_layers(root: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Write linear layers and kernel-1 convolutions as one MatMul with a weight stored as it is used.

    A weight that needs no Transpose can stay outside the graph while it is traced, and runtimes have
    fast MatMul kernels, int8 ones too, where they have none for pointwise convolutions.
    """
    places: list[tuple[nn.Module, str, Any]] = [
        (owner, name, _Dense(child.weight, child.bias)) for owner, name, child in _attributes(root, nn.Linear)
    ]
    places += [
        (owner, name, _PointwiseDense(child.weight[:, :, 0], child.bias))
        for owner, name, child in _attributes(root, nn.Conv1d)
        if child.kernel_size == (1,) and child.groups == 1 and child.stride == (1,)
    ]
    return _replaced(places, "linear layers and pointwise convolutions are MatMul")


class _Dense(nn.Module):
    """x [..., in] @ weight [in, out] + bias."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.t(), requires_grad=False)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        y = torch.matmul(x, self.weight)
        return y if self.bias is None else y + self.bias


class _PointwiseDense(_Dense):
    """The same for a convolution's [B, in, T] layout; the Transposes meet their inverses and vanish."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)
