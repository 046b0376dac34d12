"""Cases of a comparison: at which sizes two implementations were compared, and how far apart they are.

Example:
    case = Case({"B": 1, "T": 160}, {"encoder_output": [1, 176, 20]}, *case_errors(expected, outputs))
    print(largest_errors([case])["max_abs"])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The errors of a case; the largest over all cases become figures of a check.
ERRORS = ("max_abs", "max_relative", "relative_rms")


@dataclass(frozen=True)
class Case:
    """One comparison: input sizes, output shapes, and errors.

    max_abs: the largest absolute error.
    max_relative: the largest absolute error over the largest magnitude of the values.
    relative_rms: root mean square of the error over that of the values.
    """

    sizes: Mapping[str, int]
    shapes: Mapping[str, list[int]]
    max_abs: float
    max_relative: float
    relative_rms: float


# Rounding grows with the values: logits of hundreds differ by some 1e-4 between two right fp32 graphs.
RELATIVE = 2e-6


def bound_of(cases: Sequence[Case], absolute: float) -> float:
    """Return the bound of `max_abs`: an absolute part and one relative to the largest value, as numpy.isclose has."""
    largest = max((case.max_abs / case.max_relative for case in cases if case.max_relative), default=0.0)
    return absolute + RELATIVE * largest


def largest_errors(cases: Sequence[Case]) -> dict[str, float]:
    """Return the largest error of all cases by kind; nothing without cases."""
    return {name: max(float(getattr(case, name)) for case in cases) for name in ERRORS if cases}
