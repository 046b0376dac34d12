"""The PyTorch modules that the graphs stand for, with inputs and outputs as in the graph contracts.

Example:
    joint = load_module("joint", Checkpoint(Path("out/demo-tdt/checkpoint")))
    logits = joint(encoder_output, predictor_output)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.export.frontend import Frontend, require_supported
from transducer.export.streaming import Streaming
from transducer.export.streaming_modules import StreamingEncoder, StreamingReference


class Encoder(nn.Module):
    """Features [B,F,T] and lengths [B] to encoder frames [B,D,T_enc] and their lengths [B]."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, ...]:
        if not torch.onnx.is_in_onnx_export():
            # PyTorch keeps a table of positions that has to grow with the input; graphs compute theirs.
            self.encoder.update_max_seq_length(audio_signal.size(2), audio_signal.device)
        return tuple(self.encoder.forward_internal(audio_signal, length))


class Predictor(nn.Module):
    """Tokens [B,U] and LSTM states [L,B,H] to embeddings [B,H,U] and the next states."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, (h_out, c_out) = self.decoder.predict(y, state=(h, c), add_sos=False)
        return g.transpose(1, 2), h_out, c_out


class Joint(nn.Module):
    """Encoder frames [B,D,T] and predictor embeddings [B,H,U] to raw logits [B,T,U,V+K]."""

    def __init__(self, joint: Any) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, encoder_output: Tensor, predictor_output: Tensor) -> Tensor:
        logits: Tensor = self.joint.joint(encoder_output.transpose(1, 2), predictor_output.transpose(1, 2))
        return logits


class Step(nn.Module):
    """Predictor and joint for one encoder frame [B,D] and one token [B] each, with LSTM states [L,B,H].

    Gives raw logits [B,V+K] and the next states. The joint has no time or token axis here: with them, ONNX Runtime
    1.31 ends in a segmentation fault on the fp16 form.
    """

    def __init__(self, decoder: Any, joint: Any) -> None:
        super().__init__()
        self.decoder, self.joint = decoder, joint

    def forward(self, encoder_frame: Tensor, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, (h_out, c_out) = self.decoder.predict(y.unsqueeze(1), state=(h, c), add_sos=False)
        joined = self.joint.project_encoder(encoder_frame) + self.joint.project_prednet(g.squeeze(1))
        return self.joint.joint_net(joined), h_out, c_out


class StepReference(Step):
    """The same by NeMo's own joint, time and token axes and all: what Step is compared with."""

    def forward(self, encoder_frame: Tensor, y: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, (h_out, c_out) = self.decoder.predict(y.unsqueeze(1), state=(h, c), add_sos=False)
        logits = self.joint.joint(encoder_frame.unsqueeze(1), g)
        return logits.squeeze(2).squeeze(1), h_out, c_out


class FrontendReference(nn.Module):
    """NeMo's own preprocessor, unchanged: what Frontend is compared with."""

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        audio_signal, length_out = self.preprocessor(input_signal=waveform, length=length)
        return audio_signal, length_out


# The sections of a checkpoint that a graph is made of, and their form in it.
WRAPPERS: dict[str, tuple[tuple[str, ...], Callable[..., nn.Module]]] = {
    "encoder": (("encoder",), Encoder),
    "encoder_streaming": (("encoder",), StreamingEncoder),
    "predictor": (("decoder",), Predictor),
    "joint": (("joint",), Joint),
    "rnnt_step": (("decoder", "joint"), Step),
    "frontend": (("preprocessor",), Frontend),
}
# Where a graph's module is this project's own code, the NeMo code that it is compared with.
REFERENCES: dict[str, Callable[..., nn.Module]] = {
    "encoder_streaming": StreamingReference,
    "rnnt_step": StepReference,
    "frontend": FrontendReference,
}


def load_module(name: str, checkpoint: Checkpoint, streaming: Streaming | None = None) -> nn.Module:
    """Return the module of a graph with the checkpoint's weights, in eval mode.

    `streaming` says how a streaming encoder's input is cut; the other graphs have none.
    """
    sections, wrapper = WRAPPERS[name]
    modules = [checkpoint.build(section) for section in sections]
    if name == "frontend":
        require_supported(modules[0].featurizer, checkpoint.source)
    return wrapper(*modules, *filter(None, [streaming])).eval()


def load_reference(name: str, checkpoint: Checkpoint, streaming: Streaming | None = None) -> nn.Module:
    """Return the NeMo module that a graph is compared with, in eval mode."""
    if name not in REFERENCES:
        return load_module(name, checkpoint)
    modules = [checkpoint.build(section) for section in WRAPPERS[name][0]]
    return REFERENCES[name](*modules, *filter(None, [streaming])).eval()
