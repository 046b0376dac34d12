"""Synthesise one split of the swipe corpus: traces of English words on a keyboard layout, as a manifest.

Example:
    .venv/bin/python py/swipe/synthesize.py --split test --count 2400 --layout configs/layouts/qwerty.json \
        --output out/swipe/test/manifest.jsonl.gz
"""

import argparse
import os
import string
import sys
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.core.progress import progress
from transducer.swipe.keyboard import Layout, read_layout
from transducer.swipe.synthesis import User
from transducer.swipe.traces import MAX_SECONDS, open_text, trace_line
from transducer.swipe.words import is_held_out, ranked_words

# Splits have no user in common: each draws its users by its own number.
SPLITS = {"train": 0, "validation": 1, "test": 2}
TRACES_PER_USER = 40
VOCABULARY_SIZE = 70_000
# Of validation and test: traces of words that the training split never spells.
NOVEL_SHARE = 0.25
CHUNK = 500


def main() -> int:
    args = parse_args()
    layout, _ = read_layout(args.layout)
    jobs = draw_words(args.split, args.count, args.temperature, args.seed, layout)
    chunks = [list(range(at, min(at + CHUNK, args.count))) for at in range(0, args.count, CHUNK)]
    work = partial(synthesize, jobs, layout, [args.seed, SPLITS[args.split]])
    with replacing(args.output) as tmp, get_context("fork").Pool(os.cpu_count()) as pool, open_text(tmp, "w") as stream:
        for lines in progress(pool.imap(work, chunks), total=len(chunks), desc=args.split, unit="chunk"):
            stream.writelines(lines)
    log.info("%s: %d traces of %d words", args.output, len(jobs), len({word for word, _ in jobs}))
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--split", choices=SPLITS, required=True, help="whose users to draw")
    args.add_argument("--count", type=int, required=True, help="number of traces")
    args.add_argument("--layout", type=Path, required=True, help="keyboard layout, JSON")
    args.add_argument(
        "--temperature", type=float, default=1.0, help="words are drawn by frequency ** (1 / temperature)"
    )
    args.add_argument("--seed", type=int, default=1, help="seed of words, users and movements")
    args.add_argument("--output", type=Path, required=True, help="manifest, .jsonl or .jsonl.gz")
    return args.parse_args()


def draw_words(split: str, count: int, temperature: float, seed: int, layout: Layout) -> list[tuple[str, bool]]:
    """Return the word of each trace, and whether it is one of those that training never has.

    Words are drawn by their share of running text, those that need one key only left out: that is a tap.
    """
    if missing := sorted(set(string.ascii_lowercase) - set(layout.keys)):
        raise InputError(f"The layout {layout.name} has no key {missing[0]!r}, which the words need; add the key.")
    if count < 1 or temperature <= 0:
        raise InputError(f"--count is {count} and --temperature {temperature}; both must be above 0.")
    rng = np.random.default_rng([seed, SPLITS[split]])
    known: list[tuple[str, float]] = []
    novel: list[tuple[str, float]] = []
    for rank, (word, share) in enumerate(ranked_words()[:VOCABULARY_SIZE]):
        if len(set(word) & set(layout.keys)) > 1:
            (novel if is_held_out(word, rank) else known).append((word, share))
    parts = [(known, count, False)]
    if split != "train":
        unknown = round(count * NOVEL_SHARE)
        parts = [(known, count - unknown, False), (novel, unknown, True)]
    draws: list[tuple[str, bool]] = []
    for words, number, is_novel in parts:
        weights = np.array([share for _, share in words]) ** (1 / temperature)
        picks = rng.choice(len(words), size=number, p=weights / weights.sum())
        draws += [(words[pick][0], is_novel) for pick in picks]
    return [draws[index] for index in rng.permutation(len(draws))]


def synthesize(jobs: list[tuple[str, bool]], layout: Layout, seed: list[int], chunk: list[int]) -> list[str]:
    """Return the manifest lines of the traces of a chunk; each depends on the seed and its number alone."""
    lines = []
    for index in chunk:
        word, novel = jobs[index]
        number = index // TRACES_PER_USER
        user = User.draw(np.random.default_rng([*seed, number, 0]))
        rng = np.random.default_rng([*seed, number, 1 + index])
        # One in some ten thousand swipes of the slowest is longer than a trace may be.
        while (points := user.swipe(word, layout, rng))[-1, 2] > MAX_SECONDS * 1000:
            pass
        marks = {"novel": True} if novel else {}
        lines.append(trace_line(word, points, user=number, **marks) + "\n")
    return lines


if __name__ == "__main__":
    sys.exit(run(main))
