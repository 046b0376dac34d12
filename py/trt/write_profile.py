"""Write the shapes that an engine is built for, from its graph's own inputs and ranges of seconds and batches.

Example:
    .venv/bin/python py/trt/write_profile.py --graph encoder --onnx out/demo-tdt/onnx/encoder.fp16.trt.onnx \
        --seconds 0.1 10 30 --batch 1 4 16 --output out/demo-tdt/trt/profiles/encoder.fp16.json
"""

import sys
from pathlib import Path

from transducer.core.cli import existing, parser, run, write_json
from transducer.core.contracts import GRAPHS
from transducer.trt.profile import BOUNDS, build_profile


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--onnx", type=Path, required=True)
    args.add_argument("--seconds", type=float, nargs=3, metavar=BOUNDS, default=(0.1, 10, 30), help="of input")
    args.add_argument("--batch", type=int, nargs=3, metavar=BOUNDS, default=(1, 4, 16))
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    path = existing(options.onnx, "run `make trt-engines`")
    write_json(options.output, build_profile(options.graph, path, options.seconds, options.batch))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
