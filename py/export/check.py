"""Check an ONNX graph against the PyTorch module it was exported from, and record what was seen.

Example:
    .venv/bin/python py/export/check.py --graph joint --onnx out/demo-tdt/onnx/joint.onnx \
        --checkpoint out/demo-tdt/checkpoint --output out/demo-tdt/checks/joint.onnx.check.json
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import onnx

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.checks import identity
from transducer.core.cli import CheckError, existing, parser, run, write_json
from transducer.core.contracts import GRAPHS, input_names
from transducer.core.onnx_files import interface, load_graph
from transducer.export.reference import reference
from transducer.export.streaming import Streaming
from transducer.runtime.parity import compare
from transducer.runtime.sessions import fixed_sizes, open_session, session_runner


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--onnx", type=Path, required=True)
    args.add_argument("--checkpoint", type=Path, required=True)
    args.add_argument("--device", default="cpu", help="where PyTorch runs: cpu or cuda")
    args.add_argument("--max-abs", type=float, default=1e-4, help="largest absolute error that passes")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    path: Path = existing(options.onnx, "export the graph first")
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        raise CheckError(f"{path} is not valid ONNX: {str(error).splitlines()[0]}") from None
    checkpoint = Checkpoint(options.checkpoint)
    session = open_session(path)
    candidate = session_runner(session)
    facts = session.get_modelmeta().custom_metadata_map
    streaming = Streaming.from_facts(json.loads(facts["streaming"])) if "streaming" in facts else None
    cases = compare(
        options.graph,
        reference(options.graph, checkpoint, options.device, streaming),
        candidate,
        json.loads(facts["dims"]),
        fixed_sizes(options.graph, session),
    )
    worst = max(cases, key=lambda case: case.max_abs)
    if not worst.max_abs <= options.max_abs:
        raise CheckError(
            f"{path} differs from PyTorch by {worst.max_abs:.3g} at {dict(worst.sizes)}; "
            f"the bound is {options.max_abs:g}."
        )
    model = load_graph(path)
    names, wanted = [value.name for value in session.get_inputs()], input_names(options.graph, "swipe" in facts)
    if names != wanted:
        raise CheckError(f"{path} has the inputs {', '.join(names)} where {', '.join(wanted)} belong; export it again.")
    write_json(
        options.output,
        {
            **identity(path),
            "checker": "valid",
            "ir_version": model.ir_version,
            "opset": model.opset_import[0].version,
            "nodes": len(model.graph.node),
            **interface(model),
            "parity": {
                "against": "PyTorch",
                "bound_max_abs": options.max_abs,
                "max_abs": worst.max_abs,
                "max_relative": max(case.max_relative for case in cases),
                "cases": [asdict(case) for case in cases],
            },
            "passed": True,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
