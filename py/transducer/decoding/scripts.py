"""A lock on writing systems: a model of many languages writes in those that are asked for, and in no other.

Example:
    bias = ScriptLock(["Latin"], vocabulary.spelt)
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from transducer.core.cli import InputError
from transducer.decoding.bias import Doubles, Integers

# Japanese's mark of a long vowel, a letter to Unicode.
MARKS = {"KATAKANA-HIRAGANA"}


class ScriptLock:
    """A bias that forbids every label with a letter of another script. It is a Bias of one state.

    Args:
        scripts: names as Unicode's character names begin with them, in any case: Latin, Cyrillic, Greek, CJK, Hangul.
        spelt: the labels' texts in order of their ids.

    Raises: InputError for a script of which no label has a letter.
    """

    def __init__(self, scripts: Sequence[str], spelt: Sequence[str]) -> None:
        allowed = {script.upper() for script in scripts}
        label_scripts = [scripts_of(label) for label in spelt]
        known = set().union(*label_scripts)
        if missing := sorted(allowed - known):
            raise InputError(
                f"The model has no token in the script {missing[0].title()!r}; give some of "
                f"{', '.join(sorted(script.title() for script in known))}."
            )
        self._gains = np.array([0.0 if scripts_of_label <= allowed else -np.inf for scripts_of_label in label_scripts])

    def gains(self, states: Integers) -> Doubles:
        return np.broadcast_to(self._gains, (len(states), len(self._gains)))

    def follow(self, state: int, label: int) -> int:
        return 0

    def end(self, state: int) -> float:
        return 0.0


def scripts_of(text: str) -> set[str]:
    """Return the scripts of a text's letters, as their Unicode names begin; digits and marks belong to all."""
    return {unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha()} - MARKS
