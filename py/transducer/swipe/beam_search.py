"""Beam search of an RNN transducer over a lexicon: the likeliest words of a swipe.

Example:
    search = BeamSearch(lexicon, blank=27, state_shape=(1, 128), beam=16)
    words = search.decode(frames, step, count=5)

The search goes frame by frame (Graves 2012). A frame is left by blank alone, which keeps the last label and the
predictor's state from before it; any number of labels may come before, up to a limit. What is known of a prefix is
its node in the trie, so prefixes found along several paths are merged by adding their probabilities.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError
from transducer.core.contracts import Floats
from transducer.swipe.lexicon import NONE, ROOT, Lexicon
from transducer.swipe.steps import Integers, Step

# Called with the prefixes that have left a frame, the best first: trie nodes [A] and log probabilities [A].
Watcher = Callable[[Integers, NDArray[np.float64]], None]


@dataclass(frozen=True)
class Candidate:
    """A word, its log probability under the model, and the score that it is ranked by."""

    word: str
    log_prob: float
    score: float


@dataclass
class _Beams:
    """A prefixes of different nodes: trie node [A], last label [A], log probability [A].

    state: [A] the row of each one's states before its last label, among all that were computed in a frame.
    """

    node: Integers
    label: Integers
    score: NDArray[np.float64]
    state: Integers

    def __getitem__(self, rows: Any) -> "_Beams":
        return _Beams(self.node[rows], self.label[rows], self.score[rows], self.state[rows])


class BeamSearch:
    """Search settings for one model and lexicon.

    Args:
        blank: the blank's id, which is the last label: V = blank + 1.
        state_shape: layers L and width H of the predictor's LSTM.
        beam: prefixes kept at most.
        threshold: nats that the rank of a prefix kept may lie below the best one's.
        max_symbols: labels at most in one frame.
        prior_weight: of the words' log prior, which guides the search as soon as a prefix excludes likelier words.
        length_power: the log probability of a word is divided by its letters to this power.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        blank: int,
        state_shape: tuple[int, int],
        beam: int = 16,
        threshold: float = math.inf,
        max_symbols: int = 10,
        prior_weight: float = 0.0,
        length_power: float = 0.0,
    ) -> None:
        if lexicon.children.shape[1] != blank:
            raise ValueError(f"blank is {blank}, which is not the last of {lexicon.children.shape[1] + 1} labels")
        if threshold < 0:
            raise InputError(f"A threshold of {threshold} nats keeps no prefix; give BEAM_THRESHOLD=0 or more.")
        self.lexicon, self._blank, self._state_shape = lexicon, blank, state_shape
        self._beam, self._threshold, self._max_symbols = beam, threshold, max_symbols
        self._prior_weight, self._length_power = prior_weight, length_power

    def decode(
        self,
        frames: Floats,
        step: Step,
        count: int = 5,
        watch: Watcher | None = None,
        gains: Mapping[int, float] | None = None,
    ) -> list[Candidate]:
        """Return the best `count` words of encoder frames [T, D], the best first; fewer where fewer were found.

        watch: called after every frame.
        gains: what words, by index, are likelier here than their prior says, in nats, as Bigrams has it.
        """
        if gains:
            search = copy.copy(self)
            search.lexicon = self.lexicon.lifted(gains)
            return search.decode(frames, step, count, watch)
        layers, width = self._state_shape
        h = c = np.zeros((layers, 1, width), np.float32)
        beams = _Beams(np.array([ROOT]), np.array([self._blank]), np.zeros(1), np.zeros(1, np.int64))
        for frame in frames:
            beams, h, c = self._through_frame(frame, beams, h, c, step)
            if watch:
                watch(beams.node, beams.score)
        words = self.lexicon.word[beams.node]
        candidates = [
            self._candidate(word, score) for word, score in zip(words, beams.score, strict=True) if word != NONE
        ]
        return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.word))[:count]

    def _candidate(self, index: int, log_prob: float) -> Candidate:
        word = self.lexicon.words[index]
        score = log_prob / len(word) ** self._length_power + self._prior_weight * self.lexicon.prior[index]
        return Candidate(word, float(log_prob), float(score))

    def _through_frame(
        self, frame: Floats, active: _Beams, h: Floats, c: Floats, step: Step
    ) -> tuple[_Beams, Floats, Floats]:
        """Return the best prefixes that have left a frame [D] and their states, from those that entered it."""
        active.state = np.arange(len(active.node))
        states, rows = [(h, c)], len(active.node)
        inputs = np.repeat(frame[None], self._beam, axis=0)
        left: _Beams | None = None
        for symbols in range(self._max_symbols + 1):
            logits, h, c = step(inputs[: len(active.node)], active.label, *states[-1])
            log_probs = _log_softmax(logits)
            leaving = _Beams(active.node, active.label, active.score + log_probs[:, self._blank], active.state)
            left, worst = self._best(leaving if left is None else _merged(left, leaving))
            if symbols == self._max_symbols:
                break
            active, parent = self._grown(active, log_probs, worst)
            if not len(parent):
                break
            active.state += rows
            rows += len(parent)
            states.append((h[:, parent], c[:, parent]))
        assert left is not None
        h, c = (np.concatenate(rounds, axis=1)[:, left.state] for rounds in zip(*states, strict=True))
        return left, h, c

    def _grown(self, active: _Beams, log_probs: NDArray[np.float64], worst: float) -> tuple[_Beams, Integers]:
        """Return the best prefixes one letter longer that rank above `worst`, and which prefix each comes from."""
        # No word ahead of a letter is likelier than the best ahead of the prefix, so few letters are looked up.
        parent, label = np.nonzero(self._rank(active)[:, None] + log_probs[:, : self._blank] > worst)
        nodes = self.lexicon.children[active.node[parent], label]
        known = nodes != NONE
        parent, label, nodes = parent[known], label[known], nodes[known].astype(np.int64)
        scores = active.score[parent] + log_probs[parent, label]
        ranks = scores + self._prior_weight * self.lexicon.ahead[nodes]
        best = np.argsort(-ranks, kind="stable")[: self._beam]
        best = best[ranks[best] > worst]
        return _Beams(nodes[best], label[best], scores[best], np.arange(len(best))), parent[best]

    def _rank(self, beams: _Beams) -> NDArray[np.float64]:
        return np.asarray(beams.score + self._prior_weight * self.lexicon.ahead[beams.node])

    def _best(self, beams: _Beams) -> tuple[_Beams, float]:
        """Return the best prefixes, and the rank that another must exceed to be one of them."""
        ranks = self._rank(beams)
        best = np.argsort(-ranks, kind="stable")[: self._beam]
        worst = float(ranks[best[0]] - self._threshold)
        best = best[~(ranks[best] < worst)]
        return beams[best], float(ranks[best[-1]]) if len(best) == self._beam else worst


def _merged(first: _Beams, second: _Beams) -> _Beams:
    """Return the prefixes of both, those in both with their probabilities added: their states are the same."""
    same = first.node[:, None] == second.node
    one, other = np.nonzero(same)
    scores = first.score.copy()
    scores[one] = np.logaddexp(scores[one], second.score[other])
    new = second[~same.any(axis=0)]
    return _Beams(
        np.concatenate([first.node, new.node]),
        np.concatenate([first.label, new.label]),
        np.concatenate([scores, new.score]),
        np.concatenate([first.state, new.state]),
    )


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
