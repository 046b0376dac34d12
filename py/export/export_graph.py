"""Export one graph of a checkpoint to ONNX as traced, to be simplified next.

Example:
    .venv/bin/python py/export/export_graph.py --graph joint --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/onnx/joint.raw.onnx
"""

import sys

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import run
from transducer.core.contracts import GRAPHS
from transducer.export.trace import export_graph, export_parser


def main() -> int:
    args = export_parser(__doc__)
    args.add_argument("--graph", choices=sorted(set(GRAPHS) - {"encoder_streaming"}), required=True)
    options = args.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    export_graph(options.graph, checkpoint, options.output, options.opset, options.fixed, options.device)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
