"""Weights rounded to int8.

Example:
    values, scale = int8_columns(matrix, axis=0)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def int8_columns(array: NDArray[Any], axis: int, limit: int = 127) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize along `axis`: int8 values of the same shape, within ±limit, and a scale for each other index."""
    scale = np.abs(array).max(axis=axis, keepdims=True) / np.float32(limit)
    scale[scale == 0] = 1
    return np.rint(array / scale).astype(np.int8), scale.astype(np.float32).squeeze(axis)
