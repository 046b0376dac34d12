"""Count which words of a lexicon follow which in a text, as one compact file for decoders.

Example:
    .venv/bin/python py/swipe/write_bigrams.py --words out/demo-swipe/lexicon/words.txt --text chats.txt \
        --output out/demo-swipe/lexicon/bigrams.bin

A sentence ends with a line or at . ! ? and colons; words are compared in lower case.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, log, parser, run
from transducer.core.texts import lines_of
from transducer.swipe.bigrams import Bigrams
from transducer.swipe.lexicon import log_prior, read_words

END = re.compile(r"[.!?:;]")
# Whatever is between words; an apostrophe is within one.
BETWEEN = re.compile(r"[^\w']+")
TYPOGRAPHIC = "\u2019"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--words", type=Path, required=True, help="words.txt of a trie, the most frequent first")
    args.add_argument("--text", type=Path, required=True, help="sentences, a text file")
    args.add_argument("--pairs", type=int, default=100_000, help="pairs to keep; each takes 5 bytes")
    args.add_argument("--output", type=Path, required=True, help="bigrams.bin")
    options = args.parse_args()
    if options.pairs < 1:
        raise InputError(f"--pairs is {options.pairs}; give 1 or more.")
    words = read_words(options.words)
    prior = log_prior(np.arange(len(words)))
    bigrams = Bigrams.of_text(sentences(options.text), words, prior, options.pairs)
    if not len(bigrams):
        raise InputError(f"{options.text}: no words of the lexicon follow each other; give sentences in its language.")
    bigrams.write(options.output)
    log.info("%s: %d pairs, %.2f MB", options.output, len(bigrams), options.output.stat().st_size / 1e6)
    return 0


def sentences(path: Path) -> Iterator[list[str]]:
    """Yield the words of each sentence. Raises: InputError if the file cannot be read."""
    for line in lines_of(path, "bigrams"):
        for sentence in END.split(line.lower().replace(TYPOGRAPHIC, "'")):
            if words := [word for part in BETWEEN.split(sentence) if (word := part.strip("'"))]:
                yield words


if __name__ == "__main__":
    sys.exit(run(main))
