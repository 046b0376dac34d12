"""The PyTorch modules that the graphs stand for, with inputs and outputs as in the graph contracts.

Example:
    joint = load_module("joint", Checkpoint(Path("out/demo-tdt/checkpoint")))
    logits = joint(encoder_output, predictor_output)
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.export.encoders import Encoder
from transducer.export.frontend import Frontend, require_supported
from transducer.export.joints import Joint
from transducer.export.predictors import predictor_of
from transducer.export.prompts import Prompted, PromptKernel, PromptKernelReference
from transducer.export.recurrent import RecurrentEncoder, RecurrentReference
from transducer.export.speakers import Speakers, SpeakersReference
from transducer.export.streaming import CacheAwareStreaming, Streaming
from transducer.export.streaming_modules import StreamingEncoder, StreamingReference


class Predictor(nn.Module):
    """Tokens [B,U] and the predictor's states to embeddings [B,H,U] and the next states."""

    def __init__(self, predictor: nn.Module) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, y: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        g, *after = self.predictor(y, *states)
        return g.transpose(1, 2), *after


class Step(nn.Module):
    """Predictor and joint for one encoder frame [B,D] and one token [B] each: logits [B,V+K] and the next states."""

    def __init__(self, predictor: nn.Module, joint: Joint) -> None:
        super().__init__()
        self.predictor, self.joint = predictor, joint

    def forward(self, encoder_frame: Tensor, y: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        g, *after = self.predictor(y.unsqueeze(1), *states)
        return self.joint.of_one(encoder_frame, g.squeeze(1)), *after


class StepReference(Step):
    """The same by NeMo's own joint, time and token axes and all: what Step is compared with."""

    def forward(self, encoder_frame: Tensor, y: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        g, *after = self.predictor(y.unsqueeze(1), *states)
        return self.joint(encoder_frame.unsqueeze(2), g.transpose(1, 2))[:, 0, 0], *after


class Ctc(nn.Module):
    """Encoder frames [B,D,T] to log probabilities [B,T,V] of labels and blank."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, encoder_output: Tensor) -> Tensor:
        logprobs: Tensor = self.head(encoder_output=encoder_output)
        return logprobs


class FrontendReference(nn.Module):
    """NeMo's own preprocessor, unchanged: what Frontend is compared with."""

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        audio_signal, length_out = self.preprocessor(input_signal=waveform, length=length)
        return audio_signal, length_out


def streaming_encoder(encoder: Any, streaming: Streaming) -> nn.Module:
    """Return the form of an encoder that a stream's windows go through."""
    if isinstance(streaming, CacheAwareStreaming):
        return StreamingEncoder(encoder, streaming)
    return RecurrentEncoder(encoder, streaming)


def streaming_reference(encoder: Any, streaming: Streaming) -> nn.Module:
    """Return NeMo's encoder of the same inputs and outputs."""
    if isinstance(streaming, CacheAwareStreaming):
        return StreamingReference(encoder, streaming)
    return RecurrentReference(encoder, streaming)


# The sections of a checkpoint that a graph is made of, and their form in it.
WRAPPERS: dict[str, tuple[tuple[str, ...], Callable[..., nn.Module]]] = {
    "encoder": (("encoder",), Encoder),
    "encoder_streaming": (("encoder",), streaming_encoder),
    "predictor": (("decoder",), Predictor),
    "joint": (("joint",), Joint),
    "rnnt_step": (("decoder", "joint"), Step),
    "ctc": (("ctc_decoder",), Ctc),
    "frontend": (("preprocessor",), Frontend),
}
# Where a graph's module is this project's own code, the NeMo code that it is compared with.
REFERENCES: dict[str, Callable[..., nn.Module]] = {
    "encoder_streaming": streaming_reference,
    "rnnt_step": StepReference,
    "frontend": FrontendReference,
}


def load_module(
    name: str, checkpoint: Checkpoint, streaming: Streaming | None = None, reference: bool = False
) -> nn.Module:
    """Return the module of a graph with the checkpoint's weights, in eval mode, or the NeMo module it is compared with.

    `streaming` says how a streaming encoder's input is cut; the other graphs have none.
    """
    sections, wrapper = WRAPPERS[name]
    modules = [_built(section, checkpoint, reference) for section in sections]
    if name == "joint":
        return modules[0]
    if name == "frontend" and not reference:
        require_supported(modules[0].featurizer, checkpoint.source)
    if reference:
        wrapper = REFERENCES.get(name, wrapper)
    module = wrapper(*modules, *filter(None, [streaming]))
    if sections == ("encoder",) and (weights := checkpoint.prompt_weights):
        module = Prompted(module, (PromptKernelReference if reference else PromptKernel)(weights))
    if sections == ("encoder",) and (weights := checkpoint.speaker_weights):
        module = SpeakersReference(module, weights, checkpoint.config) if reference else Speakers(module, weights)
    return module.eval()


def _built(section: str, checkpoint: Checkpoint, reference: bool) -> Any:
    module = checkpoint.build(section)
    if section == "decoder":
        return predictor_of(module, reference).eval()
    return Joint(module, len(checkpoint.big_blank_durations)).eval() if section == "joint" else module
