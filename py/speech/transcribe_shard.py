"""Transcribe one part of a manifest by a built model's graphs, for evaluate.py to put the parts together.

Example:
    .venv/bin/python py/speech/transcribe_shard.py --model out/demo-tdt --manifest models/validation/manifest.jsonl \
        --shard 3/16 --output out/demo-tdt/shards/wer.fp32.3-of-16.json
"""

import sys
from pathlib import Path

from transducer.core.cli import parser, run
from transducer.core.shards import Shard
from transducer.speech.command_line import graph_arguments, open_recognizer
from transducer.speech.hearing import hear
from transducer.speech.manifest import read_lines


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    args.add_argument("--manifest", type=Path, required=True, help="NeMo manifest with audio")
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="what was heard, JSON")
    options = args.parse_args()
    utterances, _ = read_lines(options.manifest)  # a line that is none is evaluate.py's to name, once
    part = options.shard.take(utterances, options.manifest)
    recognizer = open_recognizer(options)
    texts, problems = hear(recognizer, part)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    options.shard.write(options.output, texts, len(utterances))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
