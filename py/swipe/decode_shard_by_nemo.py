"""Decode one part of a manifest of traces by a swipe checkpoint, for evaluate_checkpoint.py to put the parts together.

Example:
    .venv/bin/python py/swipe/decode_shard_by_nemo.py --checkpoint out/demo-swipe/checkpoint --shard 3/16 \
        --manifest models/swipe-test/manifest.jsonl.gz --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --output out/demo-swipe/shards/checkpoint.3-of-16.json
"""

import sys
from pathlib import Path

from transducer.core.cli import parser, run
from transducer.core.shards import Shard
from transducer.swipe.nemo_decoding import checkpoint_arguments, checkpoint_inputs, decode_by_nemo


def main() -> int:
    args = parser(__doc__)
    checkpoint_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="the words and letters of each trace, JSON")
    options = args.parse_args()
    checkpoint, traces, layout, search = checkpoint_inputs(options)
    part = options.shard.take(traces, options.manifest)
    candidates = decode_by_nemo(checkpoint, part, layout, search, options.threads)
    options.shard.write(options.output, candidates, len(traces))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
