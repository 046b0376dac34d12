"""The command lines of trtexec and polygraphy, and what their failures mean.

Example:
    command = trtexec_command("trtexec", Job(...), layers)

Every engine is strongly typed. TensorRT 11 knows nothing else, 10.12 and later do so with --stronglyTyped, which 11
accepts and ignores.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transducer.trt.profile import BOUNDS

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

    11 has CUDA graphs and spinning on and transfers off by default; 10 has not, so both are set.
    """
    shape_option = ",".join(f"{tensor}:{'x'.join(map(str, shape))}" for tensor, shape in shapes.items())
    return [
        trtexec,
        f"--loadEngine={plan}",
        *([f"--shapes={shape_option}"] if shape_option else []),
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
    """Return what polygraphy's convert and run need to know of an engine to build."""
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


def build_command(backend: Mapping[str, Any], job: Job, layers: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command line that builds an engine with what find_tensorrt.py found, and its environment.

    `layers` is where trtexec writes the engine's layers.
    """
    if backend["tensorrt"] == "trtexec":
        return trtexec_command(backend["trtexec"], job, layers), {}
    rtx = backend["tensorrt"] == "rtx"
    return polygraphy_command(job, rtx, backend["arch"]), {"POLYGRAPHY_USE_TENSORRT_RTX": "1"} if rtx else {}


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
