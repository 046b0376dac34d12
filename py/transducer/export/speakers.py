"""Encoders that take who speaks: multi-talker models, which hear one speaker out of several.

Example:
    encoder = Speakers(Encoder(nemo_encoder), checkpoint.speaker_weights)
    frames, lengths = encoder(audio_signal, length, spk_targets, bg_spk_targets)
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transducer.core.contracts import SPEAKERS
from transducer.export.prompts import linear_layer


class Speakers(nn.Module):
    """An encoder, for files or for streams, whose last inputs are the activity of speakers [B,T_spk], 0 to 1.

    The first is that of the speaker who is to be heard; the second, where the model has kernels for them, is that of
    all others. Their last frames are the encoder's; what is missing before is as if nobody had said who speaks.

    Args:
        weights: of NeMo's spk_kernels and bg_spk_kernels, by name: "spk_kernels.0.3.weight" is of the kernel before
            layer 0, and of its second linear layer.
    """

    def __init__(self, inner: Any, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.inner = inner
        roles = list(dict.fromkeys(name.partition(".")[0] for name in weights))
        # What each activity is where nobody says who speaks.
        self.defaults = list(SPEAKERS.values())[: len(roles)]
        layers = sorted({int(name.split(".")[1]) for name in weights})
        names = [[f"{role}.{layer}.{number}" for role in roles for number in (0, 3)] for layer in layers]
        # Of each such layer two linear layers of each role.
        self.kernels = nn.ModuleList(
            nn.ModuleList(linear_layer(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in parts)
            for parts in names
        )
        self._activity: tuple[Tensor, ...] = ()
        for place, layer in enumerate(layers):
            self.encoder.layers[layer].register_forward_pre_hook(self._before(place), with_kwargs=True)

    @property
    def encoder(self) -> Any:
        """NeMo's encoder."""
        return self.inner.encoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        count = len(self.defaults)
        self._activity = inputs[-count:]
        output: tuple[Tensor, ...] = self.inner(*inputs[:-count])
        return output

    def _before(self, place: int) -> Any:
        """Return the hook that adds what the kernels of a layer make of its input, the place of whose kernels it is."""

        def hook(_: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
            x = kwargs["x"]
            kernels: Any = self.kernels[place]
            for number, (default, activity) in enumerate(zip(self.defaults, self._activity, strict=True)):
                first, last = kernels[2 * number : 2 * number + 2]
                x = x + last(torch.relu(first(x * self._fitting(activity, x, default))))
            return args, {**kwargs, "x": x}

        return hook

    @staticmethod
    def _fitting(activity: Tensor, x: Tensor, default: float) -> Tensor:
        """Return the activity [B,T,1] for frames [B,T,D]."""
        before = torch.full_like(x[:, :, 0], default)
        return torch.cat([before, activity], dim=1)[:, -x.size(1) :].unsqueeze(2)


class SpeakersReference(nn.Module):
    """The same by NeMo's own hooks, one row at a time, as its streaming step is: what Speakers is compared with."""

    def __init__(self, inner: Any, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        from nemo.collections.asr.parts.mixins.multitalker_asr_mixins import SpeakerKernelMixin
        from omegaconf import OmegaConf

        class Kernels(SpeakerKernelMixin, nn.Module):
            def __init__(self) -> None:
                nn.Module.__init__(self)
                self.encoder, self.cfg = inner.encoder, OmegaConf.create(dict(config))
                SpeakerKernelMixin._init_speaker_kernel_config(self, self.cfg)

        super().__init__()
        self.inner = inner
        self.kernels: Any = Kernels()
        roles = {name.partition(".")[0] for name in weights}
        for role in roles:
            kernels = {k.removeprefix(f"{role}."): v for k, v in weights.items() if k.startswith(f"{role}.")}
            getattr(self.kernels, role).load_state_dict(kernels)
        self.count = len(roles)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        rows = []
        for row in range(len(inputs[0])):
            # The batch is the second axis of caches.
            one = [x[:, row : row + 1] if x.dim() == 4 else x[row : row + 1] for x in inputs]
            self.kernels.set_speaker_targets(*one[-self.count :])
            rows.append(self.inner(*one[: -self.count]))
        return tuple(torch.cat(parts, dim=1 if parts[0].dim() == 4 else 0) for parts in zip(*rows, strict=True))
