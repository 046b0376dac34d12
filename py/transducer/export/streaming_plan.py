"""Plan how an encoder is fed a stream: chunks, look-ahead and caches.

Example:
    streaming = plan(checkpoint, cache_size=None, cache_drop_size=0, lookahead=None, chunk=None)
"""

from typing import Any

from transducer.checkpoint.architecture import class_of, sizes
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import InputError, log
from transducer.export.streaming import CacheAwareStreaming, RecurrentStreaming, Streaming

# Encoder frames: left context where a model sets no limit, and 2 s at 80 ms where it has no chunk of its own.
CACHE_SIZE = 256


CHUNK_SIZE = 25
INSTEAD = 'stream it by its offline encoder, with BUFFER="10 2 2"'


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
    stride = float(checkpoint.config["preprocessor"].get("window_stride", 0.01))
    if class_of(checkpoint.config, "encoder", source) == "RNNEncoder":
        if (cache_size, cache_drop_size, lookahead) != (None, 0, None):
            raise InputError(
                f"{source} is an LSTM, which carries nothing but its states: choose STREAMING_CHUNK and leave "
                "STREAMING_LOOKAHEAD, STREAMING_CACHE_SIZE and STREAMING_CACHE_DROP_SIZE as they are."
            )
        return _recurrent(checkpoint, stride, CHUNK_SIZE if chunk_size is None else chunk_size)
    _require_streamable(encoder, source)
    contexts = att_contexts(encoder)
    factor = int(encoder.get("subsampling_factor", 4))
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
    streaming = CacheAwareStreaming(
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


def _recurrent(checkpoint: Checkpoint, stride: float, chunk: int) -> RecurrentStreaming:
    """Return how an LSTM streams: in any chunk, with the same frames as of the whole recording."""
    encoder, source = checkpoint.config["encoder"], checkpoint.source
    factor = sizes(checkpoint.config, source)["subsampling"]
    subsampling = {"subsampling": "striding", **encoder}["subsampling"]
    if {"bidirectional": True, **encoder}["bidirectional"]:
        raise InputError(f"{source}: a streaming encoder cannot be made of an LSTM in both directions; {INSTEAD}.")
    if factor > 1 and subsampling not in ("stacking", "stacking_norm"):
        raise InputError(
            f"{source}: a streaming encoder cannot be made of an LSTM whose subsampling is {subsampling}, only "
            f"stacking or stacking_norm; {INSTEAD}."
        )
    _require_chunk(chunk, 0, factor)
    return RecurrentStreaming(
        chunk_size=chunk,
        n_layers=int(encoder["n_layers"]),
        subsampling_factor=factor,
        frame_ms=round(stride * 1000 * factor, 3),
        approximate=False,
        cells=int(encoder["d_model"]),
    )


def _require_streamable(encoder: dict[str, Any], source: str) -> None:
    supported_values = {
        "subsampling": ("dw_striding", "striding"),
        "att_context_style": ("regular", "chunked_limited"),
        "self_attention_model": ("rel_pos",),
        "reduction": (None,),
    }
    defaults = {"subsampling": "striding", "att_context_style": "regular", "self_attention_model": "rel_pos"}
    kind = class_of({"encoder": encoder}, "encoder", source)
    if kind != "ConformerEncoder":
        raise InputError(f"{source}: a streaming encoder cannot be made of a {kind}, which keeps no caches; {INSTEAD}.")
    if int(encoder.get("subsampling_factor", 4)) < 2:
        raise InputError(f"{source}: a streaming encoder cannot be made of a model without subsampling; {INSTEAD}.")
    for setting, supported in supported_values.items():
        value = encoder.get(setting, defaults.get(setting))
        if value not in supported:
            raise InputError(
                f"{source}: a streaming encoder cannot be made of a model whose {setting} is {value}, "
                f"only {' or '.join(map(str, supported))}; {INSTEAD}."
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


def _cache_size(request: int | None, trained: int, chunk: int, granularity: int) -> int:
    """Return the attention cache's size: what is asked for as far as it makes sense, and say where it does not."""
    if request is not None and request < 0:
        raise InputError(f"STREAMING_CACHE_SIZE={request} is negative; give the number of encoder frames to keep.")
    most = None if trained < 0 else trained or chunk
    size = (most or CACHE_SIZE) if request is None else request
    reason = ""
    if size == 0:
        size, reason = chunk, "would leave nothing to tell a running stream from a new one"
    elif most is not None and size > most:
        size, reason = most, f"is more than the {trained} encoder frames that the model looks back"
    elif size % granularity:
        size, reason = (
            max(size // granularity, 1) * granularity,
            f"is not a multiple of the chunk of {chunk} encoder frames",
        )
    if reason and request is not None:
        log.warning("STREAMING_CACHE_SIZE=%d %s: the cache holds %d.", request, reason, size)
    return size
