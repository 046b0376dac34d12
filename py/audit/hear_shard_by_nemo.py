"""Hear one part of an audit's recordings by the checkpoint in NeMo, for checkpoint.py to put the parts together.

Example:
    .venv/bin/python py/audit/hear_shard_by_nemo.py --checkpoint out/demo-tdt/checkpoint --shard 3/16 \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/shards/audit.checkpoint.3-of-16.json
"""

import sys
from pathlib import Path

from transducer.audit.cases import sample, sample_arguments
from transducer.audit.listeners import nemo_arguments, open_nemo
from transducer.audit.listening import hearings, listen, total_of
from transducer.core.cli import parser, run
from transducer.core.shards import Shard


def main() -> int:
    args = parser(__doc__)
    nemo_arguments(args)
    sample_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="what was heard, JSON")
    options = args.parse_args()
    listener = open_nemo(options)
    clips = sample(options.manifest, options.clips, listener.sample_rate)
    tests = hearings(clips, listener.sample_rate, options.minutes)
    options.shard.write(options.output, listen(listener, tests, options.shard), total_of(tests))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
