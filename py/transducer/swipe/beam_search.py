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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transducer.core.cli import InputError
from transducer.core.contracts import Floats
from transducer.decoding.successors import log_softmax
from transducer.swipe.lexicon import NONE, ROOT, Lexicon
from transducer.swipe.prefixes import Doubles, Prefixes, best_rows, merged
from transducer.swipe.steps import Integers, Step

# Called with the prefixes that have left a frame, the best first: trie nodes [A] and log probabilities [A].
Watcher = Callable[[Integers, Doubles], None]


@dataclass(frozen=True)
class Candidate:
    """A word, its log probability under the model, and the score that it is ranked by."""

    word: str
    log_prob: float
    score: float


def parse_threshold(text: str) -> float:
    """Return the threshold of a search that an option gives. Raises: InputError for one that keeps no prefix."""
    threshold = float(text)
    if not threshold >= 0:
        raise InputError(f"BEAM_THRESHOLD={text} keeps no prefix; give 0 or more nats, or inf.")
    return threshold


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

    Attributes:
        lexicon, beam: as given.
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
        self.lexicon, self._blank, self._state_shape = lexicon, blank, state_shape
        self.beam, self._threshold, self._max_symbols = beam, threshold, max_symbols
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
        return self.decode_all([frames], step, count, watch)[0]

    def decode_all(
        self, swipes: Sequence[Floats], step: Step, count: int = 5, watch: Watcher | None = None
    ) -> list[list[Candidate]]:
        """Return the best words of several swipes' frames, whose prefixes take each step together.

        watch: as in decode, of one swipe.
        """
        lengths, every = np.array([len(frames) for frames in swipes]), np.arange(len(swipes))
        ends = set(lengths.tolist())
        padded = np.zeros((lengths.max(), len(swipes), max(frames.shape[1] for frames in swipes)), np.float32)
        for swipe, frames in enumerate(swipes):
            padded[: len(frames), swipe] = frames
        layers, width = self._state_shape
        h = c = np.zeros((layers, len(swipes), width), np.float32)
        root, blank = np.full(len(swipes), ROOT), np.full(len(swipes), self._blank)
        beams = Prefixes(every, root, blank, every, np.zeros(len(swipes)))
        ended = list[Prefixes]()
        for number, frame in enumerate(padded):
            if number in ends:
                going = lengths[beams.swipe] > number
                ended.append(beams[~going])
                beams, h, c = beams[going], h[:, going], c[:, going]
            beams, h, c = self._through_frame(frame, beams, h, c, step)
            if watch:
                watch(beams.node, beams.score)
        candidates: list[list[Candidate]] = [[] for _ in swipes]
        for part in (*ended, beams):
            words = self.lexicon.word[part.node]
            for swipe, word, score in zip(part.swipe.tolist(), words.tolist(), part.score.tolist(), strict=True):
                if word != NONE:
                    candidates[swipe].append(self._candidate(word, score))
        return [sorted(some, key=lambda candidate: (-candidate.score, candidate.word))[:count] for some in candidates]

    def _candidate(self, index: int, log_prob: float) -> Candidate:
        word = self.lexicon.words[index]
        score = log_prob / len(word) ** self._length_power + self._prior_weight * self.lexicon.prior[index]
        return Candidate(word, float(log_prob), float(score))

    def _through_frame(
        self, frames: Floats, active: Prefixes, h: Floats, c: Floats, step: Step
    ) -> tuple[Prefixes, Floats, Floats]:
        """Return the best prefixes that have left the swipes' frames [B, D], and their states, from those that came."""
        active.state = np.arange(len(active))
        states, rows = [(h, c)], len(active)
        left: Prefixes | None = None
        for symbols in range(self._max_symbols + 1):
            logits, h, c = step(frames[active.swipe], active.label, *states[-1])
            log_probs = log_softmax(logits)
            leaving = Prefixes(
                active.swipe, active.node, active.label, active.state, active.score + log_probs[:, self._blank]
            )
            left, worst = self._best(leaving if left is None else merged(left, leaving, len(self.lexicon.word)))
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

    def _grown(self, active: Prefixes, log_probs: Doubles, worst: Doubles) -> tuple[Prefixes, Integers]:
        """Return the best prefixes one letter longer that rank above `worst` [B], and which prefix each comes from."""
        least = worst[active.swipe]
        totals = active.score[:, None] + log_probs[:, : self._blank]
        # No word ahead of a letter is likelier than the best ahead of the prefix, so few letters are looked up.
        places = (totals > (least - self._prior_weight * self.lexicon.ahead[active.node])[:, None]).ravel().nonzero()[0]
        parent = places // self._blank
        label, scores = places - parent * self._blank, totals.ravel()[places]
        nodes = self.lexicon.children[active.node[parent], label]
        ranks = scores + self._prior_weight * self.lexicon.ahead[nodes]
        better = ((ranks > least[parent]) & (nodes != NONE)).nonzero()[0]
        if not len(better):
            return active[better], better
        best = better[best_rows(active.swipe[parent[better]], ranks[better], self.beam)[0]]
        parent = parent[best]
        swipe, node = active.swipe[parent], nodes[best].astype(np.int64)
        return Prefixes(swipe, node, label[best], np.arange(len(best)), scores[best]), parent

    def _rank(self, beams: Prefixes) -> Doubles:
        return np.asarray(beams.score + self._prior_weight * self.lexicon.ahead[beams.node])

    def _best(self, beams: Prefixes) -> tuple[Prefixes, Doubles]:
        """Return the best prefixes of each swipe, and the rank [B] that another must exceed to be one of them."""
        rows, worst = best_rows(beams.swipe, self._rank(beams), self.beam, self._threshold)
        return beams[rows], worst
