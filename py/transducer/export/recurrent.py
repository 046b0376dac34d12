"""An LSTM encoder for streams, with the states of its layers as inputs and outputs.

Example:
    encoder = RecurrentEncoder(nemo_encoder, streaming)
    encoded, lengths, h, c = encoder(audio_signal, length, h, c)

NeMo has no streaming for it. Its layers hear one direction and its subsampling no frame twice, so a stream of windows
gives what NeMo gives for the whole recording.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.encoders import FromRest
from transducer.export.streaming import Streaming


class RecurrentEncoder(nn.Module):
    """One window of each stream's features [B,F,T] and its states [N,B,E] to encoder frames and the next states."""

    def __init__(self, encoder: Any, streaming: Streaming) -> None:
        super().__init__()
        self.encoder = encoder
        self.factor = streaming.subsampling_factor
        for number, layer in enumerate(encoder.layers):
            if isinstance(layer, nn.LSTM):
                encoder.layers[number] = FromRest(layer)

    def forward(self, audio_signal: Tensor, length: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        frames = torch.arange(audio_signal.size(2), device=length.device)
        # The last of what subsampling stacks may be beyond a stream's end, where NeMo has zeros.
        x = audio_signal.masked_fill(frames >= length[:, None, None], 0.0).transpose(1, 2)
        x = self.encoder.pre_encode(x) if self.factor == 1 else self.encoder.pre_encode(x, length)[0]
        states: list[list[Tensor]] = []
        for layer in self.encoder.layers:
            if isinstance(layer, FromRest):
                number = slice(len(states), len(states) + 1)
                x, *state = layer.layers(x, h[number], c[number])
                states.append(state)
            else:
                x = layer(x)
        rests = (length == 0)[None, :, None]
        after = (torch.cat(parts) for parts in zip(*states, strict=True))
        # NeMo rounds up or down with the length of the batch; down for a recording alone, behind which a frontend has
        # a frame of padding.
        lengths = torch.div(length, self.factor, rounding_mode="floor")
        return x.transpose(1, 2), lengths, *map(torch.where, (rests, rests), (h, c), after)


class RecurrentReference(nn.Module):
    """NeMo's own layers, one row at a time and cut to its length: what RecurrentEncoder is compared with.

    NeMo's LSTMs give no states before their projection, and nothing beyond a row's length: RecurrentEncoder does.
    """

    def __init__(self, encoder: Any, streaming: Streaming) -> None:
        super().__init__()
        self.encoder, self.factor = encoder, streaming.subsampling_factor
        self.own = RecurrentEncoder(copy.deepcopy(encoder), streaming)

    def forward(self, audio_signal: Tensor, length: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        encoded, lengths, *states = self.own(audio_signal, length, h, c)
        for row in length.nonzero()[:, 0].tolist():
            x = audio_signal[row : row + 1, :, : length[row]].transpose(1, 2)
            x = self.encoder.pre_encode(x) if self.factor == 1 else self.encoder.pre_encode(x, length[row : row + 1])[0]
            number = 0
            for layer, own in zip(self.encoder.layers, self.own.encoder.layers, strict=True):
                if isinstance(own, FromRest):
                    before = own.layers.projected(h[number : number + 1, row : row + 1])
                    x, _ = layer(x, (before, c[number : number + 1, row : row + 1]))
                    number += 1
                else:
                    x = layer(x)
            encoded[row, :, : x.size(1)] = x[0].T
        for row in (length == 0).nonzero()[:, 0].tolist():
            for before, after in zip((h, c), states, strict=True):
                after[:, row] = before[:, row]
        return encoded, lengths, *states
