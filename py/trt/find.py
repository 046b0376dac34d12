"""Find the TensorRT of this machine: tool, version, GPU; written for Make and, beside it, as JSON.

Example:
    .venv/bin/python py/trt/find.py --tell --output out/demo-tdt/trt/backend.mk

Make runs this whenever an engine is asked for, so it imports no more than it must, and an unchanged finding leaves the
file as it is. Finding nothing is not an error here: TRT_MISSING then says what to do, and who needs an engine says so.
"""

import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from transducer.core.cli import log, parser, replacing, run, write_json
from transducer.runtime.trt_backend import BACKENDS, MissingError, architecture, find, find_gpu

WAYS = (
    "put trtexec (TensorRT 10.12 or newer, from the tar or deb archive or container) on PATH, or install the Python "
    "package tensorrt in the environment of PYTHON, both on a machine with the GPU, or install TensorRT-RTX by "
    "`pip install --requirement requirements-rtx.txt`, which builds without a GPU"
)


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--backend", choices=["", *BACKENDS], default="", help="one to use; else the first that is found")
    args.add_argument("--arch", default="", help="sm_XY that TensorRT-RTX builds for; else every GPU that it supports")
    args.add_argument("--trtexec", default="trtexec", help="the program, by name or path")
    args.add_argument("--tell", action="store_true", help="print what was found and what is missing")
    args.add_argument("--output", type=Path, required=True, help="variables for Make; .json goes beside it")
    options = args.parse_args()
    gpu = find_gpu()
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for backend in [options.backend] if options.backend and not options.tell else BACKENDS:
        try:
            versions[backend] = find(backend, options.trtexec, gpu)
        except MissingError as why:
            missing[backend] = str(why)
        if versions and not options.tell:
            break
    backend_name = next((name for name in versions if options.backend in ("", name)), "")
    arch = architecture(backend_name, options.arch, gpu)
    complaint = ""
    if options.backend and not backend_name:
        complaint = f"TRT_BACKEND={options.backend} cannot be used, because {missing[options.backend]}; {WAYS}."
    elif not backend_name:
        complaint = f"TensorRT is missing here: {WAYS}."
    elif not re.fullmatch(r"sm_\d+|any", arch):
        complaint = arch
    facts = {
        "tensorrt": backend_name,
        "version": versions.get(backend_name),
        "arch": arch,
        "gpu": asdict(gpu) if gpu else None,
    }
    lines = {
        "TRT_ID": "" if complaint else f"{backend_name}-{versions[backend_name]}-{arch}",
        "TRT_TOOL": backend_name,
        "TRT_GPU": gpu.name if gpu else "",
        "TRT_MISSING": complaint,
    }
    write(options.output, "".join(f"{name} := {value}".rstrip() + "\n" for name, value in lines.items()))
    write_json(options.output.with_suffix(".json"), facts | {"trtexec": shutil.which(options.trtexec)})
    tell = print if options.tell else log.info
    report = {backend: f"missing: {why}" for backend, why in missing.items()}
    for backend in BACKENDS:
        tell(f"  {backend:11}{versions.get(backend) or report.get(backend, 'not looked for')}")
    tell(f"  {'GPU':11}{f'{gpu.name}, {gpu.arch}, driver {gpu.driver}, CUDA {gpu.cuda}' if gpu else 'none found'}")
    tell(f"  {'engines in':11}{lines['TRT_ID'] or complaint}")
    return 0


def write(path: Path, text: str) -> None:
    """Write a file unless it has that content: Make starts again when it changes."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with replacing(path) as tmp:
            tmp.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
