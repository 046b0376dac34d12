"""Beam search of an RNN transducer over a lexicon: the likeliest words of a swipe.

Example:
    search = BeamSearch(lexicon, blank=27, state_shape=(1, 128), beam=16)
    words = search.decode(frames, step, count=5)

The search goes frame by frame (Graves 2012). A frame is left by blank alone, which keeps the last label and the
predictor's state from before it; any number of labels may come before, up to a limit. What is known of a prefix is
its node in the trie, so prefixes found along several paths are merged by adding their probabilities.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Floats
from transducer.swipe.lexicon import NONE, ROOT, Lexicon

Integers = NDArray[np.int64]
# Encoder frames [B, D], last labels [B] and LSTM states [L, B, H] before these labels, to raw logits [B, V] and the
# states after them: the contract of rnnt_step.
Step = Callable[[Floats, Integers, Floats, Floats], tuple[Floats, Floats, Floats]]
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
    """A prefixes: trie node [A], last label [A], states before that label [L, A, H], log probability [A]."""

    node: Integers
    label: Integers
    h: Floats
    c: Floats
    score: NDArray[np.float64]

    def __getitem__(self, rows: Any) -> "_Beams":
        return _Beams(self.node[rows], self.label[rows], self.h[:, rows], self.c[:, rows], self.score[rows])


class BeamSearch:
    """Search settings for one model and lexicon.

    Args:
        blank: the blank's id, which is the last label: V = blank + 1.
        state_shape: layers L and width H of the predictor's LSTM.
        beam: prefixes kept.
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
        max_symbols: int = 10,
        prior_weight: float = 0.0,
        length_power: float = 0.0,
    ) -> None:
        if lexicon.children.shape[1] != blank:
            raise ValueError(f"blank is {blank}, which is not the last of {lexicon.children.shape[1] + 1} labels")
        self.lexicon, self._blank, self._state_shape = lexicon, blank, state_shape
        self._beam, self._max_symbols = beam, max_symbols
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
        zeros = np.zeros((layers, 1, width), np.float32)
        beams = _Beams(np.array([ROOT]), np.array([self._blank]), zeros, zeros, np.zeros(1))
        for frame in frames:
            beams = self._through_frame(frame, beams, step)
            if watch:
                watch(beams.node, beams.score)
        words = self.lexicon.word[beams.node]
        found = [self._candidate(word, score) for word, score in zip(words, beams.score, strict=True) if word != NONE]
        return sorted(found, key=lambda candidate: (-candidate.score, candidate.word))[:count]

    def _candidate(self, index: int, log_prob: float) -> Candidate:
        word = self.lexicon.words[index]
        score = log_prob / len(word) ** self._length_power + self._prior_weight * self.lexicon.prior[index]
        return Candidate(word, float(log_prob), float(score))

    def _through_frame(self, frame: Floats, active: _Beams, step: Step) -> _Beams:
        """Return the best prefixes that have left a frame [D], from those that entered it."""
        left: _Beams | None = None
        for symbols in range(self._max_symbols + 1):
            inputs = np.broadcast_to(frame, (len(active.node), len(frame)))
            logits, h, c = step(inputs, active.label, active.h, active.c)
            log_probs = _log_softmax(logits)
            leaving = _Beams(active.node, active.label, active.h, active.c, active.score + log_probs[:, self._blank])
            left = self._best(leaving if left is None else _merged(left, leaving))
            if symbols == self._max_symbols:
                break
            active = self._grown(active, log_probs, h, c, left)
            if not len(active.node):
                break
        assert left is not None
        return left

    def _grown(self, active: _Beams, log_probs: NDArray[np.float64], h: Floats, c: Floats, left: _Beams) -> _Beams:
        """Return the best prefixes one letter longer, only those that may still come before the worst of `left`."""
        nodes = self.lexicon.children[active.node]
        scores = np.where(nodes == NONE, -np.inf, active.score[:, None] + log_probs[:, : self._blank])
        ranks = (scores + self._prior_weight * self.lexicon.ahead[nodes]).ravel()
        worst = self._rank(left).min() if len(left.node) >= self._beam else -np.inf
        best = np.argsort(-ranks, kind="stable")[: self._beam]
        parent, label = np.divmod(best[ranks[best] > worst], self._blank)
        return _Beams(nodes[parent, label].astype(np.int64), label, h[:, parent], c[:, parent], scores[parent, label])

    def _rank(self, beams: _Beams) -> NDArray[np.float64]:
        return np.asarray(beams.score + self._prior_weight * self.lexicon.ahead[beams.node])

    def _best(self, beams: _Beams) -> _Beams:
        return beams[np.argsort(-self._rank(beams), kind="stable")[: self._beam]]


def _merged(first: _Beams, second: _Beams) -> _Beams:
    """Return the prefixes of both, those in both with their probabilities added: their states are the same."""
    nodes = np.concatenate([first.node, second.node])
    _, index, group = np.unique(nodes, return_index=True, return_inverse=True)
    scores = np.full(len(index), -np.inf)
    np.logaddexp.at(scores, group, np.concatenate([first.score, second.score]))
    h, c = (np.concatenate(pair, axis=1)[:, index] for pair in ((first.h, second.h), (first.c, second.c)))
    return _Beams(nodes[index], np.concatenate([first.label, second.label])[index], h, c, scores)


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def graph_step(session: Any) -> Step:
    """Return the step of an rnnt_step graph, an ONNX Runtime session."""

    def step(frame: Floats, label: Integers, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        logits, h, c = session.run(None, {"encoder_frame": np.ascontiguousarray(frame), "y": label, "h": h, "c": c})
        return logits, h, c

    return step


def module_step(decoder: Any, joint: Any) -> Step:
    """Return the step of a NeMo RNNTDecoder and RNNTJoint in eval mode."""
    import torch

    @torch.inference_mode()
    def step(frame: Floats, label: Integers, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        state = torch.from_numpy(h), torch.from_numpy(c)
        g, (h_out, c_out) = decoder.predict(torch.from_numpy(label)[:, None], state=state, add_sos=False)
        encoded = torch.from_numpy(np.ascontiguousarray(frame))[:, None]
        logits = joint.joint_after_projection(joint.project_encoder(encoded), joint.project_prednet(g))
        return logits[:, 0, 0].numpy(), h_out.numpy(), c_out.numpy()

    return step
