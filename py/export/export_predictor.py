"""Export the predictor of a checkpoint to ONNX as traced, to be simplified next.

Example:
    .venv/bin/python py/export/export_predictor.py --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/onnx/predictor.raw.onnx
"""

import sys

from transducer.core.cli import run
from transducer.export.trace import export_worker


def main() -> int:
    return export_worker("predictor", __doc__)


if __name__ == "__main__":
    sys.exit(run(main))
