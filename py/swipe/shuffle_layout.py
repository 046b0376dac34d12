"""Shuffle the letters of a keyboard layout, for training that does not learn where letters are.

Example:
    .venv/bin/python py/swipe/shuffle_layout.py --layout configs/layouts/qwerty.json --seed 3 --output random-3.json
"""

import sys
from pathlib import Path

import numpy as np

from transducer.core.cli import log, parser, run, write_json
from transducer.swipe.keyboard import read_layout


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--layout", type=Path, required=True, help="keyboard layout, JSON")
    args.add_argument("--seed", type=int, required=True, help="another seed gives another order")
    args.add_argument("--output", type=Path, required=True, help="the shuffled layout, JSON")
    options = args.parse_args()
    layout, content = read_layout(options.layout)
    letters = "".join(np.random.default_rng(options.seed).permutation(list(layout.keys)))
    begin = 0
    for row in content["rows"]:
        row["keys"], begin = letters[begin : begin + len(row["keys"])], begin + len(row["keys"])
    content["name"] = f"{layout.name}-{options.seed}"
    write_json(options.output, content)
    log.info("%s: %s", options.output, " ".join(row["keys"] for row in content["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
