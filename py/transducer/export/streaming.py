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

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError, log
from transducer.core.contracts import Arrays, Floats

# Encoder frames: left context where a model sets no limit, and 2 s at 80 ms where it has no chunk of its own.
CACHE_SIZE = 256
CHUNK_SIZE = 25
# Before the first frame that a window adds, subsampling by striding needs two encoder frames' worth of features.
OVERLAP = 2


@dataclass(frozen=True)
class Streaming:
    """A model's streaming configuration. Sizes are in encoder frames but for names that end in _frames.

    att_context_size: left context and look-ahead, -1 where there is no limit
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


def plan(
    checkpoint: Checkpoint,
    cache_size: int | None = None,
    cache_drop_size: int = 0,
    lookahead: int | None = None,
    chunk_size: int | None = None,
) -> Streaming:
    """Choose how a checkpoint streams; sizes are in encoder frames, and None takes the model's own or a default.

    Raises: InputError if the model cannot stream, or not with these sizes.
    """
    encoder, source = checkpoint.config["encoder"], checkpoint.source
    _require_streamable(encoder, source)
    contexts = att_contexts(encoder)
    factor = int(encoder["subsampling_factor"])
    if encoder.get("att_context_style") == "chunked_limited":
        if chunk_size is not None or cache_drop_size:
            raise InputError(
                f"{source} is cache-aware, so its chunk follows from its look-ahead: choose STREAMING_LOOKAHEAD and "
                "leave STREAMING_CHUNK and STREAMING_CACHE_DROP_SIZE as they are."
            )
        context = _chosen_context(contexts, lookahead, source)
        chunk = granularity = context[1] + 1
        exact = True
    else:
        if lookahead is not None:
            raise InputError(
                f"{source} was not trained with a choice of look-aheads: choose STREAMING_CHUNK and "
                "STREAMING_CACHE_DROP_SIZE and leave STREAMING_LOOKAHEAD unset."
            )
        context, granularity = contexts[0], 1
        chunk = CHUNK_SIZE if chunk_size is None else chunk_size
        _require_chunk(chunk, cache_drop_size, factor)
        exact = context[1] == 0
    before, after = _conv_context(encoder)
    stride = float(checkpoint.config["preprocessor"].get("window_stride", 0.01))
    streaming = Streaming(
        att_context_size=context,
        chunk_size=chunk,
        cache_drop_size=cache_drop_size,
        cache_size=_cache_size(cache_size, context[0], chunk, granularity),
        conv_cache_size=before,
        n_layers=int(encoder["n_layers"]),
        d_model=int(encoder["d_model"]),
        subsampling_factor=factor,
        frame_ms=round(stride * 1000 * factor, 3),
        approximate=not (exact and after == 0 and encoder.get("causal_downsampling")),
    )
    if streaming.approximate:
        log.warning(
            "%s was trained on whole utterances: streamed in chunks of %d frames (%g ms), its output approximates the "
            "offline one.",
            source,
            chunk,
            chunk * streaming.frame_ms,
        )
    return streaming


def att_contexts(encoder: dict[str, Any]) -> list[list[int]]:
    """Return an encoder config's attention contexts, [left, look-ahead] each; the first is the model's default."""
    contexts = encoder.get("att_context_size") or [-1, -1]
    return [list(context) for context in ([contexts] if isinstance(contexts[0], int) else contexts)]


def _require_streamable(encoder: dict[str, Any], source: str) -> None:
    wanted = {
        "subsampling": ("dw_striding", "striding"),
        "att_context_style": ("regular", "chunked_limited"),
        "self_attention_model": ("rel_pos",),
        "reduction": (None,),
    }
    defaults = {"subsampling": "striding", "att_context_style": "regular", "self_attention_model": "rel_pos"}
    if int(encoder.get("subsampling_factor", 4)) < 2:
        raise InputError(f"{source}: a streaming encoder cannot be made of a model without subsampling.")
    for setting, supported in wanted.items():
        found = encoder.get(setting, defaults.get(setting))
        if found not in supported:
            raise InputError(
                f"{source}: a streaming encoder cannot be made of a model whose {setting} is {found}, "
                f"only {' or '.join(map(str, supported))}."
            )


def _chosen_context(contexts: list[list[int]], lookahead: int | None, source: str) -> list[int]:
    bounded = [context for context in contexts if context[1] >= 0]
    for context in bounded:
        if lookahead in (None, context[1]):
            return context
    choices = ", ".join(str(context[1]) for context in bounded) or "none"
    raise InputError(
        f"{source} was not trained with a look-ahead of {lookahead} encoder frames; "
        f"set STREAMING_LOOKAHEAD to one of its own: {choices}."
    )


def _require_chunk(chunk: int, drop: int, factor: int) -> None:
    if chunk < 1:
        raise InputError(
            f"STREAMING_CHUNK={chunk} is shorter than the subsampling allows; "
            f"give at least 1 encoder frame, which is {factor} feature frames."
        )
    if not 0 <= drop < chunk:
        raise InputError(
            f"STREAMING_CACHE_DROP_SIZE={drop} leaves nothing new of a chunk of {chunk} encoder frames; "
            f"give 0 to {chunk - 1}."
        )


def _conv_context(encoder: dict[str, Any]) -> tuple[int, int]:
    """Return how many frames a layer's convolution sees before and after each."""
    kernel, context = int(encoder.get("conv_kernel_size", 31)), encoder.get("conv_context_size")
    if context == "causal":
        return kernel - 1, 0
    before, after = context or [(kernel - 1) // 2] * 2
    return int(before), int(after)


def _cache_size(asked: int | None, trained: int, chunk: int, granularity: int) -> int:
    """Return the attention cache's size: what is asked for as far as it makes sense, and say where it does not."""
    if asked is not None and asked < 0:
        raise InputError(f"STREAMING_CACHE_SIZE={asked} is negative; give the number of encoder frames to keep.")
    most = None if trained < 0 else trained or chunk
    size = (most or CACHE_SIZE) if asked is None else asked
    reason = ""
    if size == 0:
        size, reason = chunk, "would leave nothing to tell a running stream from a new one"
    elif most is not None and size > most:
        size, reason = most, f"is more than the {trained} encoder frames that the model looks back"
    elif size % granularity:
        size, reason = (
            max(size // granularity, 1) * granularity,
            f"is no multiple of the chunk of {chunk} encoder frames",
        )
    if reason and asked is not None:
        log.warning("STREAMING_CACHE_SIZE=%d %s: the cache holds %d.", asked, reason, size)
    return size
