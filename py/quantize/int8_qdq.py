"""Quantize a graph's matrices to int8 with static ranges, as QuantizeLinear and DequantizeLinear around each MatMul.

Ranges of activations are found on real speech or swipes: what joint and rnnt_step are given is that of greedy
decoding. Masks, attention scores, norms and LSTMs stay fp32, convolutions too unless asked for.

Example:
    .venv/bin/python py/quantize/int8_qdq.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl \
        --output out/demo-tdt/onnx/encoder.int8-qdq.onnx
"""

import sys
from itertools import islice
from pathlib import Path

from transducer.core.cli import InputError, log, parser, run
from transducer.quantize.calibration import METHODS, activation_limits, observations
from transducer.quantize.exclusion import harmful
from transducer.quantize.inputs import calibration_arguments, calibration_inputs
from transducer.quantize.source import Source
from transducer.quantize.static_int8 import Static

# A product that int8 makes worse than this stays in fp32 while the budget lasts; a twentieth is what one scale for all
# rows costs well-behaved layers.
MAX_ERROR = 0.1


def main() -> int:
    args = parser(__doc__)
    calibration_arguments(args)
    args.add_argument("--method", choices=METHODS, default="Error")
    args.add_argument(
        "--max-fp-share", type=float, default=0.05, help="of the products' arithmetic that may stay in fp32"
    )
    args.add_argument("--convolutions", action="store_true", help="quantize convolutions too, and what they give")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    graph = Source(options.input, options.exclude)
    static = Static(graph, options.convolutions)
    importance = static.activations()
    if not importance:
        raise InputError(
            f"{options.input} has no matrix product to quantize with static ranges, which an LSTM cannot have; use "
            "its .fp16, or for ONNX Runtime its .int8."
        )
    limits = activation_limits(options.input, importance, calibration_inputs(options), options.method)
    sample = observations(options.input, list(limits), islice(calibration_inputs(options), 1))
    in_fp32 = harmful(graph, limits, sample, MAX_ERROR, options.max_fp_share)
    facts = {
        "method": "int8-qdq",
        "in_fp32": sorted(in_fp32),
        "exclude": options.exclude,
        "convolutions": options.convolutions,
        "calibration": f"{options.method} on {options.batches} batches of {options.batch_size}",
    }
    graph.write(static.quantized(limits, in_fp32), options.output, facts)
    log.info("%s: %d activations calibrated", options.output, len(limits))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
