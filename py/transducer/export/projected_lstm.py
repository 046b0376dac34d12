"""LSTMs whose output is a projection of their cells, by operators that ONNX has: plain LSTMs, and products after them.

Example:
    layers = Unprojected(encoder.layers[0])
    output, h, c = layers(frames, h, c)

What goes back into such an LSTM is the projection, W (P h). That is (W P) h, so a plain LSTM with the recurrent weights
W P has the same cells, and the projection of what it gives is the same output.
"""

import torch
from torch import Tensor, nn


class Unprojected(nn.Module):
    """The layers of an nn.LSTM with proj_size, in one direction or two, each as a plain LSTM and a projection.

    Takes [T,B,in], or [B,T,in] if the LSTM has its batch first, and states [L,B,R] (L counts directions too), R the
    width of the cells. Gives the same output as the LSTM, and the states of the plain LSTMs.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.directions = 1 + lstm.bidirectional
        self.width = lstm.proj_size
        self.layers = nn.ModuleList()
        self.projections = nn.ParameterList()
        for number in range(lstm.num_layers):
            inputs = lstm.input_size if number == 0 else lstm.proj_size * self.directions
            layer = nn.LSTM(inputs, lstm.hidden_size, batch_first=lstm.batch_first, bidirectional=lstm.bidirectional)
            for suffix in ("", "_reverse")[: self.directions]:
                weights = {
                    name: getattr(lstm, f"{name}_l{number}{suffix}").detach()
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                }
                projection = weights.pop("weight_hr")
                weights["weight_hh"] = weights["weight_hh"] @ projection
                for name, weight in weights.items():
                    setattr(layer, f"{name}_l0{suffix}", nn.Parameter(weight, requires_grad=False))
                self.projections.append(nn.Parameter(projection.t(), requires_grad=False))
            self.layers.append(layer)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states = []
        for number, layer in enumerate(self.layers):
            own = slice(number * self.directions, (number + 1) * self.directions)
            x, after = layer(x, (h[own], c[own]))
            x = self._output(x, number)
            states.append(after)
        h_out, c_out = (torch.cat(parts) for parts in zip(*states, strict=True))
        return x, h_out, c_out

    def _output(self, cells: Tensor, number: int) -> Tensor:
        """Return the projection of what a layer gives, each direction by its own."""
        own = self.projections[number * self.directions : (number + 1) * self.directions]
        parts = cells.chunk(self.directions, dim=-1)
        return torch.cat([part @ projection for part, projection in zip(parts, own, strict=True)], dim=-1)

    def projected(self, h: Tensor) -> Tensor:
        """Return states [L,B,R] as nn.LSTM has them, [L,B,P]."""
        return torch.stack([state @ projection for state, projection in zip(h, self.projections, strict=True)])
