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

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from transducer.core.contracts import Arrays, Floats

# Before the first frame that a window adds, subsampling by striding needs two encoder frames' worth of features.
OVERLAP = 2


@dataclass(frozen=True)
class Streaming(ABC):
    """How an encoder is fed a stream. Sizes are in encoder frames but for names that end in _frames.

    chunk_size: how many a step encodes
    approximate: the model was not trained to stream, so its offline output is another
    """

    chunk_size: int
    n_layers: int
    subsampling_factor: int
    frame_ms: float
    approximate: bool

    @property
    def shift_size(self) -> int:
        """Encoder frames that a step adds to the output."""
        return self.chunk_size

    @property
    def padding_frames(self) -> int:
        """Feature frames before the stream's first in its first window."""
        return 0

    @property
    def window_frames(self) -> int:
        """Feature frames of every step: T."""
        return self.shift_frames

    @property
    def overlap_frames(self) -> int:
        """Feature frames of a window without anything new."""
        return 0

    @property
    def lookahead_ms(self) -> float:
        """How long an encoder frame waits for what comes after it, at most."""
        return 0.0

    @property
    def shift_frames(self) -> int:
        """Feature frames from the start of one window to that of the next."""
        return self.subsampling_factor * self.shift_size

    @property
    def sizes(self) -> dict[str, int]:
        """The axes of the graph contract that only a streaming encoder has, and its T."""
        return {"N": self.n_layers, "T": self.window_frames}

    @abstractmethod
    def initial_state(self, batch: int) -> Arrays:
        """Return the caches of `batch` new streams: zeros."""

    def facts(self) -> dict[str, Any]:
        """Return all a runtime needs: this configuration and what follows from it, as plain values."""
        return asdict(self) | {
            "output_size": self.shift_size,
            "window_frames": self.window_frames,
            "shift_frames": self.shift_frames,
            "pre_encode_cache_frames": self.overlap_frames,
            "initial_padding_frames": self.padding_frames,
            "chunk_ms": self.chunk_size * self.frame_ms,
            "shift_ms": self.shift_size * self.frame_ms,
            "lookahead_ms": self.lookahead_ms,
            "initial_state": {
                name: {
                    "shape": [size or "B" for size in cache.shape],
                    "dtype": "int64" if cache.dtype == np.int64 else "float",
                    "value": 0,
                }
                for name, cache in self.initial_state(0).items()
            },
        }

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> "Streaming":
        """Return the configuration that facts() described."""
        kind = RecurrentStreaming if "cells" in facts else CacheAwareStreaming
        return kind(**{field.name: facts[field.name] for field in fields(kind)})

    def windows(self, features: Floats) -> Iterator[tuple[Floats, int]]:
        """Yield the windows [F,T] of a stream's features [F,frames], each with its length."""
        total = features.shape[1] + self.padding_frames
        padded = np.pad(features, ((0, 0), (self.padding_frames, self.window_frames)))
        for start in range(0, total - self.overlap_frames, self.shift_frames):
            yield padded[:, start : start + self.window_frames], min(total - start, self.window_frames)


@dataclass(frozen=True)
class CacheAwareStreaming(Streaming):
    """How a Conformer is fed a stream: windows that overlap, and what attention and convolutions saw before.

    att_context_size: left context and look-ahead, -1 where it has none
    cache_drop_size: the last of a chunk, encoded again by the next
    cache_size: how many earlier ones attention sees
    """

    att_context_size: list[int]
    cache_drop_size: int
    cache_size: int
    conv_cache_size: int
    d_model: int

    @property
    def shift_size(self) -> int:
        return self.chunk_size - self.cache_drop_size

    @property
    def padding_frames(self) -> int:
        return OVERLAP * self.subsampling_factor

    @property
    def window_frames(self) -> int:
        return self.padding_frames + self.subsampling_factor * (self.chunk_size - 1) + 1

    @property
    def overlap_frames(self) -> int:
        return self.subsampling_factor + 1

    @property
    def lookahead_ms(self) -> float:
        return (self.chunk_size - 1) * self.frame_ms if self.att_context_size[1] else 0.0

    @property
    def sizes(self) -> dict[str, int]:
        return super().sizes | {"cache_T": self.cache_size, "C": self.conv_cache_size, "D": self.d_model}

    def initial_state(self, batch: int) -> Arrays:
        layers, width = self.n_layers, self.d_model
        return {
            "cache_last_channel": np.zeros((layers, batch, self.cache_size, width), np.float32),
            "cache_last_time": np.zeros((layers, batch, width, self.conv_cache_size), np.float32),
            "cache_last_channel_len": np.zeros(batch, np.int64),
        }

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"drop_extra_pre_encoded": OVERLAP}


@dataclass(frozen=True)
class RecurrentStreaming(Streaming):
    """How an LSTM in one direction is fed a stream: windows side by side, and states of so many `cells` a layer."""

    cells: int

    @property
    def sizes(self) -> dict[str, int]:
        return super().sizes | {"E": self.cells}

    def initial_state(self, batch: int) -> Arrays:
        shape = (self.n_layers, batch, self.cells)
        return {"cache_h": np.zeros(shape, np.float32), "cache_c": np.zeros(shape, np.float32)}
