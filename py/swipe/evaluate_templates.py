"""Measure the geometric baseline, template matching, on a manifest of traces.

Example:
    .venv/bin/python py/swipe/evaluate_templates.py --manifest models/swipe-test/manifest.jsonl.gz \
        --layout configs/layouts/qwerty.json --lexicon out/demo-swipe/lexicons/lexicon_full.txt \
        --output out/demo-swipe/checks/templates.check.json
"""

import string
import sys
from pathlib import Path

from transducer.core.checks import Check
from transducer.core.cli import log, parser, run
from transducer.core.progress import progress
from transducer.swipe.accuracy import DEPTHS, accuracy, groups_of, summary
from transducer.swipe.keyboard import read_layout
from transducer.swipe.lexicon import read_words
from transducer.swipe.templates import Templates
from transducer.swipe.traces import read_traces


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--manifest", type=Path, required=True, help="traces, .jsonl or .jsonl.gz")
    args.add_argument("--layout", type=Path, required=True, help="keyboard layout, JSON")
    args.add_argument("--lexicon", type=Path, required=True, help="words, the most frequent first")
    args.add_argument("--output", type=Path, required=True, help="the .check.json file")
    options = args.parse_args()
    traces = read_traces(options.manifest, f"{string.ascii_lowercase}'")
    lexicon = read_words(options.lexicon)
    templates = Templates(lexicon, read_layout(options.layout)[0])
    words = [templates.decode(trace.points, max(DEPTHS)) for trace in progress(traces, unit="trace", leave=False)]
    figures = accuracy(traces, words, groups_of(traces, set(lexicon)))
    check = Check.of(
        options.layout,
        options.manifest.name,
        accuracy={"traces": len(traces), **figures},
        facts={"manifest": options.manifest.name, "lexicon": options.lexicon.name},
    )
    check.judged(str(options.layout)).write(options.output)
    log.info("templates: top-1 / 3 / 5 of %s", summary(figures))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
