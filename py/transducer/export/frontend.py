"""NeMo's mel frontend as plain convolution and matrix products, which every runtime takes.

It computes what AudioToMelSpectrogramPreprocessor does in eval mode, where dither is off. The spectrum
comes from a convolution with windowed waves in place of framing and a Fourier transform: long audio is
never copied into overlapping frames, and rounding stays below that of NeMo's own float32 transform.

Example:
    frontend = Frontend(checkpoint.build("preprocessor"))
    audio_signal, length_out = frontend(waveform, length)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transducer.core.cli import InputError

# NeMo's CONSTANT, which keeps a feature that never changes from dividing by zero.
STD_FLOOR = 1e-5
# Frames that are summed before their sums are: one running sum over 10 minutes is off by 1e-4 of itself.
SUM_BLOCK = 256


class Frontend(nn.Module):
    """Waveforms [B,samples] and lengths [B] in samples to log-mel [B,F,T] and lengths [B] in frames."""

    waves: Tensor
    mel: Tensor

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        featurizer = preprocessor.featurizer
        self.hop = int(featurizer.hop_length)
        self.preemphasis = featurizer.preemph
        self.log = bool(featurizer.log)
        self.clamped = featurizer.log_zero_guard_type == "clamp"
        self.guard = float(featurizer.log_zero_guard_value_fn(torch.zeros(())))
        self.normalized = featurizer.normalize == "per_feature"
        self.pad_to = int(featurizer.pad_to)
        self.pad_value = float(featurizer.pad_value)
        waves, self.margin = windowed_waves(featurizer.window, featurizer.n_fft)
        self.register_buffer("waves", waves)
        # Each band adds squares of real parts and of imaginary parts alike.
        self.register_buffer("mel", featurizer.fb[0].float().repeat(1, 2))

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        frames = torch.div(length, self.hop, rounding_mode="trunc")
        x = self._log_mel(waveform, length)
        beyond = torch.arange(x.size(2), device=x.device) >= frames.view(-1, 1, 1)
        if self.normalized:
            x = _normalized(x, beyond, frames)
        x = x.masked_fill(beyond, self.pad_value)
        if self.pad_to > 0:
            x = functional.pad(x, (0, -x.size(2) % self.pad_to), value=self.pad_value)
        return x, frames

    def _log_mel(self, x: Tensor, length: Tensor) -> Tensor:
        """Return the filterbank's log energies [B,F,T], T = samples // hop + 1."""
        if self.preemphasis is not None:
            x = x - self.preemphasis * functional.pad(x[:, :-1], (1, 0))
            x = x.masked_fill(torch.arange(x.size(1), device=x.device) >= length.unsqueeze(1), 0.0)
        spectrum = functional.conv1d(x.unsqueeze(1), self.waves, stride=self.hop, padding=self.margin)
        return self._log(torch.matmul(self.mel, spectrum * spectrum))

    def _log(self, x: Tensor) -> Tensor:
        if not self.log:
            return x
        return torch.log(x.clamp(min=self.guard) if self.clamped else x + self.guard)


def windowed_waves(window: Tensor, n_fft: int) -> tuple[Tensor, int]:
    """Return the DFT of a windowed frame as convolution kernels, and the zeros to put around the signal.

    Kernels are [n_fft + 2, 1, width], cosines above sines, only as wide as the window: torch.stft
    centres the window in n_fft samples and pads the signal by half of these.
    """
    outside = (n_fft - len(window)) // 2
    samples = torch.arange(outside, n_fft - outside)
    frequencies = torch.arange(n_fft // 2 + 1)
    # Whole turns are taken off while the numbers are whole, so that large angles lose nothing.
    angles = (torch.outer(frequencies, samples) % n_fft).double() * (2 * torch.pi / n_fft)
    centred = functional.pad(window.double(), (0, len(samples) - len(window)))
    waves = torch.cat([angles.cos(), angles.sin()]) * centred
    return waves.float().unsqueeze(1), n_fft // 2 - outside


def _normalized(x: Tensor, beyond: Tensor, frames: Tensor) -> Tensor:
    """Return every feature with mean 0 and standard deviation 1 over a row's own frames."""
    count = frames.to(x.dtype).view(-1, 1, 1)
    # Twice, because in silence the first mean's rounding would be all that is left, and be blown up.
    for _ in range(2):
        x = x - _sum_over_time(x.masked_fill(beyond, 0.0)) / count.clamp(min=1.0)
    variance = _sum_over_time((x * x).masked_fill(beyond, 0.0)) / (count - 1.0).clamp(min=1.0)
    return x / (variance.sqrt() + STD_FLOOR)


def _sum_over_time(x: Tensor) -> Tensor:
    """Return the sum over the last axis, kept as an axis of one, by way of block averages."""
    blocks = functional.avg_pool1d(functional.pad(x, (0, SUM_BLOCK - 1)), SUM_BLOCK)
    return blocks.sum(2, keepdim=True) * SUM_BLOCK


def require_supported(featurizer: Any, source: str) -> None:
    """Refuse settings of NeMo's featurizer that Frontend does not compute.

    Raises: InputError naming the checkpoint and the setting.
    """
    unsupported = {
        "exact_pad": featurizer.exact_pad,
        "use_grads": featurizer.use_grads,
        "frame_splicing": featurizer.frame_splicing != 1,
        "mag_power": featurizer.mag_power != 2.0,
        "normalize": featurizer.normalize == "all_features" or "fixed_mean" in (featurizer.normalize or ""),
        "window": featurizer.window is None,
        "n_fft": featurizer.n_fft % 2 == 1,
    }
    for setting, refused in unsupported.items():
        if refused:
            value = getattr(featurizer, setting)
            raise InputError(
                f"{source}: a frontend cannot be made for {setting}: {value} in its preprocessor; "
                "build the other graphs by name and compute features with NeMo."
            )
