"""Simplify a traced graph with onnxsim, keeping the traced form if the results differ.

Example:
    .venv/bin/python py/export/simplify.py --graph joint --input out/demo-tdt/onnx/joint.raw.onnx \
        --output out/demo-tdt/onnx/joint.onnx
"""

import sys
from pathlib import Path

import onnx
import onnxsim

from transducer.core.cli import existing, log, parser, replacing, run
from transducer.core.contracts import GRAPHS
from transducer.core.onnx_files import external_as_inputs, inputs_as_external, load_graph, save_graph
from transducer.runtime.parity import compare_files

# Turns MatMul and Add of three axes into Reshape, Gemm, Reshape, which no runtime is faster with.
UNWANTED = ["fuse_matmul_add_bias_into_gemm_batched"]
# A wrong structure shows at any size; check_graph.py compares long inputs, with PyTorch.
SHORT = {"encoder": [{"B": 1, "T": 9}, {"B": 3, "T": 160}]}


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--input", type=Path, required=True)
    args.add_argument("--output", type=Path, required=True)
    args.add_argument("--max-abs", type=float, default=1e-5, help="largest difference that onnxsim may make")
    options = args.parse_args()
    raw = load_graph(existing(options.input, "export the graph first"))
    simple = simplified(raw)
    with replacing(options.output) as tmp:
        save_graph(simple, tmp)
        worst = max(
            case.max_abs for case in compare_files(options.graph, options.input, tmp, SHORT.get(options.graph, ()))
        )
        if worst > options.max_abs:
            log.warning("onnxsim changes %s by %.2g: the traced graph is kept.", options.output, worst)
            save_graph(raw, tmp)
    log.info(
        "%s: %d nodes from %d, difference %.1e", options.output, len(simple.graph.node), len(raw.graph.node), worst
    )
    return 0


def simplified(raw: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with constants folded and no-ops removed; weights in a sidecar stay where they are."""
    model = onnx.ModelProto()
    model.CopyFrom(raw)
    external = external_as_inputs(model)
    model, _ = onnxsim.simplify(model, skipped_optimizers=UNWANTED, certify=False)
    inputs_as_external(model, external)
    # Shapes inferred for one tool mislead the next, and onnxsim's own notes are not the model's facts.
    del model.graph.value_info[:], model.metadata_props[:]
    model.metadata_props.extend(raw.metadata_props)
    return model


if __name__ == "__main__":
    sys.exit(run(main))
