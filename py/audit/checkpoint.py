"""Hear an audit's recordings by the checkpoint in NeMo, beside which the changes of its graphs are judged.

Example:
    .venv/bin/python py/audit/checkpoint.py --checkpoint out/demo-tdt/checkpoint \
        --manifest models/validation/manifest.jsonl --output out/demo-tdt/checks/audit.checkpoint.check.json
"""

import sys
from pathlib import Path

from transducer.audit.cases import sample, sample_arguments
from transducer.audit.listeners import nemo_arguments, open_nemo
from transducer.audit.listening import hearings, listen, results, total_of
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.checks import Check
from transducer.core.cli import parser, run
from transducer.core.shards import read_shards


def main() -> int:
    args = parser(__doc__)
    nemo_arguments(args)
    sample_arguments(args)
    args.add_argument("--heard", type=Path, nargs="+", help="all parts of what hear_shard_by_nemo.py heard")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    options = args.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    source, rate = checkpoint.manifest, int(checkpoint.config["preprocessor"]["sample_rate"])
    clips = sample(options.manifest, options.clips, rate)
    tests = hearings(clips, rate, options.minutes)
    texts = read_shards(options.heard, total_of(tests)) if options.heard else listen(open_nemo(options), tests)
    outcomes = dict(results(tests, texts))
    facts = {
        "clips": [clip.name for clip in clips],
        "minutes": options.minutes,
        "texts": {test: list(result.texts) for test, result in outcomes.items()},
    }
    figures = {test: result.outcome.summary() for test, result in outcomes.items()}
    check = Check(source["source"], source["sha256"], {}, options.manifest.name, accuracy=figures, facts=facts)
    check.judged(source["source"]).write(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
