"""Export predictor and joint of a checkpoint for one step to ONNX as traced, to be simplified next.

Example:
    .venv/bin/python py/export/export_rnnt_step.py --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/onnx/rnnt_step.raw.onnx
"""

import sys

from transducer.core.cli import run
from transducer.export.trace import export_worker


def main() -> int:
    return export_worker("rnnt_step", __doc__)


if __name__ == "__main__":
    sys.exit(run(main))
