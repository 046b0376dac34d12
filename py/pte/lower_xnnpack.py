"""Lower a graph to ExecuTorch in fp32, computed by XNNPACK.

Example:
    .venv/bin/python py/pte/lower_xnnpack.py --graph rnnt_step --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/pte/rnnt_step.pte
"""

import sys

from transducer.core.cli import run
from transducer.pte.lowering import XNNPACK, lower, lowering_parser, part_of, write_pte


def main() -> int:
    options = lowering_parser(__doc__).parse_args()
    part = part_of(options)
    write_pte(lower(part.export(), part, XNNPACK), part, {"method": "xnnpack"}, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
