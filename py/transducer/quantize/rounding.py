"""Weights rounded to int8.

Example:
    values, scale = int8_factors(matrix, axis=0)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Quantized = tuple[NDArray[np.int8], NDArray[np.float32]]


def int8_columns(array: NDArray[Any], axis: int, limit: int = 127) -> Quantized:
    """Quantize along `axis`: int8 values of the same shape, within ±limit, and a scale for each other index."""
    return _rounded(array, axis, np.abs(array).max(axis=axis, keepdims=True) / np.float32(limit))


def int8_factors(array: NDArray[Any], axis: int) -> Quantized:
    """Quantize factors of an integer product along `axis`, as int8_columns does, so that every CPU has room for it.

    x86 CPUs without VNNI multiply two neighbours along `axis` by activations of 0 to 255 and add these products in 16
    bits, where what is beyond 32,767 is lost. So the values of two neighbours of one sign add up to 128 at most.
    """
    factors = np.moveaxis(array, axis, 0)
    pairs = factors[: len(factors) // 2 * 2].reshape(-1, 2, *factors.shape[1:])
    sums = [np.maximum(sign * pairs, 0).sum(axis=1).max(axis=0, initial=0) for sign in (1, -1)]
    largest = np.maximum(np.abs(factors).max(axis=0), np.maximum(*sums))
    # Each of two is rounded up by a half at most.
    return _rounded(array, axis, np.expand_dims(largest, axis) / np.float32(127))


def _rounded(array: NDArray[Any], axis: int, scale: NDArray[Any]) -> Quantized:
    scale[scale == 0] = 1
    return np.rint(array / scale).astype(np.int8), scale.astype(np.float32).squeeze(axis)
