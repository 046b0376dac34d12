"""Quantize an encoder by the recipe in common use, to measure against: every operator, uint8, dynamic ranges.

Example:
    .venv/bin/python py/bench/quantize_common.py --input out/demo-tdt/bench/nemo.onnx \
        --output out/demo-tdt/bench/common.onnx
"""

import sys
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from transducer.core.cli import existing, parser, replacing, run


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True)
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    with replacing(options.output) as tmp:
        quantize_dynamic(existing(options.input, "export it first"), tmp, weight_type=QuantType.QUInt8)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
