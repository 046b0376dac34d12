"""Compare a graph in ORT format with the checked ONNX file that it was made from.

Example:
    .venv/bin/python py/ort/check.py --graph encoder --ort out/demo-tdt/ort/encoder.android.int8.ort \
        --base out/demo-tdt/ort/encoder.android.int8.onnx --checks out/demo-tdt/checks \
        --output out/demo-tdt/checks/encoder.android.int8.ort.check.json
"""

import sys
from pathlib import Path

from transducer.core.checks import Check, passed_check
from transducer.core.cli import existing, parser, run
from transducer.core.contracts import GRAPHS
from transducer.runtime.parity import compare_files


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--ort", type=Path, required=True)
    args.add_argument("--base", type=Path, required=True, help="the ONNX file that it is a form of")
    args.add_argument(
        "--checks", type=Path, required=True, help="folder of the checks, that of the ONNX file among them"
    )
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="as ties may round")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    path: Path = existing(options.ort, "run `make onnx-optimized` first")
    base = passed_check(options.base, options.checks)
    check = Check.of(
        path,
        options.base.name,
        cases=compare_files(options.graph, options.base, path),
        bounds={"relative_rms": options.max_relative_rms},
        accuracy=base.accuracy,
    )
    check.judged(str(path)).write(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
