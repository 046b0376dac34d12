"""Export a checkpoint's encoder by NeMo's own exporter, to measure against: one file, weights beside it if too large.

Example:
    .venv/bin/python py/bench/export_nemo.py --checkpoint out/demo-tdt/checkpoint \
        --output out/demo-tdt/bench/nemo.onnx
"""

import sys
import tempfile
from pathlib import Path

import onnx
import torch

from transducer.checkpoint.nemo_model import restore_model
from transducer.core.cli import parser, replacing, run
from transducer.core.onnx_weights import SIDECAR_ABOVE


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="folder of the unpacked checkpoint")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    output: Path = options.output
    model = restore_model(options.checkpoint)
    output.parent.mkdir(parents=True, exist_ok=True)
    # Loose weight files, hundreds for a large model, become one.
    with tempfile.TemporaryDirectory(dir=output.parent) as folder, torch.inference_mode():
        model.encoder.export(f"{folder}/encoder.onnx")
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        graph = onnx.load(f"{folder}/encoder.onnx")
    with replacing(output) as tmp:
        sidecar = output.with_name(f"{output.name}.data")
        sidecar.unlink(missing_ok=True)
        onnx.save(graph, tmp, save_as_external_data=size > SIDECAR_ABOVE, location=sidecar.name)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
