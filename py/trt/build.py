"""Build one TensorRT engine, and write next to the plan what it was built of and how.

Example:
    .venv/bin/python py/trt/build.py --onnx out/demo-tdt/onnx/joint.fp16.trt.onnx \
        --profile out/demo-tdt/trt/profiles/joint.fp16.json --backend out/demo-tdt/trt/backend.json \
        --output out/demo-tdt/trt/rtx-1.7.1.116-any/joint.fp16.plan

Beside joint.fp16.plan go joint.fp16.json, the manifest, and joint.fp16.log; with trtexec joint.fp16.layers.json, with
TensorRT's Python package joint.fp16.layers.txt; with polygraphy joint.fp16.capability.txt and joint.fp16.compare.py, a
script that builds the engine again and compares it with ONNX Runtime.
"""

import argparse
import contextlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import onnx

from transducer.core.checks import identity
from transducer.core.cli import InputError, existing, log, parser, replacing, run, sha256_of, write_json
from transducer.core.onnx_files import interface, load_graph
from transducer.core.progress import progress
from transducer.runtime.trt_backend import exclusively
from transducer.trt.commands import Job, build_command, failure, polygraphy, script_command
from transducer.trt.graph import precision, require_supported
from transducer.trt.profile import require_fit


def main() -> int:
    options = parse_args()
    plan: Path = options.output
    backend = json.loads(existing(options.backend, "run `make trt-backends`").read_text(encoding="utf-8"))
    if not backend["tensorrt"]:
        raise InputError(f"{options.backend} names no TensorRT; `make trt-backends` says what is missing.")
    profile = json.loads(existing(options.profile, "run `make trt-engines`").read_text(encoding="utf-8"))
    model = load_graph(existing(options.onnx, "run `make trt-engines`"))
    require_supported(model, options.onnx)
    require_fit(profile, model, options.onnx)
    with exclusively(plan.parent) as lock, replacing(plan) as new, timing_cache(plan.parent, backend) as cache:
        job = Job(options.onnx, new, profile, options.workspace, options.level, cache)
        built = build(job, backend, plan, lock)
        manifest = {key: backend[key] for key in ("tensorrt", "version", "arch", "gpu")} | {
            "plan": plan.name,
            "plan_sha256": sha256_of(new),
            "plan_bytes": new.stat().st_size,
            **facts_of(model, options.onnx),
            "profile": profile,
            **built,
            "timing_cache_sha256": sha256_of(cache) if cache and cache.exists() else None,
            "check": os.path.relpath(options.check, plan.parent) if options.check else None,
        }
        write_json(plan.with_suffix(".json"), manifest)
    log.info("%s: %.1f s, at most %d MiB", plan, built["seconds"], built["peak_memory_mib"])
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--onnx", type=Path, required=True, help="what trt/prepare_graph.py wrote")
    args.add_argument("--profile", type=Path, required=True, help="what trt/write_profile.py wrote")
    args.add_argument("--backend", type=Path, required=True, help="what trt/find.py wrote")
    args.add_argument("--workspace", type=int, default=4096, help="MiB of GPU memory that the engine may work in")
    args.add_argument("--level", type=int, choices=range(6), default=3, help="how long to search for fast kernels")
    args.add_argument("--check", type=Path, help="where trt/check.py is to record parity; named by the manifest")
    args.add_argument("--output", type=Path, required=True, help="the .plan")
    return args.parse_args()


def build(job: Job, backend: Mapping[str, Any], plan: Path, lock: IO[str]) -> dict[str, Any]:
    """Build the engine of a job, with its log and layers beside the plan; return how it was built.

    Raises: InputError if TensorRT fails.
    """
    log_path = plan.with_suffix(".log")
    command, environment = build_command(backend, job, plan.with_suffix(".layers.json"))
    if backend["tensorrt"] != "trtexec":
        explain(job, plan, environment)
    began = time.monotonic()
    code = watched(command, environment, log_path, lock)
    seconds = time.monotonic() - began
    if code != 0 or not job.plan.exists():
        raise InputError(failure(job.onnx, log_path.read_text(encoding="utf-8", errors="replace"), log_path))
    if backend["tensorrt"] == "polygraphy":
        # TensorRT-RTX has no layers before it is on the user's GPU.
        layers = [
            polygraphy(),
            "inspect",
            "model",
            str(job.plan),
            "--model-type",
            "engine",
            "--show",
            "layers",
            "attrs",
        ]
        listing = subprocess.run(layers, capture_output=True, text=True, check=False)
        plan.with_suffix(".layers.txt").write_text(listing.stdout + listing.stderr, encoding="utf-8")
    variables = [f"{name}={value}" for name, value in environment.items()]
    return {
        "command": shlex.join([*variables, *command]).replace(str(job.plan), str(plan)),
        "seconds": round(seconds, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }


def facts_of(model: onnx.ModelProto, path: Path) -> dict[str, Any]:
    """Return what the manifest records of the graph that the engine was built of."""
    opset = {"opset": model.opset_import[0].version, "ir_version": model.ir_version}
    return {"precision": precision(model), "onnx": identity(path) | opset, **interface(model)}


@contextlib.contextmanager
def timing_cache(folder: Path, backend: Mapping[str, Any]) -> Iterator[Path | None]:
    """Yield a copy of the timing cache of this TensorRT and GPU that replaces it if the build succeeds.

    TensorRT-RTX times nothing before it is on the user's GPU, and has none.
    """
    if not backend["gpu"] or backend["tensorrt"] == "rtx":
        yield None
        return
    cache = folder / f"timing.{backend['gpu']['name'].replace(' ', '-')}.cache"
    new = cache.with_name(f".{cache.name}")
    new.unlink(missing_ok=True)
    if cache.exists():
        new.write_bytes(cache.read_bytes())
    yield new
    if new.exists():
        new.replace(cache)


def explain(job: Job, plan: Path, environment: Mapping[str, str]) -> None:
    """Write what polygraphy says of the graph's operators, and its script that builds and compares the engine."""
    with tempfile.TemporaryDirectory() as folder:
        command = [polygraphy(), "inspect", "capability", str(job.onnx), "--output", folder]
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        # Which operators are not supported, where any is not.
        results = [path.read_text(encoding="utf-8") for path in Path(folder).glob("results.txt")]
    plan.with_suffix(".capability.txt").write_text(
        "".join([process.stdout, process.stderr, *results]), encoding="utf-8"
    )
    script = script_command(job, plan.with_suffix(".compare.py"))
    subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | environment)


def watched(command: Sequence[str], environment: Mapping[str, str], log_path: Path, lock: IO[str]) -> int:
    """Run a command with its output in a file and a clock in sight; return its exit code."""
    with log_path.open("w", encoding="utf-8") as report:
        # Whoever is killed: the place at the GPU is free when the build, too, has ended.
        process = subprocess.Popen(
            command, stdout=report, stderr=subprocess.STDOUT, env=os.environ | environment, pass_fds=[lock.fileno()]
        )
        try:
            for _ in progress(iter(lambda: waiting(process), False), desc=log_path.stem, unit="s", leave=False):
                pass
        finally:
            process.kill()
        return process.wait()


def waiting(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether a process still runs after a second."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    return process.poll() is None


if __name__ == "__main__":
    sys.exit(run(main))
