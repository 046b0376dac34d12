"""Hear one part of an audit's recordings by a built model's graphs, for recognizer.py to put the parts together.

Example:
    .venv/bin/python py/audit/hear_shard.py --model out/demo-tdt --manifest models/validation/manifest.jsonl \
        --shard 3/16 --output out/demo-tdt/shards/audit.fp32.3-of-16.json
"""

import sys
from pathlib import Path

from transducer.audit.cases import sample, sample_arguments
from transducer.audit.listeners import Graphs
from transducer.audit.listening import hearings, listen, total_of
from transducer.core.cli import parser, run
from transducer.core.shards import Shard
from transducer.speech.command_line import graph_arguments, open_recognizer


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    sample_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="what was heard, JSON")
    options = args.parse_args()
    recognizer = open_recognizer(options)
    clips = sample(options.manifest, options.clips, recognizer.sample_rate)
    tests = hearings(clips, recognizer.sample_rate, options.minutes, options.stream)
    options.shard.write(options.output, listen(Graphs(recognizer), tests, options.shard), total_of(tests))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
