"""How a stream of features is cut into windows, and what an encoder carries from one window to the next.

Example:
    streaming = plan(Checkpoint(Path("out/demo-streaming/checkpoint")), lookahead=3)
    print(streaming.facts()["lookahead_ms"])

Every step takes a window of the same size, the first too. Window s holds the feature frames from
s * shift_frames - initial_padding_frames on, zeros where the stream has none, and its length counts the
frames up to the stream's end: the padding of the first window is part of it. A stream is over when
nothing new is left, that is when a length is not above pre_encode_cache_frames. A length of 0 lets a row
of a batch rest: its caches come back unchanged. A row whose caches are all zeros is a new stream.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from transducer.core.contracts import Arrays, Floats

# Before the first frame that a window adds, subsampling by striding needs two encoder frames' worth of features.
OVERLAP = 2


@dataclass(frozen=True)
class Streaming:
    """A model's streaming configuration. Sizes are in encoder frames but for names that end in _frames.

    att_context_size: left context and look-ahead, -1 where it has none
    chunk_size: how many a step encodes; the last `cache_drop_size` of them are encoded again by the next
    cache_size: how many earlier ones attention sees
    approximate: the model was not trained to stream, so its offline output is another
    """

    att_context_size: list[int]
    chunk_size: int
    cache_drop_size: int
    cache_size: int
    conv_cache_size: int
    n_layers: int
    d_model: int
    subsampling_factor: int
    frame_ms: float
    approximate: bool

    @property
    def shift_size(self) -> int:
        """Encoder frames that a step adds to the output."""
        return self.chunk_size - self.cache_drop_size

    @property
    def padding_frames(self) -> int:
        """Feature frames before the stream's first in its first window."""
        return OVERLAP * self.subsampling_factor

    @property
    def window_frames(self) -> int:
        """Feature frames of every step: T."""
        return self.padding_frames + self.subsampling_factor * (self.chunk_size - 1) + 1

    @property
    def shift_frames(self) -> int:
        """Feature frames from the start of one window to that of the next."""
        return self.subsampling_factor * self.shift_size

    @property
    def sizes(self) -> dict[str, int]:
        """The axes of the graph contract that only a streaming encoder has, and its T."""
        return {
            "N": self.n_layers,
            "cache_T": self.cache_size,
            "C": self.conv_cache_size,
            "D": self.d_model,
            "T": self.window_frames,
        }

    def initial_state(self, batch: int) -> Arrays:
        """Return the caches of `batch` new streams: zeros."""
        layers, width = self.n_layers, self.d_model
        return {
            "cache_last_channel": np.zeros((layers, batch, self.cache_size, width), np.float32),
            "cache_last_time": np.zeros((layers, batch, width, self.conv_cache_size), np.float32),
            "cache_last_channel_len": np.zeros(batch, np.int64),
        }

    def facts(self) -> dict[str, Any]:
        """Return all a runtime needs: this configuration and what follows from it, as plain values."""
        factor = self.subsampling_factor
        return asdict(self) | {
            "output_size": self.shift_size,
            "drop_extra_pre_encoded": OVERLAP,
            "window_frames": self.window_frames,
            "shift_frames": self.shift_frames,
            "pre_encode_cache_frames": factor + 1,
            "initial_padding_frames": self.padding_frames,
            "chunk_ms": self.chunk_size * self.frame_ms,
            "shift_ms": self.shift_size * self.frame_ms,
            "lookahead_ms": (self.chunk_size - 1) * self.frame_ms if self.att_context_size[1] else 0.0,
            "initial_state": {
                name: {
                    "shape": [size or "B" for size in cache.shape],
                    "dtype": "int64" if cache.dtype == np.int64 else "float",
                    "value": 0,
                }
                for name, cache in self.initial_state(0).items()
            },
        }

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Self:
        """Return the configuration that facts() described."""
        return cls(**{field.name: facts[field.name] for field in fields(cls)})

    def windows(self, features: Floats) -> Iterator[tuple[Floats, int]]:
        """Yield the windows [F,T] of a stream's features [F,frames], each with its length."""
        total = features.shape[1] + self.padding_frames
        padded = np.pad(features, ((0, 0), (self.padding_frames, self.window_frames)))
        for start in range(0, total - self.subsampling_factor - 1, self.shift_frames):
            yield padded[:, start : start + self.window_frames], min(total - start, self.window_frames)
