"""Choose entries of a manifest evenly, in batches.

Example:
    for rows in evenly_spaced_batches(manifest, usable=len(entries), count=16, size=8): ...
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError


def evenly_spaced_batches(manifest: Path, usable: int, count: int, size: int) -> list[NDArray[np.int64]]:
    """Return the entries [size] of each of `count` batches. Raises: InputError if there are not so many."""
    total = count * size
    if not 0 < total <= usable:
        raise InputError(
            f"{manifest} has {usable} usable entries, and {count} batches of {size} need {total}; "
            "set CALIB_BATCHES and CALIB_BATCH_SIZE to what it has, or CALIB_MANIFEST to a larger one."
        )
    return np.split(np.linspace(0, usable - 1, total).round().astype(np.int64), count)
