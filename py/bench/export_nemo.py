"""Export a checkpoint's encoder by NeMo's own exporter, to measure against: one file, weights beside it if too large.

Example:
    .venv/bin/python py/bench/export_nemo.py --checkpoint models/demo-tdt.nemo --output out/demo-tdt/bench/nemo.onnx
"""

import sys
import tempfile
from pathlib import Path

import onnx
import torch

from transducer.core.cli import existing, parser, replacing, run
from transducer.core.onnx_weights import SIDECAR_ABOVE


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True, help="a .nemo file that you trust: NeMo restores it")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    # Slow to import, and not needed to explain the options.
    from nemo.collections.asr.models import ASRModel

    output: Path = options.output
    model = ASRModel.restore_from(str(existing(options.checkpoint, "give a .nemo file")), map_location="cpu")
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
