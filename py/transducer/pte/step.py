"""Predictor and joint as one step, written in the operators that XNNPACK has.

Example:
    step = LoweredStep(checkpoint.build("decoder"), checkpoint.build("joint"), checkpoint.source)
    logits, h_out, c_out = step(encoder_frame, y, h, c)

Values are those of transducer.modules.Step. XNNPACK can't cut a tensor with a dynamic axis, so each gate of the LSTM
is a layer of its own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from transducer.core.cli import InputError
from transducer.pte.layers import fixed


class LoweredStep(nn.Module):
    """Encoder frames [B,D], tokens [B] and LSTM states [L,B,H] to raw logits [B,V+K] and the next states.

    Raises: InputError for a predictor that is not a plain LSTM.
    """

    def __init__(self, decoder: Any, joint: Any, source: str) -> None:
        super().__init__()
        lstm = getattr(decoder.prediction["dec_rnn"], "lstm", None)
        if type(lstm) is not nn.LSTM or lstm.proj_size or not decoder.blank_as_pad:
            raise InputError(
                f"{source}: its predictor is not a plain LSTM, which ExecuTorch files are made of; use the ONNX graphs."
            )
        self.embed = decoder.prediction["embed"]
        self.cells = nn.ModuleList(_Cell(lstm, layer) for layer in range(lstm.num_layers))
        self.from_encoder, self.from_predictor = joint.enc, joint.pred
        self.activation, self.out = joint.joint_net[0], joint.joint_net[-1]
        if isinstance(self.activation, nn.ReLU):
            self.activation = nn.ReLU()  # NeMo's works in place, which an exported program may not

    def forward(self, encoder_frame: Tensor, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g = self.embed(y)
        after: list[tuple[Tensor, Tensor]] = []
        for layer, cell in enumerate(self.cells):
            after.append(cell(g, h[layer], c[layer]))
            g = after[-1][0]
        logits = self.out(self.activation(self.from_encoder(encoder_frame) + self.from_predictor(g)))
        h_out, c_out = (torch.stack(states) for states in zip(*after, strict=True))
        return logits, h_out, c_out


class _Cell(nn.Module):
    """One LSTM layer for one token: x [B,in], h and c [B,H] to the next h and c."""

    def __init__(self, lstm: nn.LSTM, layer: int) -> None:
        super().__init__()
        weights = torch.cat([getattr(lstm, f"weight_{side}_l{layer}") for side in ("ih", "hh")], dim=1)
        biases = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        self.gates = nn.ModuleList()
        # In PyTorch's order: input, forget, cell, output.
        for weight, bias in zip(weights.chunk(4), biases.chunk(4), strict=True):
            gate = nn.Linear(weight.size(1), weight.size(0))
            gate.weight, gate.bias = fixed(weight), fixed(bias)
            self.gates.append(gate)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([x, h], dim=1)
        enter, forget, cell, leave = (gate(x) for gate in self.gates)
        c = torch.sigmoid(forget) * c + torch.sigmoid(enter) * torch.tanh(cell)
        return torch.sigmoid(leave) * torch.tanh(c), c
