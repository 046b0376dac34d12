"""N-gram models of tokens in ARPA format, fused into a beam search.

Example:
    bias = LanguageModel.read(Path("token_lm.arpa"), labels, weight=0.3)

The words of the ARPA file are the model's labels, as vocab.txt writes them. `make token-lm` writes such a file, as do
KenLM and SRILM from a text of labels.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, existing
from transducer.decoding.bias import Doubles, Integers
from transducer.decoding.n_grams import BEGIN, END, UNKNOWN, Context

LN10 = math.log(10)
# Log probability of a label that the model has not: as rare as the rarest that a text of a million tokens holds.
UNSEEN = -math.log(1e6)


class LanguageModel:
    """A backoff n-gram model as a bias: weight times ln p(label | labels before). It is a Bias.

    Args:
        n_grams: natural logarithms of probability and backoff weight, by words.
        labels: the model's labels in order of their ids.
    """

    def __init__(self, n_grams: Mapping[Context, tuple[float, float]], labels: Sequence[str], weight: float) -> None:
        self._n_grams, self._labels, self._weight = n_grams, labels, weight
        self._order = max(map(len, n_grams))
        self._known = {label: number for number, label in enumerate(labels)}
        # What may follow a context, by label number.
        self._followers: dict[Context, list[tuple[int, float]]] = {}
        for words, (log_prob, _) in n_grams.items():
            # A context that only the end may follow is one, too.
            followers = self._followers.setdefault(words[:-1], [])
            if words[-1] in self._known:
                followers.append((self._known[words[-1]], log_prob))
        self._contexts: list[Context] = [self._shortened((BEGIN,))]
        self._numbers = {self._contexts[0]: 0}
        self._row = cache(self._compute_row)

    @classmethod
    def read(cls, path: Path, labels: Sequence[str], weight: float) -> "LanguageModel":
        """Read an ARPA file. Raises: InputError if it is damaged, or is of other tokens."""
        n_grams = read_arpa(path)
        words = {words[0] for words in n_grams if len(words) == 1} - {BEGIN, END, UNKNOWN}
        if foreign := sorted(words - set(labels)):
            raise InputError(
                f"{path}: {foreign[0]!r} is not a token of the model, and {len(foreign)} of its {len(words)} tokens "
                "are not; make it of the model's own tokens with `make token-lm`."
            )
        return cls(n_grams, labels, weight)

    def log_prob(self, context: Context, word: str) -> float:
        """Return ln p(word | context)."""
        if entry := self._n_grams.get((*context, word)):
            return entry[0]
        if not context:
            return self._n_grams.get((UNKNOWN,), (UNSEEN, 0.0))[0]
        return self._backoff(context) + self.log_prob(context[1:], word)

    def gains(self, states: Integers) -> Doubles:
        return np.stack([self._row(state) for state in states.tolist()])

    def follow(self, state: int, label: int) -> int:
        context = self._shortened((*self._contexts[state], self._labels[label]))
        if context not in self._numbers:
            self._numbers[context] = len(self._contexts)
            self._contexts.append(context)
        return self._numbers[context]

    def end(self, state: int) -> float:
        return self._weight * self.log_prob(self._contexts[state], END) if (END,) in self._n_grams else 0.0

    def _shortened(self, context: Context) -> Context:
        """Return the part of a context that what follows depends on."""
        context = context[-(self._order - 1) :] if self._order > 1 else ()
        while context and context not in self._followers and not self._backoff(context):
            context = context[1:]
        return context

    def _backoff(self, context: Context) -> float:
        return self._n_grams.get(context, (0.0, 0.0))[1]

    def _compute_row(self, state: int) -> Doubles:
        """Return the weighted log probability of each label; a longer context takes the place of a shorter one."""
        context = self._contexts[state]
        row = np.full(len(self._labels), self.log_prob((), UNKNOWN))
        for start in range(len(context), -1, -1):
            row += self._backoff(context[start:]) if start < len(context) else 0.0
            for label, log_prob in self._followers.get(context[start:], ()):
                row[label] = log_prob
        return self._weight * row


def read_arpa(path: Path) -> dict[Context, tuple[float, float]]:
    """Return the n-grams of an ARPA file, natural logarithms of probability and backoff weight. Raises: InputError."""
    try:
        lines = existing(path, "make it with `make token-lm TEXT=FILE`").read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text, which an ARPA model is; make it again.") from None
    n_grams: dict[Context, tuple[float, float]] = {}
    order = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("\\end\\"):
            break
        if header := re.fullmatch(r"\\(\d+)-grams:\s*", line):
            order = int(header[1])
        elif order and line.strip():
            try:
                words, log_prob, backoff = _entry(line.rstrip("\r"), order)
            except ValueError:
                raise InputError(f"{path}, line {number}: it is not an n-gram of {order}; make it again.") from None
            n_grams[words] = log_prob * LN10, backoff * LN10
    if not n_grams:
        raise InputError(f"{path} has no n-grams; make it again with `make token-lm TEXT=FILE`.")
    return n_grams


def _entry(line: str, order: int) -> tuple[Context, float, float]:
    """Return words, log10 probability and log10 backoff weight of a line. Raises: ValueError."""
    # A token may be a space of another kind than these.
    fields = line.replace("\t", " ").split(" ")
    words = tuple(fields[1 : order + 1])
    if len(words) != order or len(fields) > order + 2 or not all(words):
        raise ValueError(line)
    log_prob, backoff = float(fields[0]), float(fields[order + 1]) if len(fields) == order + 2 else 0.0
    if math.isnan(log_prob) or log_prob > 0 or not math.isfinite(backoff):
        raise ValueError(line)
    return words, log_prob, backoff
