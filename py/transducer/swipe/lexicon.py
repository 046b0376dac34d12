"""A lexicon as a trie of label ids, for beam search, with the log prior that each word's rank gives it.

Example:
    lexicon = Lexicon(read_words(Path("out/demo-swipe/lexicons/lexicon_full.txt")), labels)
    node = lexicon.children[0, labels.index("h")]
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, log

ROOT = 0
NONE = -1


def read_words(path: Path) -> list[str]:
    """Return a lexicon file's words, one a line, the most frequent first.

    Raises: InputError if the file cannot be read or has no word.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable word list ({error}); give one word a line.") from None
    if not words:
        raise InputError(f"{path}: the word list is empty; give one word a line, the most frequent first.")
    return words


def log_prior(rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log frequency of words by their rank from 0 on, but for a constant.

    A fit to wordfreq's English words: Zipf's law with a tail that falls faster, within 0.5 of the logarithm of the
    frequency for all of the first 70,000 but the very first few. Lists of words alone thus carry a prior.
    """
    return -np.log(rank + 10.0) - rank / 30_000


class Lexicon:
    """A trie over label ids.

    words: those of the list that the labels can spell, the most frequent first.
    children: int32 [nodes, V], the node that a label leads to, or -1; node 0 is the root. V excludes blank.
    word: int32 [nodes], index of the word that ends at a node, or -1.
    prior: float64 [words], log prior; ahead: float64 [nodes], the best prior of the words that a node leads to.
    """

    def __init__(self, words: Sequence[str], labels: Sequence[str]) -> None:
        ids = {label: number for number, label in enumerate(labels)}
        self.words = [word for word in dict.fromkeys(words) if set(word) <= ids.keys()]
        if strange := len(set(words)) - len(self.words):
            log.warning("left out %d words of the lexicon: they have characters outside the vocabulary.", strange)
        if not self.words:
            raise InputError("The lexicon has no word that the vocabulary can spell; give LEXICON another list.")
        self.prior = log_prior(np.arange(len(self.words)))
        children: list[list[int]] = [[NONE] * len(labels)]
        word_at, ahead = [NONE], [self.prior[0]]
        for index, word in enumerate(self.words):
            node = ROOT
            for letter in word:
                label = ids[letter]
                if children[node][label] == NONE:
                    children[node][label] = len(children)
                    children.append([NONE] * len(labels))
                    word_at.append(NONE)
                    ahead.append(self.prior[index])  # words come by rank, so the first to pass is the likeliest
                node = children[node][label]
            word_at[node] = index
        self.children = np.array(children, dtype=np.int32)
        self.word = np.array(word_at, dtype=np.int32)
        self.ahead = np.array(ahead)
