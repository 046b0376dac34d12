"""Transcribe one part of a manifest by the checkpoint in NeMo, for evaluate_checkpoint.py to put the parts together.

Example:
    .venv/bin/python py/speech/transcribe_shard_by_nemo.py --checkpoint out/demo-tdt/checkpoint --shard 3/16 \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/shards/checkpoint.3-of-16.json
"""

import sys

from transducer.checkpoint.nemo_model import restore_model, use_attention_context
from transducer.core.cli import parser, run
from transducer.core.shards import Shard
from transducer.speech.command_line import checkpoint_arguments
from transducer.speech.manifest import read_lines
from transducer.speech.nemo_hearing import hear_by_nemo


def main() -> int:
    args = parser(__doc__)
    checkpoint_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    options = args.parse_args()
    utterances, _ = read_lines(options.manifest)  # a line that is none is evaluate_checkpoint.py's to name, once
    part = options.shard.take(utterances, options.manifest)
    model = restore_model(options.checkpoint, options.ctc)
    use_attention_context(model, options.att_context, options.like)
    options.shard.write(options.output, hear_by_nemo(model, part, options.batch_size, options.prompt), len(utterances))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
