"""Which products of a graph lose most by static int8, and so stay in fp32 within a budget of the arithmetic.

Example:
    kept = harmful(graph, limits, observations(graph.path, list(limits), inputs), max_error=0.1, max_share=0.05)
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import log
from transducer.quantize.rounding import int8_factors
from transducer.quantize.source import Source
from transducer.runtime.parity import relative_rms

# Rows of an activation that a product is measured on.
ROWS = 256


def harmful(
    graph: Source,
    limits: Mapping[str, float],
    observed: Iterable[tuple[str, NDArray[Any]]],
    max_error: float,
    max_share: float,
) -> set[str]:
    """Return the outputs of the products whose error is above a bound, the worst first, until the budget is spent.

    Args:
        limits: of the activations, what int8's largest value stands for.
        observed: the activations [..., C] on real data, each at least once.
        max_error: root mean square of a product's error over that of the product.
        max_share: of the multiplications of all products that may stay in fp32.
    """
    rows: dict[str, NDArray[Any]] = {}
    for name, values in observed:
        table = values.reshape(-1, values.shape[-1])
        rows.setdefault(name, table[:: max(len(table) // ROWS, 1)])
    costs = {
        node.output[0]: float(np.prod(graph.shape(node.input[1]))) for node in graph.nodes if graph.is_matrix(node)
    }
    errors = {
        node.output[0]: product_error(rows[node.input[0]], graph.array(node.input[1]), limits[node.input[0]])
        for node in graph.nodes
        if node.output[0] in costs
    }
    budget, exclusions = max_share * sum(costs.values()), set[str]()
    for name in sorted(errors, key=lambda name: -errors[name]):
        if errors[name] <= max_error:
            break
        if costs[name] <= budget:
            budget -= costs[name]
            exclusions.add(name)
            log.info("%s stays in fp32: int8 would be off by %.1f %%", name, 100 * errors[name])
        else:
            log.warning("%s is off by %.1f %% in int8, and no arithmetic is left for fp32", name, 100 * errors[name])
    return exclusions


def product_error(rows: NDArray[Any], matrix: NDArray[Any], limit: float) -> float:
    """Return the relative root mean square error of rows [N, C] times a matrix [C, out] with both in int8."""
    step = np.float32(limit / 127 or 1)
    values, scale = int8_factors(matrix, axis=0)
    product = (np.rint(rows / step).clip(-128, 127) * step) @ (values * scale)
    return relative_rms(rows @ matrix, product)
