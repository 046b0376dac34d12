"""Encoders of every class as graphs: how each is run, and what is changed for its export.

Example:
    kind = ENCODERS["ConvASREncoder"]
    with contextlib.ExitStack() as stack:
        for patch in kind.patches:
            stack.enter_context(patch(encoder))
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.attention_patch import lean_attention
from transducer.export.flex_attention import plain_attention
from transducer.export.local_attention import block_attention
from transducer.export.patches import folded_batch_norm, lean_convolutions, replaced
from transducer.export.positions_patch import computed_positions
from transducer.export.projected_lstm import Unprojected
from transducer.export.subsampling_patch import lean_masks

Patch = Callable[[Any], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class EncoderKind:
    """What one class of encoder needs.

    run: the function from encoder, features [B,F,T] and lengths [B] to frames [B,D,T_enc] and lengths.
    patches: export-only changes, in order of application.
    """

    run: Callable[[Any, Tensor, Tensor], tuple[Tensor, ...]]
    patches: tuple[Patch, ...] = ()


class Encoder(nn.Module):
    """Features [B,F,T] and lengths [B] to encoder frames [B,D,T_enc] and their lengths [B]."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, ...]:
        return ENCODERS[type(self.encoder).__name__].run(self.encoder, audio_signal, length)


def encoder_patches(encoder: Any) -> list[contextlib.AbstractContextManager[None]]:
    """Return the export-only changes of an encoder, in order of application."""
    return [patch(encoder) for patch in ENCODERS[type(encoder).__name__].patches]


def _with_positions(encoder: Any, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, ...]:
    if not torch.onnx.is_in_onnx_export():
        # PyTorch keeps a table of positions that has to grow with the input; graphs compute theirs.
        encoder.update_max_seq_length(audio_signal.size(2), audio_signal.device)
    return tuple(encoder.forward_internal(audio_signal, length))


def _plain(encoder: Any, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, ...]:
    frames, lengths = encoder(audio_signal=audio_signal, length=length)
    return frames, lengths.to(torch.int64)


def computed_masks(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Compute the masks of a ConvASREncoder; NeMo cuts them from a table that has to grow with the input."""
    from nemo.collections.asr.parts.submodules.jasper import MaskedConv1d, SqueezeExcite

    def nothing(*_: Any, **__: Any) -> None:
        pass

    places: list[tuple[nn.Module, str, Any]] = [(encoder, "update_max_sequence_length", nothing)]
    for module in encoder.modules():
        if isinstance(module, MaskedConv1d):
            places += [(module, "mask_input", _masked), (module, "update_masked_length", nothing)]
        elif isinstance(module, SqueezeExcite):
            places += [(module, "make_pad_mask", _pad_mask), (module, "set_max_len", nothing)]
    return replaced(places, "masks of convolutions are computed")


def _masked(x: Tensor, lens: Tensor) -> Tensor:
    return x * _pad_mask(lens, x.size(2)).to(x.dtype)


def _pad_mask(seq_lens: Tensor, max_audio_length: int, device: Any = None) -> Tensor:
    """Return which of so many frames are before each row's length, bool [B,1,T]."""
    return (torch.arange(max_audio_length, device=seq_lens.device) < seq_lens.unsqueeze(1)).unsqueeze(1)


def unprojected_layers(encoder: Any) -> contextlib.AbstractContextManager[None]:
    """Write LSTMs with a projection as plain ones, which ONNX has."""
    places = [
        (encoder.layers, str(number), FromRest(layer))
        for number, layer in enumerate(encoder.layers)
        if isinstance(layer, nn.LSTM)
    ]
    return replaced(places, "projected LSTMs are plain LSTMs and products")


class FromRest(nn.Module):
    """Unprojected layers that begin with states of zeros."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.layers = Unprojected(lstm)
        self.shape = lstm.num_layers * self.layers.directions, lstm.hidden_size

    def forward(self, x: Tensor) -> Tensor:
        layers, width = self.shape
        state = x.new_zeros(layers, x.size(0), width)
        output: Tensor = self.layers(x, state, state)[0]
        return output


ENCODERS: dict[str, EncoderKind] = {
    "ConformerEncoder": EncoderKind(
        _with_positions,
        (computed_positions, folded_batch_norm, lean_masks, lean_convolutions, lean_attention, block_attention),
    ),
    "ConvASREncoder": EncoderKind(_plain, (computed_masks,)),
    "RNNEncoder": EncoderKind(_plain, (lean_masks, unprojected_layers)),
    "TransformerEncoder": EncoderKind(_with_positions, (computed_positions, plain_attention)),
}
