"""Write the small and the full English lexicon and their statistics, words by falling frequency, one a line.

Example:
    .venv/bin/python py/swipe/prepare_lexicons.py --small-size 12000 --full-size 70000 \
        --output-dir out/demo-swipe/lexicons
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, log, parser, replacing, run, write_json
from transducer.swipe.lexicon import read_words
from transducer.swipe.words import CONTRACTIONS, MAX_LETTERS, MIN_FREQUENCY, ranked_words


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--small-size", type=int, default=12_000, help="words of lexicon_small.txt")
    args.add_argument("--full-size", type=int, default=70_000, help="words of lexicon_full.txt")
    args.add_argument("--output-dir", type=Path, required=True, help="folder of the lists and lexicon_stats.json")
    options = args.parse_args()
    sizes = {"lexicon_small.txt": options.small_size, "lexicon_full.txt": options.full_size}
    ranked = ranked_words()
    frequencies = dict(ranked)
    for name, size in sizes.items():
        if not len(CONTRACTIONS) < size <= len(ranked):
            raise InputError(
                f"{name}: {size} words cannot be had; ask for more than {len(CONTRACTIONS)} and at most {len(ranked)}."
            )
        with replacing(options.output_dir / name) as tmp:
            tmp.write_text("".join(f"{word}\n" for word in chosen(list(frequencies), size)), encoding="utf-8")
    lists = {name: statistics(read_words(options.output_dir / name), frequencies) for name in sizes}
    stats = {
        "source": {"package": "wordfreq", "version": version("wordfreq"), "language": "en", "wordlist": "best"},
        "thresholds": {"min_frequency": MIN_FREQUENCY, "max_letters": MAX_LETTERS, "max_repeats": 3, "vowel": True},
        "lists": lists,
    }
    write_json(options.output_dir / "lexicon_stats.json", stats)
    for name, figures in lists.items():
        log.info("%s: %d words, %.1f %% of running text", name, figures["count"], 100 * figures["frequency_mass"])
    return 0


def chosen(ranked: list[str], size: int) -> list[str]:
    """Return `size` words: the most frequent, then those contractions that are not among them."""
    head = ranked[:size]
    while len(head) + len(missing := [word for word in CONTRACTIONS if word not in set(head)]) > size:
        head.pop()
    return head + missing


def statistics(words: list[str], frequencies: dict[str, float]) -> dict[str, Any]:
    """Return the figures of a list of words, which all have a frequency."""
    shares = [frequencies[word] for word in words]
    return {
        "count": len(words),
        "frequency_mass": sum(shares),
        "max_frequency": max(shares),
        "min_frequency": min(shares),
    }


if __name__ == "__main__":
    sys.exit(run(main))
