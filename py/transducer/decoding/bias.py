"""What steers a beam search beside the model: the scores that a bias adds to labels.

Example:
    search = BeamSearch(decoder, beam=8, bias=Biases([phrases, language_model]))
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Bias(Protocol):
    """What is added to the scores of labels, depending on the labels before; states are numbers, 0 at the start."""

    def gains(self, states: Integers) -> Doubles:
        """Return what each label but the blank adds after states [A]: [A, V - 1], in nats; -inf forbids a label."""
        ...

    def follow(self, state: int, label: int) -> int:
        """Return the state after a label."""
        ...

    def end(self, state: int) -> float:
        """Return what the end of the audio adds, in nats."""
        ...


class Biases:
    """The sum of several biases, as one. It is a Bias."""

    def __init__(self, parts: Sequence[Bias]) -> None:
        self._parts = parts
        # A state stands for one state of each part.
        self._states = [(0,) * len(parts)]
        self._numbers = {self._states[0]: 0}

    def gains(self, states: Integers) -> Doubles:
        columns = np.array([self._states[state] for state in states.tolist()], np.int64).T
        first, *others = (part.gains(column) for part, column in zip(self._parts, columns, strict=True))
        return sum(others, start=first)

    def follow(self, state: int, label: int) -> int:
        after = tuple(part.follow(at, label) for part, at in zip(self._parts, self._states[state], strict=True))
        if after not in self._numbers:
            self._numbers[after] = len(self._states)
            self._states.append(after)
        return self._numbers[after]

    def end(self, state: int) -> float:
        return sum(part.end(at) for part, at in zip(self._parts, self._states[state], strict=True))
