"""Quantize a graph to int8 for CPUs: per-channel weights, dynamic activations.

Matrices become MatMulInteger, LSTMs DynamicQuantizeLSTM, embeddings int8 rows. All other arithmetic stays fp32:
convolutions too, for which runtimes have no fast int8 kernel; export has written the pointwise ones as matrices.

Example:
    .venv/bin/python py/quantize/int8.py --input out/demo-tdt/onnx/encoder.equalized.onnx \
        --output out/demo-tdt/onnx/encoder.int8.onnx
"""

import sys
from pathlib import Path

from transducer.core.cli import log, parser, run
from transducer.quantize.dynamic_int8 import Dynamic
from transducer.quantize.source import Source


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument(
        "--reduce-range",
        action="store_true",
        help="weights of 7 bits, for browsers, whose dot products may overflow on any CPU",
    )
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    graph = Source(options.input, options.exclude)
    quantizer = Dynamic(graph, options.reduce_range)
    nodes = [new for node in graph.nodes for new in quantizer.quantized(node)]
    facts = {"method": "int8", "exclude": options.exclude, "reduce_range": options.reduce_range}
    graph.write(nodes, options.output, facts)
    log.info("%s: %d nodes quantized", options.output, quantizer.count)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
