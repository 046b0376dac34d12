"""Phrase boosting: hotwords that a beam search prefers, whatever tokens spell them.

Example:
    bias = Phrases(read_phrases(Path("hotwords.txt"), vocabulary.spelt), vocabulary.spelt)

Phrases are matched in the text, letter by letter, by an automaton (Aho and Corasick 1975): each letter of a phrase
adds the phrase's weight as soon as it is spelt, and all of it is taken back where the phrase does not go on or does
not end with a word. So every tokenization of a phrase counts the same, and a part of a phrase counts nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, existing
from transducer.decoding.bias import Doubles, Integers

SPACE = " "
# Nats for each letter of a phrase.
WEIGHT = 0.5
ROOT = 0


class Phrases:
    """A bias towards phrases. It is a Bias, whose states are the automaton's nodes.

    Args:
        weights: of each phrase, in nats a letter.
        spelt: the labels' texts in order of their ids, a space before what begins a word.
    """

    def __init__(self, weights: Mapping[str, float], spelt: Sequence[str]) -> None:
        self._spelt = spelt
        # Where no label begins a word, text has no words to match whole.
        self._bound = SPACE if any(label.startswith(SPACE) for label in spelt) else ""
        # Of each node: children by letter, where a mismatch goes on, what its letters have earned so far, and what
        # the phrases that end here have earned for good.
        self._children: list[dict[str, int]] = [{}]
        self._suffix = [ROOT]
        self._partial = [0.0]
        self._whole = [0.0]
        for phrase, weight in sorted(weights.items()):
            self._add(phrase, weight)
        self._connect()
        # The text so far is empty, and a word may begin.
        self._start = self._step(ROOT, self._bound)[0] if self._bound else ROOT
        self._row = cache(self._compute_row)

    def _add(self, phrase: str, weight: float) -> None:
        node, earned, locked = ROOT, 0.0, 0.0
        for letter in f"{self._bound}{phrase}{self._bound}":
            if letter not in self._children[node]:
                self._children[node][letter] = len(self._children)
                self._children.append({})
                self._suffix.append(ROOT)
                self._partial.append(0.0)
                self._whole.append(0.0)
            node = self._children[node][letter]
            earned += weight * (letter != SPACE)
            locked += self._whole[node]
            # What a shorter phrase has earned for good is not earned twice.
            self._partial[node] = max(self._partial[node], earned - locked)
        self._partial[node] = 0.0
        self._whole[node] += max(earned - locked, 0.0)

    def _connect(self) -> None:
        """Find each node's longest proper suffix that is a node, level by level."""
        level = list(self._children[ROOT].values())
        while level:
            below = []
            for node in level:
                for letter, child in self._children[node].items():
                    self._suffix[child] = self._next(self._suffix[node], letter)
                    below.append(child)
            level = below

    def _next(self, node: int, letter: str) -> int:
        while letter not in self._children[node] and node != ROOT:
            node = self._suffix[node]
        return self._children[node].get(letter, ROOT)

    def _step(self, node: int, letter: str) -> tuple[int, float]:
        """Return the node after a letter, and what the phrases that end with it earn for good."""
        node, earned = self._next(node, letter), 0.0
        at = node
        while at != ROOT:
            earned += self._whole[at]
            at = self._suffix[at]
        return node, earned

    def _compute_row(self, node: int) -> tuple[Integers, Doubles]:
        """Return the node after each label, and what the label adds."""
        nodes, gains = np.zeros(len(self._spelt), np.int64), np.zeros(len(self._spelt))
        for label, text in enumerate(self._spelt):
            at, total = node, 0.0
            for letter in text:
                at, earned = self._step(at, letter)
                total += earned
            nodes[label], gains[label] = at, total + self._partial[at] - self._partial[node]
        return nodes, gains

    def _node(self, state: int) -> int:
        """Return the node of a state: these are numbered so that 0 is the start."""
        return self._start if state == 0 else ROOT if state == self._start else state

    def gains(self, states: Integers) -> Doubles:
        return np.stack([self._row(self._node(state))[1] for state in states.tolist()])

    def follow(self, state: int, label: int) -> int:
        node = int(self._row(self._node(state))[0][label])
        return self._start if node == ROOT else 0 if node == self._start else node

    def end(self, state: int) -> float:
        node = self._node(state)
        return (self._step(node, self._bound)[1] if self._bound else 0.0) - self._partial[node]


def read_phrases(path: Path, spelt: Sequence[str], weight: float = WEIGHT) -> dict[str, float]:
    """Return the phrases of a text file, one a line, each with its weight after ` :` where it has one of its own.

    Raises: InputError for a file without phrases, and for a line whose phrase or weight cannot be used.
    """
    phrases = {}
    try:
        lines = existing(path, "write phrases into it, one a line").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    for number, line in enumerate(lines, 1):
        text, mark, own = line.rpartition(" :")
        phrase = SPACE.join((text if mark else line).split())
        if not phrase:
            if line.strip():
                raise InputError(
                    f"{path}, line {number}: it has a weight but not a phrase; write the phrase before it."
                )
            continue
        phrases[phrase] = _weight(own, f"{path}, line {number}") if mark else weight
        if wrong := unspellable(phrase, spelt):
            raise InputError(
                f"{path}, line {number}: the model has no token for {wrong!r} in {phrase!r}; spell the phrase with "
                "the letters and the case of the model's own transcripts."
            )
    if not phrases:
        raise InputError(f"{path} has no phrases; write them into it, one a line.")
    return phrases


def _weight(text: str, place: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = float("nan")
    if not 0 < weight <= 100:
        raise InputError(
            f"{place}: the weight {text.strip()!r} is not a number of nats above 0 and up to 100; correct it."
        )
    return weight


def unspellable(phrase: str, spelt: Sequence[str]) -> str:
    """Return the first letters of a phrase that no tokens spell; the empty text where tokens spell it all."""
    bound = SPACE if any(label.startswith(SPACE) for label in spelt) else ""
    text, labels = f"{bound}{phrase}", {label for label in spelt if label}
    longest = max(map(len, labels), default=0)
    reached = [True] + [False] * len(text)
    for end in range(1, len(text) + 1):
        reached[end] = any(reached[start] and text[start:end] in labels for start in range(max(end - longest, 0), end))
    if reached[-1]:
        return ""
    last = max(place for place, possible in enumerate(reached) if possible)
    return text[last : last + 1]
