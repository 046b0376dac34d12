"""Cases of a comparison: at which sizes two implementations were compared, and how far apart they are.

Example:
    case = Case({"B": 1, "T": 160}, {"encoder_output": [1, 176, 20]}, *case_errors(expected, outputs))
    print(largest_errors([case])["max_abs"])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Errors of a case, whose largest are figures of a check.
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


def largest_errors(cases: Sequence[Case]) -> dict[str, float]:
    """Return the largest error of all cases by kind; nothing if there are no cases."""
    return {name: max(float(getattr(case, name)) for case in cases) for name in ERRORS if cases}
