"""Find the TensorRT of this machine: tool, version, GPU; written for Make and, beside it, as JSON.

Example:
    .venv/bin/python py/find_tensorrt.py --tell --output out/demo-tdt/trt/backend.mk

Make runs this whenever an engine is asked for, so it imports no more than it must, and an unchanged finding leaves the
file as it is. Finding nothing is no error here: TRT_MISSING then says what to do, and who needs an engine says so.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from transducer.cli import log, parser, replacing, run, write_json

OLDEST = (10, 12)
# In the order of preference; each with its module, where it is a Python package.
BACKENDS = {"trtexec": "", "polygraphy": "tensorrt", "rtx": "tensorrt_rtx"}
WAYS = (
    "put trtexec (TensorRT 10.12 or newer, from the tar or deb archive or container) on PATH, or install the Python "
    "package tensorrt in the environment of PYTHON, both on a machine with the GPU, or install TensorRT-RTX by "
    "`pip install --requirement requirements-rtx.txt`, which builds without a GPU"
)


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA would use; arch is sm_XY, cuda the newest version that the driver serves."""

    name: str
    arch: str
    driver: str
    cuda: str


class MissingError(Exception):
    """Why a backend cannot be used, as a clause."""


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--backend", choices=["", *BACKENDS], default="", help="one to use; else the first that is found")
    args.add_argument("--arch", default="", help="sm_XY that TensorRT-RTX builds for; else every GPU that it supports")
    args.add_argument("--trtexec", default="trtexec", help="the program, by name or path")
    args.add_argument("--tell", action="store_true", help="print what was found and what is missing")
    args.add_argument("--output", type=Path, required=True, help="variables for Make; .json goes beside it")
    options = args.parse_args()
    gpu = find_gpu()
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for backend in [options.backend] if options.backend and not options.tell else BACKENDS:
        try:
            found[backend] = find(backend, options.trtexec, gpu)
        except MissingError as why:
            missing[backend] = str(why)
        if found and not options.tell:
            break
    chosen = next((name for name in found if options.backend in ("", name)), "")
    arch = architecture(chosen, options.arch, gpu)
    complaint = ""
    if options.backend and not chosen:
        complaint = f"TRT_BACKEND={options.backend} cannot be used, because {missing[options.backend]}; {WAYS}."
    elif not chosen:
        complaint = f"There is no TensorRT here: {WAYS}."
    elif not re.fullmatch(r"sm_\d+|any", arch):
        complaint = arch
    facts = {"tensorrt": chosen, "version": found.get(chosen), "arch": arch, "gpu": asdict(gpu) if gpu else None}
    lines = {
        "TRT_ID": "" if complaint else f"{chosen}-{found[chosen]}-{arch}",
        "TRT_TOOL": chosen,
        "TRT_GPU": gpu.name if gpu else "",
        "TRT_MISSING": complaint,
    }
    write(options.output, "".join(f"{name} := {value}".rstrip() + "\n" for name, value in lines.items()))
    write_json(options.output.with_suffix(".json"), facts | {"trtexec": shutil.which(options.trtexec)})
    tell = print if options.tell else log.info
    told = {backend: f"missing: {why}" for backend, why in missing.items()}
    for backend in BACKENDS:
        tell(f"  {backend:11}{found.get(backend) or told.get(backend, 'not looked for')}")
    tell(f"  {'GPU':11}{f'{gpu.name}, {gpu.arch}, driver {gpu.driver}, CUDA {gpu.cuda}' if gpu else 'none found'}")
    tell(f"  {'engines in':11}{lines['TRT_ID'] or complaint}")
    return 0


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
        raise MissingError(f"TensorRT {version} builds on a GPU only, and nvidia-smi finds none")
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
        raise MissingError(f"{path} does not tell its version")
    return ".".join(str(int(part)) for part in banner.groups())


def find_gpu() -> Gpu | None:
    """Return the first GPU of CUDA_VISIBLE_DEVICES, else of all, as nvidia-smi knows it."""
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


def architecture(backend: str, wanted: str, gpu: Gpu | None) -> str:
    """Return what engines are built for, sm_XY or any; or a sentence on why that cannot be."""
    if backend == "rtx":
        if wanted and not re.fullmatch(r"sm_\d+", wanted):
            return f"TRT_ARCH={wanted} is no architecture; give sm_ and its number, such as sm_89."
        return wanted or "any"
    if gpu and wanted not in ("", gpu.arch):
        return f"TRT_ARCH={wanted} is not that of this GPU, {gpu.arch}; build on such a GPU, or with TRT_BACKEND=rtx."
    return gpu.arch if gpu else ""


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def write(path: Path, text: str) -> None:
    """Write a file unless it has that content: Make starts again when it changes."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with replacing(path) as tmp:
            tmp.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
