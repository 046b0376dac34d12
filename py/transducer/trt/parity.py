"""Compare an engine with ONNX Runtime on its graph, by polygraphy's comparator, over the sizes that it takes.

Example:
    cases = compared(OnnxrtRunner(session), engine_runner(plan), manifest["profile"], facts, tolerance=2e-2)
"""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from transducer.core.cases import Case
from transducer.core.contracts import Arrays
from transducer.runtime.parity import carried, case_errors, steps

# Largest error over an output's largest value, by what the graph computes in. The reference is the same graph, so what
# quantization itself costs is not part of it; roundings of int8 that fall the other way are.
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2, "int8-qdq": 1e-1}


def cases(profile: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """Yield the sizes to check an engine at: every length at the smallest and usual batch, the largest batch once."""
    axes = profile["axes"]
    lengths = [axis for axis in ("T", "U") if axis in axes]
    for batch in sorted({axes["B"]["min"], axes["B"]["opt"]}):
        for lengths_of_case in product(*(sorted(set(axes[axis].values())) for axis in lengths)):
            yield {"B": batch, **dict(zip(lengths, lengths_of_case, strict=True))}
    yield {"B": axes["B"]["max"], **{axis: axes[axis]["min"] for axis in lengths}}


def compared(
    reference: Any, engine: Any, profile: Mapping[str, Any], facts: Mapping[str, str], tolerance: float
) -> list[Case]:
    """Return for each case, and each step of a case with states, the errors of an engine.

    max_relative is the largest over the outputs of an output's error over its own largest value; it is infinite where
    polygraphy's comparator rejects an output though that is within the tolerance.

    Args:
        reference, engine: polygraphy's runners of the graph and of the engine.
        profile: what the engine takes, as build_profile returns it.
        facts: the graph's metadata.
        tolerance: largest error of an output over its largest value; integers are to be equal.

    The reference's states go into both, so that each step is judged alone. Outputs beyond a row's length are
    compared too: a consumer may read them.
    """
    from polygraphy.comparator import Comparator, SimpleCompareFunc
    from polygraphy.logger import G_LOGGER

    graph, dims = profile["graph"], json.loads(facts["dims"])
    case_sizes: list[dict[str, int]] = []
    expected: Arrays = {}

    def feeds() -> Iterator[Arrays]:
        names = list(reference.get_input_metadata())
        for number, sizes in enumerate(cases(profile)):
            expected.clear()
            for inputs in steps(graph, dims | sizes, seed=number):
                case_sizes.append(sizes)
                yield dict(zip(names, (inputs | carried(expected)).values(), strict=True))

    compared_cases: list[Case] = []
    # The caller reports what differs.
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        # Lazily: the states of a step are there before its inputs are asked for.
        for run in Comparator.run([reference, engine], feeds(), streaming=True):
            expected.update(run[0][1][0].items())
            bounds = {name: tolerance * _largest(array) for name, array in expected.items()}
            judge = SimpleCompareFunc(check_error_stat="max", rtol=0, atol=bounds)
            accuracy = Comparator.compare_accuracy(run, compare_func=judge)
            ((outputs,),) = accuracy[0].values()
            errors = {name: _error(result) for name, result in outputs.items()}
            relative = max(error / (_largest(expected[name]) or 1) if error else 0.0 for name, error in errors.items())
            agree = bool(accuracy) and set(errors) == set(expected)
            tensors = dict(run[1][1][0].items())
            compared_cases.append(
                Case(
                    case_sizes[-1],
                    {name: list(array.shape) for name, array in tensors.items()},
                    max(errors.values()),
                    relative if agree or relative > tolerance else float("inf"),
                    case_errors(expected, tensors)[2] if agree else float("inf"),
                )
            )
    return compared_cases


def _largest(array: np.ndarray) -> float:
    """Return the largest magnitude of floats; 0 for integers, which have no error to allow."""
    return float(np.abs(array).max(initial=0.0)) if array.dtype.kind == "f" else 0.0


def _error(result: Any) -> float:
    """Return the largest error of an output; infinite if shapes differ or it is not finite."""
    error = float(getattr(result, "max_absdiff", np.inf))
    return error if np.isfinite(error) else np.inf
