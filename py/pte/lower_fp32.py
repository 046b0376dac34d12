"""Lower a graph to ExecuTorch in fp32 with nothing delegated: what the other files' accuracy is measured against.

Example:
    .venv/bin/python py/pte/lower_fp32.py --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/pte/encoder.fp32.pte
"""

import sys

from transducer.core.cli import run
from transducer.pte.lowering import PORTABLE, lower, lowering_parser, part_of, write_pte


def main() -> int:
    options = lowering_parser(__doc__).parse_args()
    part = part_of(options)
    write_pte(lower(part.export(), part, PORTABLE), part, {"method": "fp32"}, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
