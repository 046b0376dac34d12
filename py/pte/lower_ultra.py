"""Lower an encoder to the smallest ExecuTorch file whose error stays within a bound, choosing a form for each layer.

Example:
    .venv/bin/python py/pte/lower_ultra.py --checkpoint out/demo-swipe/checkpoint \
        --manifest models/swipe-validation/manifest.jsonl.gz --output out/demo-swipe/pte/encoder.ultra.pte

Each layer's error alone is measured in each form that XNNPACK computes: int8 or int4, by channels or blocks, with
static or dynamic activations. The choice is that of the fewest bytes for the error of all layers together.
"""

import sys
from pathlib import Path

from transducer.core.cli import CheckError, log, run
from transducer.core.shards import read_shards
from transducer.pte.forms import FORMS
from transducer.pte.parts import load_requested, lowering_parser
from transducer.pte.quantization import (
    calibration_utterances,
    linear_layers,
    quantization_arguments,
    write_quantized,
)
from transducer.pte.sensitivity import Sensitivity, errors_alone, measured_on, smallest


def main() -> int:
    args = lowering_parser(__doc__)
    quantization_arguments(args)
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="error of the encoder's output that passes")
    args.add_argument("--measured", type=Path, nargs="+", help="all parts of what measure_shard.py measured")
    options = args.parse_args()
    part = load_requested(options)
    utterances = calibration_utterances(options)
    layers = linear_layers(part.module, options.exclude)
    sensitivity = Sensitivity(part.module, layers, measured_on(utterances))
    wholes = {
        form: round(sensitivity.error(dict.fromkeys(layers, form)), 5)
        for form in FORMS
        if all(FORMS[form].fits(layer) for layer in layers.values())
    }
    log.info("error with all layers in one form: %s", wholes)
    errors = read_shards(options.measured, len(layers)) if options.measured else errors_alone(sensitivity, list(layers))
    plan, error = smallest(sensitivity, errors, options.max_relative_rms)
    if error > options.max_relative_rms:
        raise CheckError(
            f"{options.output.name}: with every layer in the form that it minds least the output is {error:.2%} off, "
            f"and PTE_ULTRA_MAX_RMS allows {options.max_relative_rms:.2%}; exclude layers or raise the bound."
        )
    facts = {"expected_relative_rms": round(error, 5), "whole": wholes}
    write_quantized(part, plan, utterances, options, facts)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
