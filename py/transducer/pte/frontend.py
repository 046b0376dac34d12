"""NeMo's mel frontend for one utterance, written in the operators that XNNPACK has.

Example:
    frontend = LoweredFrontend(checkpoint.build("preprocessor"), checkpoint.source)
    audio_signal, length_out = frontend(waveform, torch.tensor([waveform.shape[1]]))

Values are those of transducer.frontend.Frontend but for rounding. One utterance needs no masks, and both products are
convolutions over an image of one row.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transducer.export.frontend import STD_FLOOR, Frontend, require_supported
from transducer.pte.layers import fixed


class LoweredFrontend(Frontend):
    """A waveform [1,samples] and its length [1], which is samples, to log-mel [1,F,T] and its length [1] in frames.

    Attributes:
        window: samples of a frame, the fewest that it takes.

    Raises: InputError for settings that this does not compute.
    """

    def __init__(self, preprocessor: Any, source: str) -> None:
        require_supported(preprocessor.featurizer, source)
        super().__init__(preprocessor)
        kinds, _, self.window = self.waves.shape
        self.spectrum = nn.Conv2d(1, kinds, (1, self.window), (1, self.hop), (0, self.margin), bias=False)
        self.spectrum.weight = fixed(self.waves.unsqueeze(2))
        self.bands = nn.Conv2d(kinds, self.mel.size(0), 1, bias=False)
        self.bands.weight = fixed(self.mel[:, :, None, None])
        del self.waves, self.mel

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        # The last frame is beyond the waveform's length, and padding.
        x = self._log_mel(waveform, length)[..., :-1]
        frames = torch.div(length, self.hop, rounding_mode="trunc")
        if self.normalized:
            x = _normalized(x, frames)
        step = max(self.pad_to, 1)
        return functional.pad(x.squeeze(2), (0, step - x.size(3) % step), value=self.pad_value), frames

    def _log_mel(self, x: Tensor, length: Tensor) -> Tensor:
        """Return the filterbank's log energies [1,F,1,T], T = samples // hop + 1."""
        if self.preemphasis is not None:
            x = x - self.preemphasis * functional.pad(x[:, :-1], (1, 0))
        x = self.spectrum(x.view(1, 1, 1, -1))
        return self._log(self.bands(x * x))


def _normalized(x: Tensor, frames: Tensor) -> Tensor:
    """Return every feature of [1,F,1,T] with mean 0 and standard deviation 1."""
    # Twice, because in silence the first mean's rounding would be all that is left, and be blown up.
    for _ in range(2):
        x = x - x.mean((2, 3), keepdim=True)
    count = frames.to(x.dtype)
    variance = (x * x).mean((2, 3), keepdim=True) * (count / (count - 1.0).clamp(min=1.0))
    return x / (variance.sqrt() + STD_FLOOR)
