"""What an audit counts: transcripts and words that changed though what was said did not.

Example:
    outcome = Outcome.of("gain", ["a b", "c"], ["a b", "c d"])
    print(outcome.changed, outcome.inserted)
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kaldialign import edit_distance

from transducer.core.cli import InputError


@dataclass(frozen=True)
class Outcome:
    """Of one test: its cases, transcripts changed, and words inserted, edited and expected in all."""

    cases: int
    changed: int
    inserted: int
    edited: int
    words: int

    @classmethod
    def of(cls, expected: Sequence[str], texts: Sequence[str]) -> "Outcome":
        """Count what was heard against what should have been."""
        pairs = list(zip(expected, texts, strict=True))
        edits = [edit_distance(before.split(), after.split()) for before, after in pairs]
        return cls(
            len(pairs),
            sum(before != after for before, after in pairs),
            sum(int(edit["ins"]) for edit in edits),
            sum(int(edit["total"]) for edit in edits),
            sum(len(before.split()) for before, _ in pairs),
        )

    @property
    def share(self) -> float:
        """Share of transcripts changed, or of words where a recording holds many utterances, in per cent."""
        if self.words > 20 * self.cases:
            return 100 * self.edited / max(self.words, 1)
        return 100 * self.changed / max(self.cases, 1)

    def summary(self) -> dict[str, Any]:
        return {**asdict(self), "share": round(self.share, 3)}


def bounds_of(texts: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Read bounds as on the command line, `2 gain=5`: one for all tests, and those of single ones.

    Raises: InputError for what is not a number of points, or for a test that does not exist.
    """
    bounds = dict.fromkeys(names, 0.0)
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            points = float(value)
        except ValueError:
            points = -1.0
        if not 0 <= points <= 100:
            raise InputError(f"AUDIT_MAX_CHANGED has '{text}'; give points from 0 to 100, or TEST=POINTS.")
        if name and name not in bounds:
            raise InputError(f"AUDIT_MAX_CHANGED names '{name}', which is not a test; give one of {', '.join(names)}.")
        bounds |= {name: points} if name else dict.fromkeys(names, points)
    return bounds
