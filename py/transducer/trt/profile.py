"""Which sizes an engine is built for: min, opt and max of every axis of its graph.

Example:
    profile = build_profile("encoder", Path("out/demo-tdt/onnx/encoder.trt.onnx"), (0.1, 10, 30), (1, 4, 16))
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from transducer.core.cli import InputError
from transducer.core.contracts import graph_of, input_names
from transducer.core.onnx_files import interface, load_graph, metadata

# The sizes of an axis and the shapes of an input, in this order.
BOUNDS = ("min", "opt", "max")
# Min, opt, max of an axis, and so of every input.
Range = Sequence[float]
# Decoders ask the predictor and joint for one token and frame; some search a few at once.
STEP = (1, 1, 8)


def build_profile(name: str, path: Path, seconds: Range, batch: Range) -> dict[str, Any]:
    """Return what an engine of a graph is to take: "axes", the sizes of every axis of the contract as {axis: {"min": n,
    "opt": n, "max": n}}; "inputs", the shapes of those inputs that have dynamic axes, as {tensor: {"min": [...], "opt":
    [...], "max": [...]}}; and "fixed", those of the others, as {tensor: [...]}.

    seconds, of audio or of a swipe, and batch are min, opt and max. Axes that the graph fixes (caches, a stream's
    window, all with FIXED=1) stay as they are. Raises: InputError if a range is none or the graph cannot have it.
    """
    model = load_graph(path)
    facts = metadata(model)
    _require_range("TRT_MIN_B TRT_OPT_B TRT_MAX_B", batch, at_least=1)
    ranges: dict[str, Sequence[int]] = {"B": tuple(map(int, batch)), "U": STEP, "T": STEP}
    if name == "encoder":
        _require_range("TRT_MIN_S TRT_OPT_S TRT_MAX_S", seconds, at_least=0)
        ranges["T"] = _frames(seconds, facts, path)
    elif name == "encoder_streaming":
        # Every step of a stream takes one window.
        ranges["T"] = (int(json.loads(facts["streaming"])["window_frames"]),) * 3
    if name.startswith("encoder"):
        factor = int(facts.get("subsampling_factor", 1))
        ranges["T_spk"] = tuple(max(1, frames // factor) for frames in ranges["T"])
    shapes = {value["name"]: value["shape"] for value in interface(model)["inputs"]}
    graph = graph_of(name, json.loads(facts.get("dims", "{}")))
    names = input_names(graph, "swipe" in facts)
    if list(shapes) != names:
        raise InputError(
            f"{path} has the inputs {', '.join(shapes)}, but the {name}'s are {', '.join(names)}; build it again."
        )
    inputs, sizes = {}, dict[str, dict[str, int]]()
    for tensor, axes in zip(names, graph.inputs.values(), strict=True):
        bounds = [_axis(axis, size, ranges, path) for axis, size in zip(axes, shapes[tensor], strict=True)]
        inputs[tensor] = dict(zip(BOUNDS, map(list, zip(*bounds, strict=True)), strict=True))
        sizes |= {axis: dict(zip(BOUNDS, bound, strict=True)) for axis, bound in zip(axes, bounds, strict=True)}
    # trtexec refuses shapes for a graph that has no dynamic axis.
    dynamic = {tensor for tensor, shape in shapes.items() if any(isinstance(size, str) for size in shape)}
    return {
        "graph": name,
        "axes": sizes,
        "inputs": {tensor: bounds for tensor, bounds in inputs.items() if tensor in dynamic},
        "fixed": {tensor: bounds["opt"] for tensor, bounds in inputs.items() if tensor not in dynamic},
    }


def _require_range(names: str, values: Range, at_least: float) -> None:
    low, middle, high = values
    if not (at_least <= low <= middle <= high and high > 0):
        raise InputError(
            f"{names} are {low:g}, {middle:g} and {high:g}, which is not a range; each must be at least the one "
            f"before, and the first at least {at_least:g}."
        )


def frame_seconds(facts: Mapping[str, str], path: Path) -> float:
    """Return how long a feature frame is, from a graph's metadata. Raises: InputError if that does not say."""
    if "swipe" in facts:
        return float(json.loads(facts["swipe"])["frame_seconds"])
    if "window_stride" not in facts:
        raise InputError(f"{path} does not say how long a feature frame is; build it again with this project.")
    return float(facts["window_stride"])


def _frames(seconds: Range, facts: Mapping[str, str], path: Path) -> tuple[int, ...]:
    return tuple(round(second / frame_seconds(facts, path)) + 1 for second in seconds)


def _axis(axis: str, size: int | str, ranges: Mapping[str, Sequence[int]], path: Path) -> Sequence[int]:
    """Return min, opt and max of one axis."""
    if isinstance(size, str):
        if axis not in ranges:
            raise InputError(
                f"{path}: its axis {axis} is dynamic, which no engine of this project needs; build it again."
            )
        return ranges[axis]
    # Steps are this project's own choice, and give way to a graph's.
    if ranges.get(axis, STEP) is not STEP and not ranges[axis][0] <= size <= ranges[axis][2]:
        names = "TRT_MIN_S to TRT_MAX_S" if axis == "T" else "TRT_MIN_B to TRT_MAX_B"
        raise InputError(
            f"{path} takes {axis} = {size} only, but {names} asks for {ranges[axis][0]} to {ranges[axis][2]}; "
            "build it without FIXED=1, or choose a range that has it."
        )
    return (size, size, size)


def require_fit(profile: Mapping[str, Any], model: onnx.ModelProto, path: Path) -> None:
    """Check a profile against a graph's inputs: names, ranks, fixed axes, order. Raises: InputError."""
    shapes = {value["name"]: value["shape"] for value in interface(model)["inputs"]}
    for problem in _misfits(profile, shapes):
        raise InputError(f"The profile does not fit {path}: {problem}; delete the profile and run make again.")


def _misfits(profile: Mapping[str, Any], shapes: Mapping[str, list[int | str]]) -> Iterator[str]:
    fixed = {tensor: dict.fromkeys(BOUNDS, shape) for tensor, shape in profile["fixed"].items()}
    bounds = {**profile["inputs"], **fixed}
    if set(shapes) != set(bounds):
        yield f"its inputs are {', '.join(shapes)}"
        return
    for tensor, shape in shapes.items():
        low, middle, high = (bounds[tensor][key] for key in BOUNDS)
        if not len(shape) == len(low) == len(middle) == len(high):
            yield f"{tensor} has {len(shape)} axes"
            continue
        for size, least, usual, most in zip(shape, low, middle, high, strict=True):
            if not least <= usual <= most:
                yield f"{tensor} is to have {least}, {usual} and {most} in one axis, which is not a range"
            elif isinstance(size, int) and not least == size == most:
                yield f"{tensor} has the shape {shape}"
