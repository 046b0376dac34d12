"""Word and character error rates with bootstrap confidence intervals, and their difference between two systems.

Example:
    errors = word_errors(references, hypotheses)
    print(rate(errors), interval(errors))
"""

from collections.abc import Sequence

import numpy as np
from kaldialign import edit_distance
from numpy.typing import NDArray

# errors [N, 2]: edits of each utterance, and the length of its reference.
Errors = NDArray[np.int64]

RESAMPLES = 10_000
SEED = 1


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> Errors:
    """Count the word edits of each utterance and the words of its reference, int64 [N, 2]."""
    return _errors([text.split() for text in references], [text.split() for text in hypotheses])


def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> Errors:
    """Count the character edits of each utterance and the characters of its reference, spaces too, int64 [N, 2]."""
    return _errors([list(text) for text in references], [list(text) for text in hypotheses])


def _errors(references: list[list[str]], hypotheses: list[list[str]]) -> Errors:
    counts = [
        (edit_distance(reference, hypothesis)["total"], len(reference))
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    return np.array(counts, dtype=np.int64)


def rate(errors: Errors) -> float:
    """Return edits over length of the whole set, in points (per cent); a set without words counts as one word."""
    edits, length = errors.sum(axis=0)
    return float(100 * edits / max(length, 1))


def interval(errors: Errors, baseline: Errors | None = None) -> list[float]:
    """Return the 95 % bootstrap interval of a rate in points, or of its difference from a baseline's.

    Utterances are drawn with replacement, the same for both systems, so that a difference is paired.
    """
    random = np.random.default_rng(SEED)
    rates = [_resample(errors, baseline, random.integers(len(errors), size=len(errors))) for _ in range(RESAMPLES)]
    low, high = np.percentile(rates, [2.5, 97.5])
    return [float(low), float(high)]


def _resample(errors: Errors, baseline: Errors | None, rows: NDArray[np.int64]) -> float:
    return rate(errors[rows]) - (0.0 if baseline is None else rate(baseline[rows]))
