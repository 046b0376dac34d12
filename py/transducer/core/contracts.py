"""The graph contracts: inputs, outputs and axes of every graph, and random inputs that fit them.

Example:
    inputs = example("joint", {"B": 2, "D": 144, "T": 7, "H": 128, "U": 1})

Axes: B batch, T feature frames, T_enc encoder frames, F features, D encoder width, L LSTM layers,
H predictor width, U tokens, V labels plus blank, K TDT durations, N encoder layers, cache_T and C the
past encoder frames that attention and convolutions cache.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]
# Features [B,F,T] and their lengths in frames [B].
Batches = Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]
Axes = Mapping[str, tuple[str, ...]]

DYNAMIC_AXES = ("B", "T", "T_enc", "U", "samples")


@dataclass(frozen=True)
class Graph:
    """The axes of a graph's tensors, in order, and the inputs that are int64; all others are float32."""

    inputs: Axes
    outputs: Axes
    integers: tuple[str, ...] = ()


GRAPHS = {
    "encoder": Graph(
        inputs={"audio_signal": ("B", "F", "T"), "length": ("B",)},
        outputs={"encoder_output": ("B", "D", "T_enc"), "encoded_lengths": ("B",)},
        integers=("length",),
    ),
    "encoder_streaming": Graph(
        inputs={
            "audio_signal": ("B", "F", "T"),
            "length": ("B",),
            "cache_last_channel": ("N", "B", "cache_T", "D"),
            "cache_last_time": ("N", "B", "D", "C"),
            "cache_last_channel_len": ("B",),
        },
        outputs={
            "encoder_output": ("B", "D", "T_enc"),
            "encoded_lengths": ("B",),
            "cache_last_channel_out": ("N", "B", "cache_T", "D"),
            "cache_last_time_out": ("N", "B", "D", "C"),
            "cache_last_channel_len_out": ("B",),
        },
        integers=("length", "cache_last_channel_len"),
    ),
    "predictor": Graph(
        inputs={"y": ("B", "U"), "h": ("L", "B", "H"), "c": ("L", "B", "H")},
        outputs={"g": ("B", "H", "U"), "h_out": ("L", "B", "H"), "c_out": ("L", "B", "H")},
        integers=("y",),
    ),
    "joint": Graph(
        inputs={"encoder_output": ("B", "D", "T"), "predictor_output": ("B", "H", "U")},
        outputs={"joint_output": ("B", "T", "U", "V+K")},
    ),
    "rnnt_step": Graph(
        inputs={"encoder_frame": ("B", "D"), "y": ("B",), "h": ("L", "B", "H"), "c": ("L", "B", "H")},
        outputs={"logits": ("B", "V+K"), "h_out": ("L", "B", "H"), "c_out": ("L", "B", "H")},
        integers=("y",),
    ),
    "frontend": Graph(
        inputs={"waveform": ("B", "samples"), "length": ("B",)},
        outputs={"audio_signal": ("B", "F", "T"), "length_out": ("B",)},
        integers=("length",),
    ),
}


def input_names(name: str, swipe: bool) -> list[str]:
    """Return the names of a graph's inputs, as in its contract, except a swipe encoder's first."""
    return ["features" if swipe and tensor == "audio_signal" else tensor for tensor in GRAPHS[name].inputs]


def example(name: str, sizes: Mapping[str, int], seed: int = 0) -> Arrays:
    """Return random inputs of a graph for the given axis sizes (V: how many token ids to draw from).

    Lengths differ within a batch, from the first input's down to about a third of it, so that padding has
    to be masked. Waveforms fall from loud to silent, because the logarithm is hardest on faint sound.
    Caches are empty, as for new streams.
    """
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    longest = sizes[next(iter(GRAPHS[name].inputs.values()))[-1]]
    for tensor, axes in GRAPHS[name].inputs.items():
        shape = [sizes[axis] for axis in axes]
        if tensor == "length":
            arrays[tensor] = np.array([max(1, longest * 3 // (3 + 2 * row)) for row in range(sizes["B"])])
        elif tensor.startswith("cache_"):
            arrays[tensor] = np.zeros(shape, np.int64 if tensor in GRAPHS[name].integers else np.float32)
        elif tensor in GRAPHS[name].integers:
            arrays[tensor] = random.integers(sizes["V"], size=shape)
        else:
            arrays[tensor] = random.standard_normal(shape, dtype=np.float32)
        if tensor == "predictor_output":
            # Outputs of an LSTM lie between -1 and 1.
            arrays[tensor] = np.tanh(arrays[tensor])
        if tensor == "waveform":
            arrays[tensor] *= np.geomspace(0.5, 1e-6, longest, dtype=np.float32)
    return arrays
