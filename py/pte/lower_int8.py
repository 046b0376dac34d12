"""Lower an encoder to ExecuTorch with static int8 linear layers, computed by XNNPACK.

Example:
    .venv/bin/python py/pte/lower_int8.py --checkpoint out/demo-swipe/checkpoint \
        --manifest models/swipe-validation/manifest.jsonl.gz --output out/demo-swipe/pte/encoder.int8.pte

Weights are symmetric with a scale for each output channel; the ranges of activations come from the manifest. With
--activations dynamic they are measured at each call, and nothing is calibrated.
"""

import sys

from transducer.core.cli import run
from transducer.pte.forms import INT8, INT8_STATIC
from transducer.pte.parts import load_requested, lowering_parser
from transducer.pte.quantization import (
    calibration_utterances,
    linear_layers,
    quantization_arguments,
    write_quantized,
)


def main() -> int:
    args = lowering_parser(__doc__)
    quantization_arguments(args)
    args.add_argument("--activations", choices=("static", "dynamic"), default="static")
    options = args.parse_args()
    part = load_requested(options)
    static = options.activations == "static"
    utterances = calibration_utterances(options) if static else [(part.inputs[0], part.inputs[1])]
    plan = dict.fromkeys(linear_layers(part.module, options.exclude), INT8_STATIC if static else INT8)
    write_quantized(part, plan, utterances, options)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
