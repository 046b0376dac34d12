"""Measure how much an encoder minds its layers in integers, of one part of them, for lower_ultra.py to choose by.

Example:
    .venv/bin/python py/pte/measure_shard.py --checkpoint out/demo-swipe/checkpoint --shard 3/16 \
        --manifest models/swipe-validation/manifest.jsonl.gz --output out/demo-swipe/shards/ultra.3-of-16.json
"""

import sys

from transducer.core.cli import run
from transducer.core.shards import Shard
from transducer.pte.parts import load_requested, lowering_parser
from transducer.pte.quantization import calibration_utterances, linear_layers, quantization_arguments
from transducer.pte.sensitivity import Sensitivity, errors_alone, measured_on


def main() -> int:
    args = lowering_parser(__doc__, output="what was measured, JSON")
    quantization_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    options = args.parse_args()
    part = load_requested(options)
    layers = linear_layers(part.module, options.exclude)
    names = options.shard.take(list(layers), options.checkpoint)
    sensitivity = Sensitivity(part.module, layers, measured_on(calibration_utterances(options)))
    options.shard.write(options.output, errors_alone(sensitivity, names), len(layers))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
