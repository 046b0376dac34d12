"""Lower a graph to ExecuTorch in fp32, delegated to XNNPACK or, as a base to compare with, to nothing.

Example:
    .venv/bin/python py/pte/lower.py --graph rnnt_step --form xnnpack --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/pte/rnnt_step.pte
"""

import sys

from transducer.core.cli import run
from transducer.pte.lowering import PORTABLE, XNNPACK, lower, write_pte
from transducer.pte.parts import load_requested, lowering_parser

DELEGATES = {"fp32": PORTABLE, "xnnpack": XNNPACK}


def main() -> int:
    args = lowering_parser(__doc__)
    args.add_argument("--form", choices=sorted(DELEGATES), default="xnnpack")
    options = args.parse_args()
    part = load_requested(options)
    lowered = lower(part.export(), part, DELEGATES[options.form])
    write_pte(lowered, part, {"method": options.form}, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
