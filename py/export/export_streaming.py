"""Export the encoder of a checkpoint, for streams with explicit caches, to ONNX as traced, to be simplified next.

Example:
    .venv/bin/python py/export/export_streaming.py --checkpoint out/demo-streaming/checkpoint --lookahead 3 \
        --encoder out/demo-streaming/onnx/encoder.raw.onnx --output out/demo-streaming/onnx/encoder_streaming.raw.onnx
"""

import sys
from pathlib import Path

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import existing, run
from transducer.export.streaming_plan import CACHE_SIZE, CHUNK_SIZE, plan
from transducer.export.trace import export_graph, export_parser


def main() -> int:
    args = export_parser(__doc__)
    args.add_argument("--encoder", type=Path, required=True, help="the offline encoder, whose sidecar is shared")
    args.add_argument(
        "--cache-size",
        type=int,
        help=f"encoder frames of left context (the model's own, or {CACHE_SIZE} where it has none)",
    )
    args.add_argument(
        "--cache-drop-size", type=int, default=0, help="last encoder frames of a chunk that the next encodes again"
    )
    args.add_argument("--lookahead", type=int, help="which of a cache-aware model's look-aheads (its first)")
    args.add_argument("--chunk", type=int, help=f"encoder frames of a full-context model's chunk ({CHUNK_SIZE})")
    options = args.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    export_graph(
        "encoder_streaming",
        checkpoint,
        options.output,
        options.opset,
        options.fixed,
        options.device,
        plan(checkpoint, options.cache_size, options.cache_drop_size, options.lookahead, options.chunk),
        existing(options.encoder, "export the offline encoder first"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
