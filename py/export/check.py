"""Check an ONNX graph against the PyTorch module it was exported from, and record figures and bounds.

Example:
    .venv/bin/python py/export/check.py --graph joint --onnx out/demo-tdt/onnx/joint.onnx \
        --checkpoint out/demo-tdt/checkpoint --output out/demo-tdt/checks/joint.onnx.check.json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cases import bound_of
from transducer.core.checks import Check
from transducer.core.cli import CheckError, existing, parser, run
from transducer.core.contracts import GRAPHS, graph_of, input_names
from transducer.core.onnx_files import interface, load_graph
from transducer.export.reference import reference
from transducer.export.streaming import Streaming
from transducer.runtime.parity import compare
from transducer.runtime.sessions import fixed_sizes, open_session, session_runner


def main() -> int:
    options = parse_args()
    path: Path = existing(options.onnx, "export the graph first")
    require_valid(path)
    session = open_session(path)
    props = session.get_modelmeta().custom_metadata_map
    streaming = Streaming.from_facts(json.loads(props["streaming"])) if "streaming" in props else None
    dims = json.loads(props["dims"])
    contract = graph_of(options.graph, dims)
    cases = compare(
        options.graph,
        reference(options.graph, Checkpoint(options.checkpoint), options.device, streaming),
        session_runner(session),
        dims,
        fixed_sizes(options.graph, session),
    )
    facts = facts_of(load_graph(path))
    bounds = {"max_abs": bound_of(cases, options.max_abs)}
    check = Check.of(path, "PyTorch", cases=cases, bounds=bounds, facts=facts).judged(str(path))
    require_inputs(path, [value["name"] for value in facts["inputs"]], input_names(contract, "swipe" in props))
    check.write(options.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--onnx", type=Path, required=True)
    args.add_argument("--checkpoint", type=Path, required=True)
    args.add_argument("--device", default="cpu", help="where PyTorch runs: cpu or cuda")
    args.add_argument(
        "--max-abs", type=float, default=1e-4, help="largest absolute error that passes, for small values"
    )
    args.add_argument("--output", type=Path, required=True)
    return args.parse_args()


def require_valid(path: Path) -> None:
    """Raise CheckError unless onnx.checker takes the graph."""
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        raise CheckError(f"{path} is not valid ONNX: {str(error).splitlines()[0]}") from None


def require_inputs(path: Path, names: Sequence[str], contract: Sequence[str]) -> None:
    """Raise CheckError unless a graph has the inputs of its contract, in order."""
    if list(names) != list(contract):
        raise CheckError(
            f"{path} has the inputs {', '.join(names)} where {', '.join(contract)} belong; export it again."
        )


def facts_of(model: onnx.ModelProto) -> dict[str, Any]:
    """Return what the check records of a graph that passed onnx.checker."""
    opset, nodes = model.opset_import[0].version, len(model.graph.node)
    return {"checker": "valid", "ir_version": model.ir_version, "opset": opset, "nodes": nodes, **interface(model)}


if __name__ == "__main__":
    sys.exit(run(main))
