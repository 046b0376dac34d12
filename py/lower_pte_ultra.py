"""Lower an encoder to the smallest ExecuTorch file whose error stays within a bound, layer by layer int8 or int4.

Example:
    .venv/bin/python py/lower_pte_ultra.py --checkpoint out/demo-swipe/checkpoint \
        --manifest models/swipe-validation/manifest.jsonl.gz --output out/demo-swipe/pte/encoder.ultra.pte

Each layer's error in int4 is measured alone, on calibration data. Layers go to int4 in order of what that costs a byte
saved, as many as keep the error of all together within --max-relative-rms; the others are int8.
"""

import sys

from tqdm import tqdm

from transducer.cli import CheckError, log, run
from transducer.lowering import DYNAMIC, lowering_parser, part_of
from transducer.pte_quantization import (
    INT4,
    INT8,
    INT8_STATIC,
    Sensitivity,
    calibration_utterances,
    linear_layers,
    quantization_arguments,
    write_quantized,
)

# Utterances that sensitivity is measured on, evenly chosen from those of calibration.
MEASURED = 24


def main() -> int:
    args = lowering_parser(__doc__)
    quantization_arguments(args)
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="error of the encoder's output that passes")
    options = args.parse_args()
    part = part_of(options)
    utterances = calibration_utterances(options)
    sensitivity = Sensitivity(part.module, utterances[:: max(1, len(utterances) // MEASURED)])
    layers = linear_layers(part.module, options.exclude)
    wholes = {way: sensitivity.error(dict.fromkeys(layers, way)) for way in (INT8_STATIC, INT8, INT4)}
    log.info("error with all layers in one way: %s", {way: round(error, 4) for way, error in wholes.items()})
    if wholes[INT8] > options.max_relative_rms:
        raise CheckError(
            f"{options.output.name}: with every layer in int8 the output is {wholes[INT8]:.2%} off, and "
            f"PTE_ULTRA_MAX_RMS allows {options.max_relative_rms:.2%}; exclude layers or raise the bound."
        )
    costs = {
        name: sensitivity.error({name: INT4}) ** 2 / layer.weight.numel()
        for name, layer in tqdm(layers.items(), desc="sensitivity", unit="layer", delay=5, leave=False)
    }
    order = sorted(costs, key=lambda name: costs[name])
    low, high = 0, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sensitivity.error(plan_of(order, middle)) <= options.max_relative_rms
        low, high = (middle, high) if fits else (low, middle - 1)
    plan = plan_of(order, low)
    found = {"int4_layers": low, "expected_relative_rms": round(sensitivity.error(plan), 5), "whole": wholes}
    log.info("%d of %d layers in int4, expected error %.4f", low, len(order), found["expected_relative_rms"])
    write_quantized(part, plan, [(part.inputs[0], part.inputs[1])], DYNAMIC, options, found)
    return 0


def plan_of(order: list[str], count: int) -> dict[str, str]:
    """Return the plan with the first `count` layers in int4 and the others in int8."""
    return {name: INT4 if place < count else INT8 for place, name in enumerate(order)}


if __name__ == "__main__":
    sys.exit(run(main))
