"""Compare a TensorRT engine with ONNX Runtime on the graph it was built of, over the lengths and batches it takes.

Example:
    .venv/bin/python py/check_trt_engine.py --onnx out/demo-tdt/onnx/joint.fp16.trt.onnx \
        --engine out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/joint.fp16.plan \
        --output out/demo-tdt/checks/trtexec-10.13.0.35-sm_86.joint.fp16.plan.check.json
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transducer.bfloat16 import runnable
from transducer.cli import CheckError, existing, parser, run, write_json
from transducer.onnx_files import load_graph, metadata
from transducer.parity import compare, fixed_sizes, open_session, session_runner
from transducer.tensorrt import exclusively
from transducer.trt_engine import EngineSession, cases, open_engine

# Largest error over the largest value, by what the graph computes in. The reference is the same graph, so what
# quantization itself costs is no part of it; roundings of int8 that fall the other way are.
BOUNDS = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2, "int8-qdq": 1e-1}


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--onnx", type=Path, required=True, help="the graph that the engine was built of")
    args.add_argument("--engine", type=Path, required=True, help="the .plan, its manifest beside it")
    args.add_argument("--max-relative", type=float, help="largest error that passes; else as the precision allows")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    existing(options.onnx, "run `make trt-engines`")
    manifest = json.loads(existing(options.engine.with_suffix(".json"), "run `make trt-engines`").read_text("utf-8"))
    bound = options.max_relative or BOUNDS[manifest["precision"]]
    with exclusively(options.engine.parent):
        found = compared(open_engine(options.engine), manifest, options.onnx)
    worst = max(found, key=lambda case: case["max_relative"])
    if not worst["max_relative"] <= bound:
        raise CheckError(
            f"{options.engine} differs from ONNX Runtime by {worst['max_relative']:.3g} of the largest value at "
            f"{worst['sizes']}; the bound for {manifest['precision']} is {bound:g}."
        )
    report = {key: manifest[key] for key in ("tensorrt", "version", "arch", "gpu", "plan_sha256", "precision")} | {
        "file": options.engine.name,
        "parity": {
            "against": f"ONNX Runtime, {options.onnx.name}",
            "bound_max_relative": bound,
            "max_relative": worst["max_relative"],
            "max_abs": max(case["max_abs"] for case in found),
            "cases": found,
        },
        "passed": True,
    }
    write_json(options.output, report)
    print(f"  {options.engine.name}: largest error {worst['max_relative']:.2g} of the largest value, bound {bound:g}")
    return 0


def compared(engine: EngineSession, manifest: dict[str, Any], onnx: Path) -> list[dict[str, Any]]:
    """Return the errors of an engine at each size, steps of a stream and their caches included."""
    graph = manifest["profile"]["graph"]
    with runnable(onnx) as path:
        reference = open_session(path)
    found = compare(
        graph,
        session_runner(reference),
        session_runner(engine),
        json.loads(metadata(load_graph(onnx))["dims"]),
        fixed_sizes(graph, reference),
        list(cases(manifest["profile"])),
    )
    return [asdict(case) for case in found]


if __name__ == "__main__":
    sys.exit(run(main))
