"""Measure latency and throughput of a TensorRT engine on this machine's GPU.

Example:
    .venv/bin/python py/trt/bench.py --engine out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/encoder.fp16.plan \
        --backend out/demo-tdt/trt/backend.json \
        --output out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/encoder.fp16.bench.json

With trtexec the GPU alone is timed, with CUDA graphs and without transfers, alike on TensorRT 10 and 11; with the
Python packages a whole call is, transfers included. The two are not comparable, and `timed` says which it was.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError, existing, parser, run, write_json
from transducer.core.contracts import example
from transducer.core.onnx_files import load_graph, metadata
from transducer.core.progress import progress
from transducer.runtime.sessions import session_runner
from transducer.runtime.trt import open_engine, read_manifest
from transducer.runtime.trt_backend import exclusively, require_loadable
from transducer.trt.commands import bench_command
from transducer.trt.profile import BOUNDS

WARM_UP = 20


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--onnx", type=Path, required=True, help="the graph that the engine was built of")
    args.add_argument("--engine", type=Path, required=True, help="the .plan, its manifest beside it")
    args.add_argument("--backend", type=Path, required=True, help="what find_tensorrt.py wrote")
    args.add_argument("--seconds", type=float, default=5, help="to measure at each size")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    plan: Path = options.engine
    manifest = read_manifest(plan)
    backend = json.loads(existing(options.backend, "run `make trt-backends`").read_text("utf-8"))
    require_loadable(manifest, backend, plan)
    facts = metadata(load_graph(existing(options.onnx, "run `make trt-engines`")))
    rows = []
    with exclusively(plan.parent):
        for key in progress(BOUNDS, desc=plan.name, leave=False):
            sizes = {axis: bounds[key] for axis, bounds in manifest["profile"]["axes"].items()}
            if backend["tensorrt"] == "trtexec":
                shapes = {tensor: bounds[key] for tensor, bounds in manifest["profile"]["inputs"].items()}
                times = timed_by_trtexec(backend["trtexec"], plan, shapes, options.seconds)
            else:
                times = timed_here(plan, manifest["profile"]["graph"], sizes, facts, options.seconds)
            rows.append({"at": key, "batch": sizes["B"]} | figures(times, sizes, manifest, facts))
    report = {name: manifest[name] for name in ("plan", "tensorrt", "version", "arch", "gpu", "precision")}
    timed = "GPU, CUDA graph" if backend["tensorrt"] == "trtexec" else "call, transfers included"
    write_json(options.output, report | {"timed": timed, "rows": rows})
    for row in rows:
        audio = f", {row['times_real_time']:.0f} times real time" if "times_real_time" in row else ""
        print(f"  {plan.name} {row['at']}: batch {row['batch']}, median {row['median_ms']:.2f} ms{audio}")
    return 0


def timed_by_trtexec(trtexec: str, plan: Path, shapes: dict[str, list[int]], seconds: float) -> list[float]:
    """Return the latency of each inference, in ms."""
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times.json")
        command = bench_command(trtexec, plan, shapes, seconds, times)
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode != 0 or not times.exists():
            errors = [line for line in process.stdout.splitlines() + process.stderr.splitlines() if "[E]" in line]
            raise InputError(f"{plan}: trtexec cannot run it ({errors[0] if errors else 'it said nothing'}).")
        return [float(inference["latencyMs"]) for inference in json.loads(times.read_text(encoding="utf-8"))]


def timed_here(plan: Path, graph: str, sizes: dict[str, int], facts: dict[str, str], seconds: float) -> list[float]:
    """Return the duration of each call, in ms."""
    call = session_runner(open_engine(plan))
    inputs = example(graph, json.loads(facts["dims"]) | sizes)
    for _ in range(WARM_UP):
        call(inputs)
    times: list[float] = []
    while sum(times) < 1000 * seconds:
        began = time.perf_counter()
        call(inputs)
        times.append(1000 * (time.perf_counter() - began))
    return times


def figures(
    times: list[float], sizes: dict[str, int], manifest: dict[str, Any], facts: dict[str, str]
) -> dict[str, Any]:
    """Return percentiles in ms, inferences and rows per second, and for encoders of speech audio time over time."""
    mean = float(np.mean(times))
    row = {
        "inferences": len(times),
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "p99_ms": float(np.percentile(times, 99)),
        "rows_per_second": 1000 * sizes["B"] / mean,
    }
    if manifest["profile"]["graph"] == "encoder" and "window_stride" in facts:
        audio = sizes["B"] * (sizes["T"] - 1) * float(facts["window_stride"])
        row |= {"audio_seconds": audio, "times_real_time": 1000 * audio / mean}
    return row


if __name__ == "__main__":
    sys.exit(run(main))
