"""The encoder for streams as a PyTorch module, and NeMo's own step to compare it with.

Example:
    encoder = StreamingEncoder(nemo_encoder, streaming)
    encoded, lengths, *caches = encoder(audio_signal, length, *caches)
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transducer.export.streaming import CacheAwareStreaming


class StreamingEncoder(nn.Module):
    """One window of each stream's features and its caches to encoder frames and the next caches.

    Shapes are those of the graph contract, windows those of transducer.streaming. NeMo feeds a stream's
    first chunk without the frames before it, which a batch of streams of different ages cannot do. Here
    the first window has padding in their place, hidden from every convolution that would see it, which
    gives the same.
    """

    def __init__(self, encoder: Any, streaming: CacheAwareStreaming) -> None:
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
        outputs = self.encoder.streaming_post_process(self.encoder.forward_internal(audio_signal, length, *caches))
        encoded, lengths, next_channel, next_time, next_filled = outputs
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

    def __init__(self, encoder: Any, streaming: CacheAwareStreaming) -> None:
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
        outputs = self.encoder.cache_aware_stream_step(
            signal[:, :, before:], length - before, *caches, drop_extra_pre_encoded=0 if new else None
        )
        return tuple(outputs) if length > 0 else (*outputs[:2], *caches)


def configure_streaming(encoder: Any, streaming: CacheAwareStreaming) -> Any:
    """Set a NeMo encoder's attention context, chunk and caches, and return it."""
    encoder.set_default_att_context_size(streaming.att_context_size)
    encoder.setup_streaming_params(chunk_size=streaming.chunk_size, shift_size=streaming.shift_size, left_chunks=1)
    encoder.streaming_cfg.last_channel_cache_size = streaming.cache_size
    return encoder
