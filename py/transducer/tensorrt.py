"""What TensorRT is asked for: profiles, command lines for trtexec and polygraphy, and what their failures mean.

Example:
    profile = build_profile("encoder", Path("out/demo-tdt/onnx/encoder.trt.onnx"), (0.1, 10, 30), (1, 4, 16))
    command = trtexec_command("trtexec", Job(...))

Precision is never asked for: it is in the graph, and every engine is strongly typed. TensorRT 11 knows nothing else,
10.12 and later do so with --stronglyTyped, which 11 accepts and ignores.
"""

import contextlib
import fcntl
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import onnx
from onnx import TensorProto, numpy_helper

from transducer.cli import InputError
from transducer.graphs import GRAPHS
from transducer.onnx_files import interface, load_graph, metadata
from transducer.trt_engine import BOUNDS

# Min, opt, max of an axis, and so of every input.
Range = Sequence[float]
# Decoders ask the predictor and joint for one token and frame; some search a few at once.
STEP = (1, 1, 8)

DYNAMIC_INT8 = {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"}
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
TYPES = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}

# How the ONNX parser names a node: TensorRT 10.13 and later, and every version.
NODE = re.compile(r"In node \d+ with name: (?P<name>.*?) and operator: (?P<op>\w+)")
PARSING = re.compile(r'While parsing node number \d+ \[(?P<op>\w+) -> "(?P<name>[^"]*)"')


@dataclass(frozen=True)
class Job:
    """One engine to build. `profile` is what build_profile made of `onnx`; `workspace` is in MiB."""

    onnx: Path
    plan: Path
    profile: Mapping[str, Any]
    workspace: int
    level: int
    timing_cache: Path | None = None


def build_profile(name: str, path: Path, seconds: Range, batch: Range) -> dict[str, Any]:
    """Return the shapes of a graph's own inputs: "inputs", those with dynamic axes, as {tensor: {"min": [...], "opt":
    [...], "max": [...]}}, and "fixed", the others, as {tensor: [...]}.

    seconds and batch are min, opt and max. Axes that the graph fixes (caches, a stream's window, all with
    FIXED=1) stay as they are. Raises: InputError if a range is none or the graph cannot have it.
    """
    model = load_graph(path)
    _require_range("TRT_MIN_B TRT_OPT_B TRT_MAX_B", batch, at_least=1)
    ranges = {"B": tuple(map(int, batch)), "U": STEP, "T": STEP}
    if name == "encoder":
        _require_range("TRT_MIN_S TRT_OPT_S TRT_MAX_S", seconds, at_least=0)
        ranges["T"] = _frames(seconds, model, path)
    elif name == "encoder_streaming":
        # Every step of a stream takes one window.
        ranges["T"] = (int(json.loads(metadata(model)["streaming"])["window_frames"]),) * 3
    shapes = {value["name"]: value["shape"] for value in interface(model)["inputs"]}
    if list(shapes) != list(GRAPHS[name].inputs):
        raise InputError(
            f"{path} has the inputs {', '.join(shapes)}, but the {name}'s are {', '.join(GRAPHS[name].inputs)}; "
            "build it again."
        )
    inputs = {}
    for tensor, axes in GRAPHS[name].inputs.items():
        bounds = [_axis(axis, size, ranges, path) for axis, size in zip(axes, shapes[tensor], strict=True)]
        inputs[tensor] = dict(zip(BOUNDS, map(list, zip(*bounds, strict=True)), strict=True))
    # trtexec refuses shapes for a graph that has no dynamic axis.
    dynamic = {tensor for tensor, shape in shapes.items() if any(isinstance(size, str) for size in shape)}
    return {
        "graph": name,
        "inputs": {tensor: bounds for tensor, bounds in inputs.items() if tensor in dynamic},
        "fixed": {tensor: bounds["opt"] for tensor, bounds in inputs.items() if tensor not in dynamic},
    }


def _require_range(names: str, values: Range, at_least: float) -> None:
    low, middle, high = values
    if not (at_least <= low <= middle <= high and high > 0):
        raise InputError(
            f"{names} are {low:g}, {middle:g} and {high:g}, which is no range; each must be at least the one before, "
            f"and the first at least {at_least:g}."
        )


def _frames(seconds: Range, model: onnx.ModelProto, path: Path) -> tuple[int, ...]:
    facts = metadata(model)
    if "window_stride" not in facts:
        raise InputError(f"{path} does not say how long a feature frame is; build it again with this project.")
    return tuple(round(second / float(facts["window_stride"])) + 1 for second in seconds)


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
                yield f"{tensor} is to have {least}, {usual} and {most} in one axis, which is no range"
            elif isinstance(size, int) and not least == size == most:
                yield f"{tensor} has the shape {shape}"


def require_supported(model: onnx.ModelProto, path: Path) -> None:
    """Refuse graphs that no TensorRT takes, before any build. Raises: InputError."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in DYNAMIC_INT8:
            raise InputError(
                f"{path} is quantized dynamically ({node.op_type} at {node.name}), which TensorRT does not support; "
                "give it the static Q/DQ graph, .int8-qdq.onnx."
            )
        if node.domain not in ("", "ai.onnx"):
            raise InputError(
                f"{path} has the operator {node.domain}.{node.op_type} at {node.name}, which only ONNX Runtime knows; "
                "give TensorRT an fp32, fp16, bf16 or int8-qdq graph."
            )
        zero = constants.get(node.input[2]) if node.op_type in QUANTIZERS and len(node.input) > 2 else None
        if zero is not None and (zero.data_type != TensorProto.INT8 or numpy_helper.to_array(zero).any()):
            raise InputError(
                f"{path} has a zero point other than int8 0 at {node.name}; TensorRT quantizes symmetrically, so "
                "quantize the graph with symmetric int8."
            )


def precision(model: onnx.ModelProto) -> str:
    """Return what a graph computes in: int8-qdq, bf16, fp16 or fp32."""
    if any(node.op_type in QUANTIZERS for node in model.graph.node):
        return "int8-qdq"
    casts = {a.i for node in model.graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
    found = {TYPES.get(kind) for kind in casts | {tensor.data_type for tensor in model.graph.initializer}}
    return next((kind for kind in ("bf16", "fp16") if kind in found), "fp32")


def trtexec_command(trtexec: str, job: Job, layers: Path) -> list[str]:
    """Return the trtexec command line that builds an engine, right for TensorRT 10.12 and later and for 11.

    TF32 is off, as polygraphy has it: an fp32 engine is fp32.
    """
    shapes = {
        key: ",".join(f"{tensor}:{'x'.join(map(str, bounds[key]))}" for tensor, bounds in job.profile["inputs"].items())
        for key in BOUNDS
    }
    return [
        trtexec,
        f"--onnx={job.onnx}",
        f"--saveEngine={job.plan}",
        "--stronglyTyped",
        "--noTF32",
        *(f"--{key}Shapes={shape}" for key, shape in shapes.items() if shape),
        f"--memPoolSize=workspace:{job.workspace}M",
        f"--builderOptimizationLevel={job.level}",
        *([f"--timingCacheFile={job.timing_cache}"] if job.timing_cache else []),
        "--profilingVerbosity=detailed",
        f"--exportLayerInfo={layers}",
        "--skipInference",
    ]


def bench_command(
    trtexec: str, plan: Path, shapes: Mapping[str, Sequence[int]], seconds: float, times: Path
) -> list[str]:
    """Return the trtexec command line that times an engine at one shape, alike on TensorRT 10 and 11.

    11 has CUDA graphs and spinning on and transfers off by default; 10 has not, so both are told.
    """
    given = ",".join(f"{tensor}:{'x'.join(map(str, shape))}" for tensor, shape in shapes.items())
    return [
        trtexec,
        f"--loadEngine={plan}",
        *([f"--shapes={given}"] if given else []),
        "--useCudaGraph",
        "--useSpinWait",
        "--noDataTransfers",
        "--warmUp=500",
        f"--duration={seconds:g}",
        f"--exportTimes={times}",
    ]


def polygraphy() -> str:
    """Return the polygraphy command of this environment."""
    return str(Path(sys.executable).with_name("polygraphy"))


def polygraphy_options(job: Job) -> list[str]:
    """Return what polygraphy's convert and run are told about an engine to build."""
    return [
        "--strongly-typed",
        *(
            word
            for key in (BOUNDS if job.profile["inputs"] else ())
            for word in (
                f"--trt-{key}-shapes",
                *(f"{tensor}:[{','.join(map(str, bounds[key]))}]" for tensor, bounds in job.profile["inputs"].items()),
            )
        ),
        "--pool-limit",
        f"workspace:{job.workspace}M",
        "--builder-optimization-level",
        str(job.level),
        "--profiling-verbosity",
        "detailed",
    ]


def polygraphy_command(job: Job, rtx: bool = False, arch: str = "any") -> list[str]:
    """Return the polygraphy command line that builds an engine; `arch`, sm_XY or any, is for TensorRT-RTX."""
    cache = str(job.timing_cache)
    loaded = ["--load-timing-cache", cache] if job.timing_cache and job.timing_cache.exists() else []
    return [
        *(polygraphy(), "convert", str(job.onnx), "--convert-to", "trt", "--output", str(job.plan)),
        *polygraphy_options(job),
        *loaded,
        *(["--save-timing-cache", cache] if job.timing_cache else []),
        *(["--compute-capabilities", f"{arch[3:-1]}.{arch[-1]}"] if rtx and arch != "any" else []),
    ]


def build_command(found: Mapping[str, Any], job: Job, layers: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command line that builds an engine with what find_tensorrt.py found, and its environment.

    `layers` is where trtexec writes the engine's layers.
    """
    if found["tensorrt"] == "trtexec":
        return trtexec_command(found["trtexec"], job, layers), {}
    rtx = found["tensorrt"] == "rtx"
    return polygraphy_command(job, rtx, found["arch"]), {"POLYGRAPHY_USE_TENSORRT_RTX": "1"} if rtx else {}


def script_command(job: Job, script: Path) -> list[str]:
    """Return the polygraphy command line that writes a script to build an engine and compare it."""
    return [
        polygraphy(),
        "run",
        str(job.onnx),
        "--onnxrt",
        "--trt",
        *polygraphy_options(job),
        "--gen-script",
        str(script),
    ]


def failure(path: Path, output: str, log: Path) -> str:
    """Return one sentence on why TensorRT made no engine of a graph, from what it printed."""
    node = NODE.search(output) or PARSING.search(output)
    if node:
        return (
            f"{path}: TensorRT cannot take {node['op']} at node {node['name'] or 'without a name'}; export the graph "
            f"without that operator, the log is {log}."
        )
    errors = [line for line in output.splitlines() if re.search(r"\[E\]|\[!\]|Error", line)]
    last = re.sub(r"^(\[[^\]]*\] ?)+", "", errors[0]).rstrip(".") if errors else "no error was printed"
    return f"{path}: TensorRT made no engine ({last}); the log is {log}."


@contextlib.contextmanager
def exclusively(folder: Path) -> Iterator[IO[str]]:
    """Hold the one place at the GPU while the block runs; what inherits the yielded file keeps it, even orphaned."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
