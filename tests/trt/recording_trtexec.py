#!/usr/bin/env python3
"""A trtexec that records what it is asked, refuses what the real one would, and writes a plan that is none.

TRTEXEC_VERSION is the version it has, whose options trtexec_options.json lists, or else those of 10.13; TRTEXEC_RECORD
is where it appends what it was asked; TRTEXEC_SECONDS is how long a build stands still with half of its plan written.
"""

import json
import os
import sys
import time
from hashlib import sha256
from pathlib import Path

VERSION = os.environ["TRTEXEC_VERSION"]
OPTIONS = json.loads(Path(__file__).with_name("trtexec_options.json").read_text())
SHAPES = ("--minShapes", "--optShapes", "--maxShapes")


def main() -> int:
    major, minor, patch, build = VERSION.split(".")
    print(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{major}{minor:>02}{patch:>02}] [b{build}] # trtexec")
    given: dict[str, str] = {}
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name in given:
            return fail(f"{name} given twice")
        given[name] = value
    if "--help" in given:
        return 0
    known = OPTIONS.get(VERSION, OPTIONS["10.13.0.35"])["options"]
    for name in given:
        if name not in known:
            return fail(f"Unknown option: {name} {given[name]}")
    began = time.time()
    code = bench(given) if "--loadEngine" in given else build_plan(given)
    with Path(os.environ["TRTEXEC_RECORD"]).open("a") as record:
        record.write(json.dumps({"options": given, "began": began, "ended": time.time(), "code": code}) + "\n")
    return code


def fail(why: str) -> int:
    print(f"[11/22/2026-12:00:00] [E] {why}")
    return 1


def shapes(text: str) -> dict[str, list[int]]:
    specs = [spec.rpartition(":") for spec in text.split(",") if spec]
    return {name: [int(size) for size in sizes.split("x")] for name, _, sizes in specs}


def build_plan(given: dict[str, str]) -> int:
    # Not for --help, which Make asks for at every run.
    import onnx

    if "--stronglyTyped" not in given or "--skipInference" not in given:
        return fail("this project's builds are strongly typed and run nothing")
    model = onnx.load(given["--onnx"], load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {
        value.name: [axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim]
        for value in model.graph.input
        if value.name not in weights
    }
    low, middle, high = (shapes(given.get(name, "")) for name in SHAPES)
    dynamic = {name for name, shape in inputs.items() if any(isinstance(size, str) for size in shape)}
    if low and not dynamic:
        return fail("Static model does not take explicit shapes")
    if not set(low) == set(middle) == set(high) == dynamic:
        return fail(f"profile for {sorted(low)}, {sorted(middle)}, {sorted(high)}, dynamic inputs {sorted(dynamic)}")
    for name in dynamic:
        columns = [inputs[name], low[name], middle[name], high[name]]
        if len({len(column) for column in columns}) != 1:
            return fail(f"{name} has {len(inputs[name])} axes")
        for size, a, b, c in zip(*columns, strict=True):
            if not 0 < a <= b <= c or (isinstance(size, int) and (a, c) != (size, size)):
                return fail(f"{name}: {a}, {b}, {c} is not a range of an axis {size}")
    for number, node in enumerate(model.graph.node):
        if node.op_type == "NonZero":
            return fail(f'ModelImporter.cpp:950: While parsing node number {number} [NonZero -> "{node.output[0]}"]:')
    int(given["--builderOptimizationLevel"])
    if not given["--memPoolSize"].startswith("workspace:"):
        return fail("Unknown memory pool")
    plan, seconds = Path(given["--saveEngine"]), float(os.environ.get("TRTEXEC_SECONDS", "0"))
    content = sha256(Path(given["--onnx"]).read_bytes() + repr((low, middle, high)).encode()).digest()
    plan.write_bytes(content[:16])
    time.sleep(seconds)
    plan.write_bytes(content)
    if "--timingCacheFile" in given:
        with Path(given["--timingCacheFile"]).open("ab") as cache:
            cache.write(b"timed\n")
    Path(given["--exportLayerInfo"]).write_text('{"Layers": []}\n')
    return 0


def bench(given: dict[str, str]) -> int:
    for option in ("--useCudaGraph", "--useSpinWait", "--noDataTransfers"):
        if option not in given:
            return fail(f"{option} is missing: times would not compare")
    times = [{"computeMs": latency, "latencyMs": latency} for latency in (1.0, 2.0, 3.0)]
    Path(given["--exportTimes"]).write_text(json.dumps(times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
