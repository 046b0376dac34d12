"""Compare synthetic swipes with a manifest of people's, statistic by statistic: each real swipe has a synthetic twin
of the same word.

Example:
    .venv/bin/python py/swipe/compare.py --real out/swipe/how-we-swipe/train.jsonl.gz \
        --layout configs/layouts/qwerty.json --output out/swipe/realism.json
"""

import string
import sys
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, log, parser, run, write_json
from transducer.core.progress import progress
from transducer.swipe.keyboard import Layout, read_layout
from transducer.swipe.realism import compared, statistics
from transducer.swipe.synthesis import User
from transducer.swipe.traces import Trace, read_traces

TRACES_PER_USER = 40


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--real", type=Path, required=True, help="swipes of people, .jsonl or .jsonl.gz")
    args.add_argument("--layout", type=Path, required=True, help="keyboard layout, JSON")
    args.add_argument("--count", type=int, default=6000, help="swipes to compare, drawn from the manifest")
    args.add_argument("--seed", type=int, default=1, help="seed of the draw and the movements")
    args.add_argument("--output", type=Path, required=True, help="the .json file of distances and histograms")
    options = args.parse_args()
    if options.count < 1:
        raise InputError(f"--count is {options.count}; give 1 or more.")
    layout, _ = read_layout(options.layout)
    traces = read_traces(options.real, f"{string.ascii_lowercase}'")
    rng = np.random.default_rng(options.seed)
    sample = [traces[index] for index in rng.permutation(len(traces))[: options.count]]
    people, synthetic = statistics(sample, layout), statistics(twins(sample, layout, options.seed), layout)
    both = [name for name in people if name in synthetic]
    if not both:
        raise InputError(f"{options.real}: has no swipe of two keys or more; give another manifest.")
    figures = {name: compared(people[name], synthetic[name]) for name in both}
    mean = {
        kind: round(float(np.mean([entry[kind] for entry in figures.values()])), 4) for kind in ("ks", "wasserstein")
    }
    write_json(options.output, {"real": options.real.name, "swipes": len(sample), "mean": mean, "statistics": figures})
    log.info("%d statistics of %d swipes: mean KS %.3f, Wasserstein %.3f", len(both), len(sample), *mean.values())
    return 0


def twins(traces: list[Trace], layout: Layout, seed: int) -> list[Trace]:
    """Return synthetic swipes of the same words, by users that swipe 40 words each."""
    synthetic = []
    for number, trace in enumerate(progress(traces, desc="synthetic", unit="trace")):
        user = User.draw(np.random.default_rng([seed, number // TRACES_PER_USER]))
        if len(layout.centres_of(trace.word)):
            points = user.swipe(trace.word, layout, np.random.default_rng([seed, number // TRACES_PER_USER, number]))
            synthetic.append(Trace(trace.word, points))
    return synthetic


if __name__ == "__main__":
    sys.exit(run(main))
