"""Decode one part of a manifest of traces by a swipe model's graphs, for evaluate.py to put the parts together.

Example:
    .venv/bin/python py/swipe/decode_shard.py --encoder out/demo-swipe/onnx/encoder.onnx \
        --step out/demo-swipe/onnx/rnnt_step.onnx --meta out/demo-swipe/meta/model_meta.json --shard 3/16 \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --output out/demo-swipe/shards/top1.fp32.3-of-16.json
"""

import sys
from pathlib import Path

from transducer.core.cli import parser, run
from transducer.core.shards import Shard
from transducer.swipe.recognition import decode_traces, graph_arguments, inputs_of, search_arguments


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    search_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="the words of each trace, JSON")
    options = args.parse_args()
    traces, layout, search = inputs_of(options)
    part = options.shard.take(traces, options.manifest)
    words = decode_traces(options.encoder, options.step, part, layout, search)
    options.shard.write(options.output, words, len(traces))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
