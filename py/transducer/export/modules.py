"""The PyTorch modules that the graphs stand for, with inputs and outputs as in the graph contracts.

Example:
    joint = load_module("joint", Checkpoint(Path("out/demo-tdt/checkpoint")))
    logits = joint(encoder_output, predictor_output)
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.export.frontend import Frontend, require_supported
from transducer.export.streaming import Streaming


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


class StreamingEncoder(nn.Module):
    """One window of each stream's features and its caches to encoder frames and the next caches.

    Shapes are those of the graph contract, windows those of transducer.streaming. NeMo feeds a stream's
    first chunk without the frames before it, which a batch of streams of different ages cannot do. Here
    the first window has padding in their place, hidden from every convolution that would see it, which
    gives the same.
    """

    def __init__(self, encoder: Any, streaming: Streaming) -> None:
        super().__init__()
        self.encoder = configure_streaming(encoder, streaming)
        self.padding_frames = streaming.padding_frames
        self.max_length = streaming.window_frames + streaming.cache_size
        strided = [layer for layer in encoder.pre_encode.conv if getattr(layer, "stride", (1, 1)) != (1, 1)]
        for level, layer in enumerate(strided):
            layer.register_forward_pre_hook(partial(self._hide_padding, self.padding_frames >> level))

    # Rows of the batch that are in their first window: bool [B].
    is_new: Tensor

    def _hide_padding(self, frames: int, layer: nn.Module, args: tuple[Tensor]) -> Tensor:
        """Zero the first frames of new streams in a strided convolution's input [B,channels,T,F]."""
        (x,) = args
        before = torch.arange(x.size(2), device=x.device) < frames
        return x.masked_fill((self.is_new.unsqueeze(1) & before)[:, None, :, None], 0.0)

    def forward(self, audio_signal: Tensor, length: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        if not torch.onnx.is_in_onnx_export():
            self.encoder.update_max_seq_length(self.max_length, audio_signal.device)
        channel, time, filled = caches
        self.is_new = filled == 0
        found = self.encoder.streaming_post_process(self.encoder.forward_internal(audio_signal, length, *caches))
        encoded, lengths, next_channel, next_time, next_filled = found
        rests = length == 0
        rests_in_layers = rests[None, :, None, None]
        return (
            encoded,
            lengths,
            torch.where(rests_in_layers, channel, next_channel),
            torch.where(rests_in_layers, time, next_time),
            torch.where(rests, filled, next_filled),
        )


class StreamingReference(nn.Module):
    """NeMo's own cache-aware step, unchanged, one row at a time: what StreamingEncoder is compared with.

    A row that rests (length 0) is encoded too, but keeps its caches.
    """

    def __init__(self, encoder: Any, streaming: Streaming) -> None:
        super().__init__()
        self.encoder = configure_streaming(encoder, streaming)
        self.padding_frames = streaming.padding_frames

    def forward(self, audio_signal: Tensor, length: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        channel, time, filled = caches
        rows = [
            self._step(
                audio_signal[row : row + 1],
                length[row : row + 1],
                (channel[:, row : row + 1], time[:, row : row + 1], filled[row : row + 1]),
            )
            for row in range(len(length))
        ]
        return tuple(
            torch.cat(parts, dim=axis) for axis, parts in zip((0, 0, 1, 1, 0), zip(*rows, strict=True), strict=True)
        )

    def _step(self, signal: Tensor, length: Tensor, caches: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        new = bool(caches[2] == 0) and bool(length > 0)
        before = self.padding_frames if new else 0
        found = self.encoder.cache_aware_stream_step(
            signal[:, :, before:], length - before, *caches, drop_extra_pre_encoded=0 if new else None
        )
        return tuple(found) if length > 0 else (*found[:2], *caches)


def configure_streaming(encoder: Any, streaming: Streaming) -> Any:
    """Set a NeMo encoder's attention context, chunk and caches, and return it."""
    encoder.set_default_att_context_size(streaming.att_context_size)
    encoder.setup_streaming_params(chunk_size=streaming.chunk_size, shift_size=streaming.shift_size, left_chunks=1)
    encoder.streaming_cfg.last_channel_cache_size = streaming.cache_size
    return encoder


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
