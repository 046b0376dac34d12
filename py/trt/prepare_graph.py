"""Fold what polygraphy can fold of a graph without harm, refuse what TensorRT cannot take, and check the result.

Example:
    .venv/bin/python py/trt/prepare_graph.py --graph joint --input out/demo-tdt/onnx/joint.fp16.onnx \
        --check out/demo-tdt/checks/joint.fp16.trt.onnx.check.json --output out/demo-tdt/onnx/joint.fp16.trt.onnx

It does what `polygraphy surgeon sanitize --fold-constants --no-fold-shapes --no-shape-inference` does. Any other mode
breaks the encoders of NeMo without a word: folded shapes are those of one input. Weights in a sidecar stay there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx_graphsurgeon.logger import G_LOGGER as SURGEON_LOGGER
from polygraphy.backend.onnx import fold_constants
from polygraphy.logger import G_LOGGER

from transducer.core.checks import Check
from transducer.core.cli import CheckError, existing, log, parser, replacing, run
from transducer.core.contracts import GRAPHS
from transducer.core.onnx_files import (
    external_as_inputs,
    inputs_as_external,
    interface,
    load_graph,
    save_graph,
)
from transducer.runtime.bf16 import runnable
from transducer.runtime.parity import compare_files
from transducer.trt.commands import polygraphy
from transducer.trt.graph import precision, require_supported

# A wrong structure shows at any size; long inputs are for the engine's own check.
SHORT = {"encoder": [{"B": b, "T": t} for b in (1, 3) for t in (9, 160)]}


def main() -> int:
    options = parse_args()
    source = load_graph(existing(options.input, f"run `make {options.input.name}` first"))
    require_supported(source, options.input)
    model = folded(source)
    with replacing(options.output) as tmp:
        save_graph(model, tmp)
        require_valid(tmp, options.output)
        with runnable(options.input) as before, runnable(tmp) as after:
            cases = compare_files(options.graph, before, after, SHORT.get(options.graph, ()))
        facts = facts_of(model, source)
        check = Check.of(tmp, options.input.name, cases=cases, bounds={"max_abs": options.max_abs}, facts=facts)
        check = replace(check.judged(str(options.output)), file=options.output.name)
        replace(check, facts=facts | {"lint": linted(tmp)}).write(options.check)
    log.info("%s: %d nodes from %d", options.output, facts["nodes"], facts["nodes_before"])
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--input", type=Path, required=True)
    args.add_argument("--check", type=Path, required=True, help="where to record checker, parity and lint")
    args.add_argument("--max-abs", type=float, default=1e-5, help="largest difference that folding may make")
    args.add_argument("--output", type=Path, required=True)
    return args.parse_args()


def require_valid(path: Path, output: Path) -> None:
    """Raise CheckError, which names the output, unless onnx.checker takes the graph with its shapes."""
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CheckError(f"{output} is not valid ONNX: {str(error).splitlines()[0]}") from None


def facts_of(model: onnx.ModelProto, source: onnx.ModelProto) -> dict[str, Any]:
    """Return what the check records of a graph that passed onnx.checker, and of the graph that it was made from."""
    return {
        "checker": "valid",
        "precision": precision(model),
        "ir_version": model.ir_version,
        "opset": model.opset_import[0].version,
        "nodes": len(model.graph.node),
        "nodes_before": len(source.graph.node),
        **interface(model),
    }


def folded(source: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with its constants folded, shapes excepted; weights in a sidecar are left alone."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    external = external_as_inputs(model)
    # It warns of bf16, which NumPy lacks and which it hands through.
    SURGEON_LOGGER.severity = SURGEON_LOGGER.ERROR
    with G_LOGGER.verbosity(G_LOGGER.ERROR):
        model = fold_constants(model, fold_shapes=False, do_shape_inference=False, error_ok=False)
    inputs_as_external(model, external)
    model.ir_version = source.ir_version
    del model.graph.value_info[:], model.metadata_props[:], model.opset_import[:]
    model.metadata_props.extend(source.metadata_props)
    model.opset_import.extend(source.opset_import)
    return model


def linted(path: Path) -> dict[str, Any]:
    """Return what `polygraphy check lint` finds: how many nodes pass, and everything that it says of others."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "lint.json")
        command = [polygraphy(), "check", "lint", str(path), "--output", str(report)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.exists():
            return {"error": (process.stdout + process.stderr).strip().splitlines()[-1:]}
        findings = json.loads(report.read_text(encoding="utf-8"))
    # The order of sets is another at every run.
    return {
        "passing": len(findings["summary"]["passing"]),
        "failing": sorted(findings["summary"]["failing"]),
        "entries": sorted(findings["lint_entries"], key=str),
    }


if __name__ == "__main__":
    sys.exit(run(main))
