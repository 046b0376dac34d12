"""Export-only changes to NeMo modules: context managers that apply, log and restore.

Each is numerically equal to what it replaces; the parity checks of every build hold that.

Example:
    with no_dropout(decoder), dense_layers(encoder):
        torch.onnx.export(...)
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from transducer.core.cli import log


@contextlib.contextmanager
def replaced(replacements: list[tuple[nn.Module, str, Any]], what: str) -> Iterator[None]:
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


class Once:
    """A function of a tensor that is computed again only for another tensor."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        self.function = function
        self._known: tuple[Tensor, Any] | None = None

    def __call__(self, argument: Tensor) -> Any:
        if self._known is None or self._known[0] is not argument:
            self._known = argument, self.function(argument)
        return self._known[1]


def no_dropout(root: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Set every attribute `dropout` that holds nn.Dropout to None: NeMo asks `if self.dropout:`."""
    places = [(owner, name, None) for owner, name, _ in _attributes(root, nn.Dropout) if name == "dropout"]
    return replaced(places, "dropout modules are None")


def raw_joint(joint: Any) -> contextlib.AbstractContextManager[None]:
    """Switch off the joint's fused loss, which asks for transcripts, and its log-softmax."""
    places = [(joint, "_fuse_loss_wer", False), (joint, "log_softmax", False)]
    return replaced(places, "joint without fused loss, raw logits")


def folded_batch_norm(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Fold each inference-time batch norm into the depthwise convolution before it."""
    places: list[tuple[nn.Module, str, Any]] = []
    for owner, name, norm in _attributes(encoder, nn.BatchNorm1d):
        conv: Any = owner.depthwise_conv
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        places += [(conv, "weight", weight), (conv, "bias", bias), (owner, name, nn.Identity())]
    return replaced(places, "batch norm folded into convolutions")


def dense_layers(root: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Write linear layers and kernel-1 convolutions as one MatMul with a weight stored as it is used.

    A weight that needs no Transpose can stay outside the graph while it is traced, and runtimes have
    fast MatMul kernels, int8 ones too, where they have none for pointwise convolutions. Those of the subsampling stay:
    they are a hundredth of the arithmetic, and int8 there costs half as much error again as everywhere else.
    """
    places: list[tuple[nn.Module, str, Any]] = [
        (owner, name, _Dense(child.weight, child.bias)) for owner, name, child in _attributes(root, nn.Linear)
    ]
    places += [
        (owner, name, _PointwiseDense(child.weight[:, :, 0], child.bias))
        for owner, name, child in _attributes(root, nn.Conv1d)
        if child.kernel_size == (1,) and child.groups == 1 and child.stride == (1,)
    ]
    return replaced(places, "linear layers and pointwise convolutions are MatMul")


def lean_convolutions(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Keep a conformer convolution's frames [B,T,D] but for the depthwise one: half of it is not transposed."""
    from nemo.collections.asr.parts.submodules.conformer_modules import ConformerConvolution

    places = [
        (module, "forward", partial(_convolve, module))
        for module in encoder.modules()
        if type(module) is ConformerConvolution and module.pointwise_activation == "glu_"
    ]
    return replaced(places, "conformer convolutions transpose half as much")


def _convolve(module: Any, x: Tensor, pad_mask: Tensor | None = None, cache: Tensor | None = None) -> Any:
    # The pointwise convolutions transpose too, and opposite Transposes vanish.
    x = nn.functional.glu(module.pointwise_conv1(x.transpose(1, 2)).transpose(1, 2), dim=-1)
    if pad_mask is not None:
        x = x.masked_fill(pad_mask.unsqueeze(2), 0.0)
    output = module.depthwise_conv(x.transpose(1, 2), cache=cache)
    x, next_cache = (output, None) if cache is None else output
    norm: Any = module.batch_norm
    x = norm(x.transpose(1, 2)) if module.norm_type == "layer_norm" else norm(x).transpose(1, 2)
    x = module.pointwise_conv2(module.activation(x).transpose(1, 2)).transpose(1, 2)
    return x if cache is None else (x, next_cache)


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
