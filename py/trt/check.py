"""Compare a TensorRT engine with ONNX Runtime on the graph it was built of, over the lengths and batches it takes.

Example:
    .venv/bin/python py/trt/check.py --onnx out/demo-tdt/onnx/joint.fp16.trt.onnx \
        --engine out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/joint.fp16.plan \
        --output out/demo-tdt/checks/trtexec-10.13.0.35-sm_86.joint.fp16.plan.check.json
"""

import sys
from pathlib import Path
from typing import Any

from transducer.core.cli import CheckError, existing, parser, run, write_json
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
        report = checked(engine_runner(options.engine), options.onnx, manifest, bound)
    write_json(options.output, report)
    print(f"  {options.engine.name}: largest error {report['parity']['max_relative']:.2g}, bound {bound:g}")
    return 0


def checked(engine: Any, onnx: Path, manifest: dict[str, Any], bound: float) -> dict[str, Any]:
    """Return the report of an engine's parity; `engine` is polygraphy's runner of it. Raises: CheckError."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    with runnable(onnx) as path:
        reference = OnnxrtRunner(open_session(path), name="ONNX Runtime")
    found = compared(reference, engine, manifest["profile"], metadata(load_graph(onnx)), bound)
    worst = max(found, key=lambda case: case["max_relative"])
    if not all(case["passed"] for case in found):
        raise CheckError(
            f"{manifest['plan']} of {manifest['tensorrt']} {manifest['version']} differs from ONNX Runtime by "
            f"{worst['max_relative']:.3g} of an output's largest value at {worst['sizes']}; the bound for "
            f"{manifest['precision']} is {bound:g}."
        )
    return {key: manifest[key] for key in ("tensorrt", "version", "arch", "gpu", "plan_sha256", "precision")} | {
        "file": manifest["plan"],
        "parity": {
            "against": f"ONNX Runtime, {onnx.name}",
            "bound_max_relative": bound,
            "max_relative": worst["max_relative"],
            "max_abs": max(case["max_abs"] for case in found),
            "cases": found,
        },
        "passed": True,
    }


if __name__ == "__main__":
    sys.exit(run(main))
