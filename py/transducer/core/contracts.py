"""The graph contracts: inputs, outputs and axes of every graph, and random inputs that fit them.

Example:
    inputs = example("joint", {"B": 2, "D": 144, "T": 7, "H": 128, "U": 1})

Axes: B batch, T feature frames, T_enc encoder frames, F features, D encoder width, L LSTM layers,
H predictor width, U tokens, V labels plus blank, K TDT durations or big blanks, N encoder layers, cache_T and C
the past encoder frames that attention and convolutions cache. Some models have other inputs: see `graph_of`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]
# Features [B,F,T] and their lengths in frames [B].
Batches = Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]
Axes = Mapping[str, tuple[str, ...]]

# The activity of the speaker who is to be heard and of all others, 0 to 1, and what it is where nobody says.
SPEAKERS = {"spk_targets": 1.0, "bg_spk_targets": 0.0}

DYNAMIC_AXES = ("B", "T", "T_enc", "T_spk", "U", "samples")


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
    "ctc": Graph(inputs={"encoder_output": ("B", "D", "T")}, outputs={"logprobs": ("B", "T", "V")}),
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


def graph_of(name: str, dims: Mapping[str, int]) -> Graph:
    """Return the contract of a graph for a model of these dims.

    E in dims: an encoder of LSTMs, whose streams carry the states of so many cells a layer.
    R in dims: the cells of a projected LSTM, which are its states.
    history in dims: a predictor without recurrence, whose state is so many tokens before the last.
    P in dims: an encoder whose frames a prompt conditions, one of so many for each row.
    S in dims: an encoder that takes who speaks: the speaker who is to be heard, and with S of 2 all others.
    """
    graph = GRAPHS[name]
    if "E" in dims and name == "encoder_streaming":
        offline, cells = GRAPHS["encoder"], ("N", "B", "E")
        graph = replace(
            offline,
            inputs={**offline.inputs, "cache_h": cells, "cache_c": cells},
            outputs={**offline.outputs, "cache_h_out": cells, "cache_c_out": cells},
        )
    if "P" in dims and name.startswith("encoder"):
        return replace(graph, inputs={**graph.inputs, "prompt": ("B",)}, integers=(*graph.integers, "prompt"))
    if "S" in dims and name.startswith("encoder"):
        speakers = dict.fromkeys(list(SPEAKERS)[: dims["S"]], ("B", "T_spk"))
        return replace(graph, inputs={**graph.inputs, **speakers})
    if "history" in dims:
        return replace(
            graph,
            inputs=_exchanged(graph.inputs, {"h": {"context": ("history", "B")}, "c": {}}),
            outputs=_exchanged(graph.outputs, {"h_out": {"context_out": ("history", "B")}, "c_out": {}}),
            integers=(*graph.integers, "context"),
        )
    if "R" in dims:
        states = {name: {name: ("L", "B", "R")} for name in ("h", "c", "h_out", "c_out")}
        return replace(graph, inputs=_exchanged(graph.inputs, states), outputs=_exchanged(graph.outputs, states))
    return graph


def _exchanged(tensors: Axes, others: Mapping[str, Axes]) -> Axes:
    """Return tensors with others in the place of some, by name."""
    return {name: axes for key, value in tensors.items() for name, axes in others.get(key, {key: value}).items()}


def input_names(graph: Graph, swipe: bool) -> list[str]:
    """Return the names of a graph's inputs, as in its contract, except a swipe encoder's first."""
    return ["features" if swipe and tensor == "audio_signal" else tensor for tensor in graph.inputs]


def default_conditions(facts: Mapping[str, Any], batch: int) -> Arrays:
    """Return what conditions an encoder unless others are asked for: prompts [B], speakers' activity [B,1], or nothing.

    Args:
        facts: of model_meta.json, or a graph's metadata.
    """
    dims, prompts = (json.loads(x) if isinstance(x := facts.get(key), str) else x or {} for key in ("dims", "prompts"))
    speakers = list(SPEAKERS.items())[: dims.get("S", 0)]
    conditions: Arrays = {name: np.full((batch, 1), activity, np.float32) for name, activity in speakers}
    if prompts:
        conditions["prompt"] = np.full(batch, prompts["ids"][prompts["default"]], np.int64)
    return conditions


def initial_arrays(described: Mapping[str, Mapping[str, Any]], batch: int) -> Arrays:
    """Return what so many rows begin with: arrays of the shape, dtype and value that model_meta.json gives by name."""
    types = {"float": np.float32, "int64": np.int64}
    return {
        name: np.full([batch if axis == "B" else axis for axis in one["shape"]], one["value"], types[one["dtype"]])
        for name, one in described.items()
    }


def example(name: str, sizes: Mapping[str, int], seed: int = 0) -> Arrays:
    """Return random inputs of a graph for the given axis sizes (V: how many token ids to draw from).

    Lengths differ within a batch, from the first input's down to about a third of it, so that padding has
    to be masked. Waveforms fall from loud to silent, because the logarithm is hardest on faint sound.
    Caches are empty, as for new streams.
    """
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    graph = graph_of(name, sizes)
    longest = sizes[next(iter(graph.inputs.values()))[-1]]
    for tensor, axes in graph.inputs.items():
        # Of speakers' activity fewer frames, and more, than there are will do.
        shape = [{"T_spk": 17, **sizes}[axis] for axis in axes]
        if tensor == "length":
            arrays[tensor] = np.array([max(1, longest * 3 // (3 + 2 * row)) for row in range(sizes["B"])])
        elif tensor.startswith("cache_"):
            arrays[tensor] = np.zeros(shape, np.int64 if tensor in graph.integers else np.float32)
        elif tensor in SPEAKERS:
            arrays[tensor] = random.random(shape, dtype=np.float32)
        elif tensor in graph.integers:
            arrays[tensor] = random.integers(sizes["P" if tensor == "prompt" else "V"], size=shape)
        else:
            arrays[tensor] = random.standard_normal(shape, dtype=np.float32)
        if tensor == "predictor_output":
            # Outputs of an LSTM lie between -1 and 1.
            arrays[tensor] = np.tanh(arrays[tensor])
        if tensor == "waveform":
            arrays[tensor] *= np.geomspace(0.5, 1e-6, longest, dtype=np.float32)
    return arrays
