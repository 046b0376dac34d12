"""Compare a TensorRT engine with ONNX Runtime on the graph it was built of, over the lengths and batches it takes.

Example:
    .venv/bin/python py/trt/check.py --onnx out/demo-tdt/onnx/joint.fp16.trt.onnx \
        --engine out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/joint.fp16.plan \
        --output out/demo-tdt/checks/trtexec-10.13.0.35-sm_86.joint.fp16.plan.check.json
"""

import sys
from pathlib import Path
from typing import Any

from transducer.core.cases import largest_errors
from transducer.core.checks import Check
from transducer.core.cli import existing, parser, run
from transducer.core.onnx_files import load_graph, metadata
from transducer.runtime.bf16 import runnable
from transducer.runtime.sessions import open_session
from transducer.runtime.trt import engine_runner, read_manifest
from transducer.runtime.trt_backend import exclusively
from transducer.trt.parity import TOLERANCES, compared


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--onnx", type=Path, required=True, help="the graph that the engine was built of")
    args.add_argument("--engine", type=Path, required=True, help="the .plan, its manifest beside it")
    args.add_argument("--max-relative", type=float, help="largest error that passes; else as the precision allows")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    existing(options.onnx, "run `make trt-engines`")
    manifest = read_manifest(options.engine)
    bound = options.max_relative or TOLERANCES[manifest["precision"]]
    with exclusively(options.engine.parent):
        check = checked(engine_runner(options.engine), options.onnx, manifest, bound)
    check.write(options.output)
    print(f"  {options.engine.name}: largest error {check.figures['max_relative']:.2g}, bound {bound:g}")
    return 0


def checked(engine: Any, onnx: Path, manifest: dict[str, Any], bound: float) -> Check:
    """Return the check of an engine, passed; `engine` is polygraphy's runner of it. Raises: CheckError."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    with runnable(onnx) as path:
        reference = OnnxrtRunner(open_session(path), name="ONNX Runtime")
    cases = compared(reference, engine, manifest["profile"], metadata(load_graph(onnx)), bound)
    check = Check(
        file=manifest["plan"],
        sha256=manifest["plan_sha256"],
        sidecars={},
        against=f"ONNX Runtime, {onnx.name}",
        cases=cases,
        figures=largest_errors(cases),
        bounds={"max_relative": bound},
        facts={key: manifest[key] for key in ("tensorrt", "version", "arch", "gpu", "precision")},
    )
    worst = max(cases, key=lambda case: case.max_relative)
    sentence = (
        f"{manifest['plan']} of {manifest['tensorrt']} {manifest['version']} differs from ONNX Runtime by {{figure}} "
        f"of an output's largest value at {dict(worst.sizes)}; the bound for {manifest['precision']} is {{bound}}."
    )
    return check.judged(manifest["plan"], sentences={"max_relative": sentence})


if __name__ == "__main__":
    sys.exit(run(main))
