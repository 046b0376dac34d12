"""Detect a machine's TensorRT and GPU, and take turns at the GPU.

Example:
    version = find("trtexec", "trtexec", find_gpu())

Make runs this at every start, so it imports as little as possible.
"""

import contextlib
import fcntl
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from transducer.core.cli import InputError

OLDEST = (10, 12)
# In order of preference, each with its Python module, if it has one.
BACKENDS = {"trtexec": "", "polygraphy": "tensorrt", "rtx": "tensorrt_rtx"}


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA would use; arch is sm_XY, cuda the newest version that the driver supports."""

    name: str
    arch: str
    driver: str
    cuda: str


class MissingError(Exception):
    """A backend cannot be used; the message is a clause that says why."""


def find(backend: str, trtexec: str, gpu: Gpu | None) -> str:
    """Return a backend's version. Raises: MissingError."""
    if backend == "trtexec":
        version = trtexec_version(trtexec)
    else:
        try:
            version = str(importlib.import_module(BACKENDS[backend]).__version__)
        except ImportError as error:
            raise MissingError(f"the Python package {BACKENDS[backend]} cannot be imported ({error})") from None
    if backend == "rtx":
        return version
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise MissingError(f"TensorRT {version} is older than {'.'.join(map(str, OLDEST))}")
    if gpu is None:
        raise MissingError(f"TensorRT {version} builds only on a GPU, and nvidia-smi finds none")
    return version


def trtexec_version(trtexec: str) -> str:
    """Return major.minor.patch.build, which trtexec prints before its help. Raises: MissingError."""
    path = shutil.which(trtexec)
    if path is None:
        raise MissingError(f"{trtexec} is not on PATH (TRTEXEC= says where it is)")
    output = _output(path, "--help")
    # Five digits at least: two each for minor and patch.
    banner = re.search(r"\[TensorRT v(\d+)(\d\d)(\d\d)\] \[b(\d+)\]", output)
    if banner is None:
        raise MissingError(f"{path} does not print its version")
    return ".".join(str(int(part)) for part in banner.groups())


def find_gpu() -> Gpu | None:
    """Return the first GPU of CUDA_VISIBLE_DEVICES, else of all, as nvidia-smi reports it."""
    if shutil.which("nvidia-smi") is None:
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"
    line = _output(
        "nvidia-smi", f"--id={first}", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"
    )
    fields = [field.strip() for field in line.splitlines()[0].split(",")] if line.strip() else []
    if len(fields) != 3 or not re.fullmatch(r"\d+\.\d+", fields[1]):
        return None
    cuda = re.search(r"CUDA (?:\w+ )?Version: *([\d.]+)", _output("nvidia-smi"))
    return Gpu(fields[0], "sm_" + fields[1].replace(".", ""), fields[2], cuda[1] if cuda else "unknown")


def architecture(backend: str, request: str, gpu: Gpu | None) -> str:
    """Return the architecture that engines are built for (sm_XY or any), or a sentence that says why there is none."""
    if backend == "rtx":
        if request and not re.fullmatch(r"sm_\d+", request):
            return f"TRT_ARCH={request} is not an architecture; give sm_ and its number, such as sm_89."
        return request or "any"
    if gpu and request not in ("", gpu.arch):
        return f"TRT_ARCH={request} is not that of this GPU, {gpu.arch}; build on such a GPU, or with TRT_BACKEND=rtx."
    return gpu.arch if gpu else ""


def _output(*command: str) -> str:
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return process.stdout + process.stderr


def require_loadable(manifest: Mapping[str, Any], backend: Mapping[str, Any], plan: Path) -> None:
    """Refuse to load a plan with another TensorRT or on another GPU than it was built for. Raises: InputError."""
    built, present = ([facts[key] for key in ("tensorrt", "version", "arch")] for facts in (manifest, backend))
    if built != present:
        raise InputError(
            f"{plan} was built by {built[0]} {built[1]} for {built[2]}, but this machine has {present[0]} "
            f"{present[1]} and {present[2]}; plans do not move between them, so build it here with `make trt-engines`."
        )


@contextlib.contextmanager
def exclusively(folder: Path) -> Iterator[IO[str]]:
    """Hold the GPU's lock while the block runs; processes that inherit the yielded file keep it, even orphaned."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
