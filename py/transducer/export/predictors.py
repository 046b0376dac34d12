"""Predictors of every class: tokens [B,U] and states to embeddings [B,U,H] and the next states.

Example:
    predictor = predictor_of(checkpoint.build("decoder"))
    g, h, c = predictor(y, h, c)

The batch is the second axis of every state. A class has its module here, and the NeMo code it is compared with.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.projected_lstm import Unprojected


class LSTMPredictor(nn.Module):
    """NeMo's own: states h and c [L,B,H]."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, (h_out, c_out) = self.decoder.predict(y, state=(h, c), add_sos=False)
        return g, h_out, c_out


class ProjectedPredictor(nn.Module):
    """An LSTM whose output is a projection of its cells: states h and c [L,B,R], h before it is projected."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.embed = decoder.prediction["embed"]
        self.layers = Unprojected(decoder.prediction["dec_rnn"].lstm)

    def forward(self, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, h_out, c_out = self.layers(self.embed(y).transpose(0, 1), h, c)
        return g.transpose(0, 1), h_out, c_out


class ProjectedReference(ProjectedPredictor):
    """NeMo's own output, of states that are projected for it; the states that go on are those of ProjectedPredictor."""

    def __init__(self, decoder: Any) -> None:
        super().__init__(decoder)
        self.decoder = decoder

    def forward(self, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, _ = self.decoder.predict(y, state=(self.layers.projected(h), c), add_sos=False)
        return g, *super().forward(y, h, c)[1:]


class StatelessPredictor(nn.Module):
    """Embeddings of the last tokens: its state is the tokens [history,B] before those that it is given."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, y: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        net, count = self.decoder.prediction, y.size(1)
        tokens = torch.cat([context.transpose(0, 1), y], dim=1)
        # The first embedding is that of the last token.
        places = range(net.context_size - 1, -1, -1)
        embedded = [embed(tokens[:, place : place + count]) for embed, place in zip(net.embeds, places, strict=True)]
        return net.norm(torch.cat(embedded, dim=-1)), tokens[:, count:].transpose(0, 1)


class StatelessReference(nn.Module):
    """NeMo's own, token by token: of several at once it looks at the last alone."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, y: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        state, outputs = [context.transpose(0, 1)], []
        for token in y.unbind(1):
            g, state = self.decoder.predict(token.unsqueeze(1), state=state, add_sos=False)
            outputs.append(g)
        return torch.cat(outputs, dim=1), state[0].transpose(0, 1)


# By class of NeMo: the module that is exported, and the one that it is compared with.
PREDICTORS: dict[str, tuple[Callable[[Any], nn.Module], Callable[[Any], nn.Module]]] = {
    "RNNTDecoder": (LSTMPredictor, LSTMPredictor),
    "StatelessTransducerDecoder": (StatelessPredictor, StatelessReference),
}


def predictor_of(decoder: Any, reference: bool = False) -> nn.Module:
    """Return the module of a NeMo decoder, or the one that it is compared with."""
    kinds = PREDICTORS[type(decoder).__name__]
    layers: Any = decoder.prediction["dec_rnn"] if type(decoder).__name__ == "RNNTDecoder" else None
    if layers is not None and layers.lstm.proj_size:
        kinds = ProjectedPredictor, ProjectedReference
    return kinds[reference](decoder)
