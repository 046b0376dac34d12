"""The likeliest successors of prefixes: which labels, and which durations, a beam search goes on with.

Example:
    labels = Labels(logits[:, :129], gains=None)
    best = successors(beams.stream, beams.score, labels, log_softmax(logits[:, 129:]), count=8, threshold=5.0)
"""

from typing import NamedTuple

import numpy as np

from transducer.core.contracts import Floats
from transducer.decoding.bias import Doubles, Integers


class Labels:
    """What a model and a bias say of the labels after each prefix.

    Only what is near the best is computed in float64: a vocabulary is large, and most of it is far behind.

    Args:
        logits: float32 [A, V].
        gains: of a bias, float64 [A, V - blanks]; None if there is none.
    """

    def __init__(self, logits: Floats, gains: Doubles | None) -> None:
        self._logits, self._gains = logits, gains
        most = logits.max(axis=1, keepdims=True)
        sums = np.exp(logits - most).sum(axis=1, dtype=np.float64)
        self._norms = most[:, 0] + np.log(sums)
        self._scores = logits
        if gains is not None:
            self._scores = logits.astype(np.float64)
            self._scores[:, : gains.shape[1]] += gains

    def best(self) -> Doubles:
        """Return the best score of each row [A]: log probability and gain."""
        best: Doubles = self._scores.max(axis=1) - self._norms
        return best

    def near(self, least: Doubles) -> tuple[Integers, Integers]:
        """Return rows and labels whose scores may reach the least of their rows [A]; a bit too many by rounding."""
        bounds = (least + self._norms - 1e-4).astype(self._scores.dtype)
        row, label = (self._scores >= bounds[:, None]).nonzero()
        return row, label

    def log_probs(self, row: Integers, label: Integers) -> Doubles:
        """Return the log probabilities of some labels, float64."""
        log_probs: Doubles = self._logits[row, label] - self._norms[row]
        return log_probs

    def gains(self, row: Integers, label: Integers) -> Doubles:
        """Return what the bias adds to some labels; nothing to a blank."""
        gains = np.zeros(len(row))
        if self._gains is not None:
            biased = label < self._gains.shape[1]
            gains[biased] = self._gains[row[biased], label[biased]]
        return gains


class Successors(NamedTuple):
    """S successors: the row of the prefix, the label, the place of its duration, and what they add to the prefix.

    label_log_prob: of the label alone; log_prob: of label and duration; score: the prefix's, log_prob and gain
    """

    row: Integers
    label: Integers
    span: Integers
    label_log_prob: Doubles
    log_prob: Doubles
    score: Doubles


def successors(
    stream: Integers, score: Doubles, labels: Labels, spans: Doubles, count: int, threshold: float
) -> Successors:
    """Return the best successors of each stream, by stream and score, at most `count` of each.

    stream: int64 [A], score: of the prefixes [A], spans: log probabilities of durations [A, K].
    """
    longest = score + spans.max(axis=1)
    top = np.full(stream.max() + 1, -np.inf)
    np.maximum.at(top, stream, labels.best() + longest)
    least = top[stream] - threshold
    row, label = labels.near(least - longest)
    label_log_prob, gain = labels.log_probs(row, label), labels.gains(row, label)
    totals = (score[row] + label_log_prob + gain)[:, None] + spans[row]
    pair, span = ((totals >= least[row][:, None]) & np.isfinite(totals)).nonzero()
    row, label, total = row[pair], label[pair], totals[pair, span]
    ranking = best_of(stream[row], total, count)
    row, label, span, pair = row[ranking], label[ranking], span[ranking], pair[ranking]
    log_prob = label_log_prob[pair] + spans[row, span]
    return Successors(row, label, span, label_log_prob[pair], log_prob, total[ranking])


def best_of(stream: Integers, score: Doubles, count: int) -> Integers:
    """Return the rows with the `count` best scores of each stream, by stream and score; the earlier of equals first."""
    order = np.lexsort((-score, stream))
    ordered = stream[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return order[place < count]


def log_softmax(logits: Floats) -> Doubles:
    """Return log probabilities [A, V] of logits [A, V], in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
