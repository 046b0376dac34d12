"""Encoders of streams, window by window: with caches, or again over some audio on either side of what is new.

Example:
    windows = BufferedWindows(open_graph(Path("encoder.onnx")), meta, Buffer(left=10.0, chunk=2.0, right=2.0))
    encoded, frames, state = windows.encode(features, lengths, windows.initial_state(1), {})
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from transducer.core.cli import InputError
from transducer.core.contracts import Arrays, Floats, initial_arrays
from transducer.decoding.greedy import Integers
from transducer.runtime.sessions import Session

Encoded = tuple[Floats, Integers, Arrays]


class Windows(Protocol):
    """An encoder of streams.

    facts: window_frames, shift_frames, initial_padding_frames and pre_encode_cache_frames in feature frames, and
        frame_ms, as model_meta.json has them in `streaming`.
    """

    facts: Mapping[str, Any]

    def initial_state(self, count: int) -> Arrays: ...

    def encode(self, windows: Floats, lengths: Integers, state: Arrays, conditions: Arrays) -> Encoded: ...


class CachedWindows:
    """A streaming encoder, which carries caches from window to window. Raises: InputError for another graph."""

    def __init__(self, encoder: Session, facts: Mapping[str, Any], path: Path) -> None:
        self.facts = facts
        self._encoder = encoder
        self._inputs = [value.name for value in encoder.get_inputs()]
        self._outputs = [value.name for value in encoder.get_outputs()]
        if not set(facts["initial_state"]) <= set(self._inputs):
            raise InputError(f"{path} is not a streaming encoder; name a variant of encoder_streaming.onnx.")

    def initial_state(self, count: int) -> Arrays:
        """Return the caches of so many new streams."""
        return initial_arrays(self.facts["initial_state"], count)

    def encode(self, windows: Floats, lengths: Integers, state: Arrays, conditions: Arrays) -> Encoded:
        """Return the frames [B,D,T] of the next windows [B,F,T], their lengths [B], and the caches after them."""
        signal, length = self._inputs[:2]
        arrays = self._encoder.run(None, {signal: windows, length: lengths, **state, **conditions})
        encoded, frames, *_ = arrays
        after = dict(zip(self._outputs, arrays, strict=True))
        return encoded, frames, {name: after[f"{name}_out"] for name in state}


@dataclass(frozen=True)
class Buffer:
    """What an encoder without caches hears of a stream at a time, in seconds: new audio, and that on either side."""

    left: float
    chunk: float
    right: float


class BufferedWindows:
    """An offline encoder that hears a stream's last seconds again with every chunk, as NeMo's buffered streaming does.

    Raises: InputError for a buffer without a chunk, or of several minutes.
    """

    def __init__(self, encoder: Session, meta: Mapping[str, Any], buffer: Buffer) -> None:
        factor, stride = int(meta["subsampling_factor"]), float(meta["window_stride"])
        self._encoder, self._factor = encoder, factor
        sizes = (buffer.left, buffer.chunk, buffer.right)
        left, chunk, right = (round(seconds / (factor * stride)) for seconds in sizes)
        if not (left >= 0 and chunk >= 1 and right >= 0 and sum(sizes) <= 300):
            raise InputError(
                f"The buffer {' '.join(f'{size:g}' for size in sizes)} is not one; give the seconds before a chunk, "
                f"of a chunk ({factor * stride:g} at least) and after it, 300 in all at most."
            )
        self._chunk, self._left = chunk, left * factor
        self.facts: Mapping[str, Any] = {
            "window_frames": (left + chunk + right) * factor,
            "shift_frames": chunk * factor,
            "initial_padding_frames": left * factor,
            # A window has something new only if it is longer than this.
            "pre_encode_cache_frames": left * factor,
            "frame_ms": 1000 * factor * stride,
        }

    def initial_state(self, count: int) -> Arrays:
        """Return how many windows each of so many new streams has had."""
        return {"windows": np.zeros(count, np.int64)}

    def encode(self, windows: Floats, lengths: Integers, state: Arrays, conditions: Arrays) -> Encoded:
        """Return the new frames [B,D,T] of the next windows [B,F,T], their lengths [B], and the state after them."""
        due = lengths > 0
        # What is before a stream's beginning is padding, which this encoder takes at the end alone.
        padding = np.maximum(self._left - state["windows"] * self.facts["shift_frames"], 0)
        sizes = np.where(due, lengths - padding, 1)
        features = np.zeros((*windows.shape[:2], int(sizes.max())), np.float32)
        for row, (first, count) in enumerate(zip(padding, sizes, strict=True)):
            features[row, :, :count] = windows[row, :, first : first + count]
        signal, length, *_ = (value.name for value in self._encoder.get_inputs())
        encoded, counts = self._encoder.run(None, {signal: features, length: sizes, **conditions})
        begins = (self._left - padding) // self._factor
        frames = np.where(due, np.clip(counts - begins, 0, self._chunk), 0)
        places = np.minimum(begins[:, None] + np.arange(self._chunk), encoded.shape[2] - 1)
        return (
            np.take_along_axis(encoded, places[:, None], axis=2),
            frames,
            {"windows": state["windows"] + due},
        )
