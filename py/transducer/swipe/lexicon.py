"""A lexicon as a trie of label ids, for beam search, with the log prior that each word's rank gives it.

Example:
    lexicon = Lexicon(read_words(Path("out/demo-swipe/lexicons/lexicon_full.txt")), labels)
    node = lexicon.children[0, labels.index("h")]
"""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, log
from transducer.core.sources import Source

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


def read_lists(texts: Sequence[str]) -> list[tuple[list[str], float]]:
    """Return the words of files, each as FILE or FILE:WEIGHT, with their weights. Raises: InputError."""
    return [(read_words(source.path), source.weight) for source in map(Source.parse, texts)]


def _spellable(words: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Return the words that the labels can spell, each once; the number of others is logged."""
    known = set(labels)
    spellable = [word for word in dict.fromkeys(words) if set(word) <= known]
    if strange := len(set(words)) - len(spellable):
        log.warning("left out %d words of the lexicon: they have characters outside the vocabulary.", strange)
    return spellable


class Lexicon:
    """A trie over label ids.

    words: those of the list that the labels can spell, the most frequent first.
    children: int32 [nodes, V], the node that a label leads to, or -1; node 0 is the root. V excludes blank.
    word: int32 [nodes], index of the word that ends at a node, or -1.
    prior: float64 [words], log prior; ahead: float64 [nodes], the best prior of the words that a node leads to.
    """

    def __init__(self, words: Sequence[str], labels: Sequence[str], prior: Sequence[float] | None = None) -> None:
        """Build the trie of words, the likeliest first; `prior` is theirs where that is not of their ranks."""
        ids = {label: number for number, label in enumerate(labels)}
        self.words = _spellable(words, labels)
        if not self.words:
            raise InputError("The lexicon has no word that the vocabulary can spell; give LEXICON another list.")
        self.prior = log_prior(np.arange(len(self.words))) if prior is None else np.asarray(prior, np.float64)
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

    def lifted(self, gains: Mapping[int, float]) -> "Lexicon":
        """Return the lexicon with the log prior of some words, by index, raised by so much, as after another word."""
        lexicon = copy.copy(self)
        lexicon.prior, lexicon.ahead = self.prior.copy(), self.ahead.copy()
        parents, ends = self._paths
        for index, gain in gains.items():
            lexicon.prior[index] += gain
            node = int(ends[index])
            while node != NONE:
                lexicon.ahead[node] = max(lexicon.ahead[node], lexicon.prior[index])
                node = int(parents[node])
        return lexicon

    @cached_property
    def _paths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The parent of every node, NONE of the root, and the node at which each word ends."""
        parents, ends = np.full(len(self.word), NONE), np.full(len(self.words), ROOT)
        above, label = np.nonzero(self.children != NONE)
        parents[self.children[above, label]] = above
        nodes = np.flatnonzero(self.word != NONE)
        ends[self.word[nodes]] = nodes
        return parents, ends

    @classmethod
    def of_lists(cls, lists: Sequence[tuple[Sequence[str], float]], labels: Sequence[str]) -> "Lexicon":
        """Return the union of several word lists with weights, of two languages or a user's own words.

        A list gives a word the log prior of its rank there plus the logarithm of the list's weight; a word that several
        have counts once, with the best of these.
        """
        if len(lists) == 1 and lists[0][1] == 1:
            return cls(lists[0][0], labels)
        best: dict[str, float] = {}
        for words, weight in lists:
            known = _spellable(words, labels)
            for word, prior in zip(known, log_prior(np.arange(len(known))) + math.log(weight), strict=True):
                best[word] = max(best.get(word, -math.inf), float(prior))
        ranked = sorted(best, key=lambda word: -best[word])
        return cls(ranked, labels, [best[word] for word in ranked])
