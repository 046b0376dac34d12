"""Encoders whose frames a prompt conditions, as the language that is to be heard.

Example:
    encoder = Prompted(Encoder(nemo_encoder), PromptKernel(checkpoint.prompt_weights))
    frames, lengths = encoder(audio_signal, length, prompt)
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class PromptKernel(nn.Module):
    """Frames [B,D,T] and prompts [B] to frames [B,D,T], by the two layers that NeMo calls prompt_kernel.

    NeMo puts a vector of the prompt behind every frame, with a one and zeros otherwise. What the first layer makes of
    it is one of its columns, the same for all frames.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        first, bias = weights["0.weight"], weights["0.bias"]
        last = weights["2.weight"]
        width = len(last)
        self.first = linear_layer(first[:, :width], bias)
        self.last = linear_layer(last, weights["2.bias"])
        self.of_prompt = nn.Parameter(first[:, width:].t().contiguous(), requires_grad=False)

    def forward(self, frames: Tensor, prompt: Tensor) -> Tensor:
        hidden = self.first(frames.transpose(1, 2)) + functional.embedding(prompt, self.of_prompt).unsqueeze(1)
        output: Tensor = self.last(torch.relu(hidden))
        return output.transpose(1, 2)


class PromptKernelReference(nn.Module):
    """The same as NeMo writes it."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.kernel = nn.Sequential(
            linear_layer(weights["0.weight"], weights["0.bias"]),
            nn.ReLU(),
            linear_layer(weights["2.weight"], weights["2.bias"]),
        )
        self.count = weights["0.weight"].size(1) - len(weights["2.weight"])

    def forward(self, frames: Tensor, prompt: Tensor) -> Tensor:
        frames = frames.transpose(1, 2)
        one_hot = functional.one_hot(prompt, self.count).to(frames.dtype)
        output: Tensor = self.kernel(torch.cat([frames, one_hot.unsqueeze(1).expand(-1, frames.size(1), -1)], dim=-1))
        return output.transpose(1, 2)


class Prompted(nn.Module):
    """An encoder, for files or for streams, whose last input is the prompts [B]."""

    def __init__(self, inner: Any, kernel: nn.Module) -> None:
        super().__init__()
        self.inner, self.kernel = inner, kernel

    @property
    def encoder(self) -> Any:
        """NeMo's encoder."""
        return self.inner.encoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        frames, *others = self.inner(*inputs[:-1])
        return self.kernel(frames, inputs[-1]), *others


def linear_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with these weights, mapped ones too, without initializing others first."""
    layer = nn.Linear(weight.size(1), weight.size(0), device="meta")
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer
