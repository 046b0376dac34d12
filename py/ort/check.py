"""Check a graph in ORT format beside the checked ONNX file that it was made from.

Example:
    .venv/bin/python py/ort/check.py --graph encoder --ort out/demo-tdt/ort/encoder.android.int8.ort \
        --base out/demo-tdt/ort/encoder.android.int8.onnx --checks out/demo-tdt/checks \
        --output out/demo-tdt/checks/encoder.android.int8.ort.check.json
"""

import sys
from pathlib import Path

from transducer.core.checks import identity, passed_check
from transducer.core.cli import CheckError, existing, parser, run, write_json
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
    cases = compare_files(options.graph, options.base, path)
    worst = max(cases, key=lambda case: case.relative_rms)
    if not worst.relative_rms <= options.max_relative_rms:
        raise CheckError(
            f"{path} differs from {options.base.name} by {worst.relative_rms:.2%} at {dict(worst.sizes)}; the bound is "
            f"{options.max_relative_rms:.2%}."
        )
    error = {"against": options.base.name, "bound_relative_rms": options.max_relative_rms}
    report = {
        **identity(path),
        "error": error | {"relative_rms": worst.relative_rms},
        "accuracy": base.get("accuracy"),
        "passed": True,
    }
    write_json(options.output, report)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
