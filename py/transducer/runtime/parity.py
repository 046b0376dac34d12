"""Run graphs in ONNX Runtime and compare them over inputs of many sizes.

Example:
    candidate = session_runner(open_session(Path("out/demo-tdt/onnx/joint.onnx")))
    cases = compare("joint", reference, candidate, facts["dims"])
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cases import Case
from transducer.core.contracts import Arrays, example
from transducer.runtime.sessions import Runner, fixed_sizes, fp32_runner, open_session, session_runner

# Short and long inputs, single and batched; 9 frames are the fewest that give a second encoder frame.
CASES: dict[str, list[dict[str, int]]] = {
    "encoder": [{"B": b, "T": t} for b in (1, 3) for t in (9, 160, 1001)],
    "encoder_streaming": [{"B": b} for b in (1, 3)],
    "predictor": [{"B": b, "U": u} for b in (1, 3) for u in (1, 5)],
    "joint": [{"B": b, "T": t, "U": u} for b in (1, 3) for t in (1, 7) for u in (1, 5)],
    "ctc": [{"B": b, "T": t} for b in (1, 3) for t in (1, 7, 200)],
    "rnnt_step": [{"B": b} for b in (1, 3, 16)],
    "frontend": [{"B": b, "samples": n} for b in (1, 3) for n in (160, 1600, 16000, 116800)],
}
# How many steps a case takes to show that outputs can go back into inputs.
STEPS = {"predictor": 2, "rnnt_step": 2, "encoder_streaming": 12}


def compare(
    name: str,
    reference: Runner,
    candidate: Runner,
    sizes: Mapping[str, int],
    fixed: Mapping[str, int],
    varied: Sequence[Mapping[str, int]] = (),
) -> list[Case]:
    """Compare two implementations of a graph over `varied` sizes (CASES), or at its one size if that is fixed.

    `sizes` are the model's dims, `fixed` the axes that the graph fixes. Values beyond a row's length
    are compared too: a consumer may read them.
    """
    cases: list[Case] = []
    for choice in varied or CASES[name]:
        case = {axis: fixed.get(axis, size) for axis, size in choice.items()}
        if case in [dict(earlier.sizes) for earlier in cases]:
            continue
        errors: list[tuple[float, float, float]] = []
        expected: Arrays = {}
        actual: Arrays = {}
        for inputs in steps(name, {**sizes, **case}, seed=len(cases)):
            expected = reference(inputs | carried(expected))
            actual = candidate(inputs | carried(actual))
            errors.append(case_errors(expected, actual))
        shapes = {tensor: list(array.shape) for tensor, array in actual.items()}
        cases.append(Case(case, shapes, *(max(column) for column in zip(*errors, strict=True))))
    return cases


def compare_files(
    name: str, reference: Path, candidate: Path, varied: Sequence[Mapping[str, int]] = (), optimize: bool = False
) -> list[Case]:
    """Compare two forms of a graph, one session after the other, because each holds all weights.

    Where the candidate takes or gives fp16, values are converted. `optimize` is the candidate's.
    """
    outputs, dims, fixed = _recorded(name, reference, varied)
    replay = iter(outputs)
    other = fp32_runner(open_session(candidate, optimize=optimize))
    return compare(name, lambda _: next(replay), other, dims, fixed, varied)


def _recorded(
    name: str, path: Path, varied: Sequence[Mapping[str, int]]
) -> tuple[list[Arrays], dict[str, int], dict[str, int]]:
    """Return what a graph gives for each input of a comparison, its model's dims, and the axes that it fixes."""
    session = open_session(path, optimize=False)
    dims = json.loads(session.get_modelmeta().custom_metadata_map["dims"])
    fixed = fixed_sizes(name, session)
    runner, outputs = session_runner(session), list[Arrays]()

    def record(inputs: Arrays) -> Arrays:
        outputs.append(runner(inputs))
        return outputs[-1]

    compare(name, record, lambda _: outputs[-1], dims, fixed, varied)
    return outputs, dims, fixed


def steps(name: str, sizes: Mapping[str, int], seed: int) -> Iterator[Arrays]:
    """Yield the inputs of each step of a case, states as at the beginning."""
    count = STEPS.get(name, 1)
    for step in range(count):
        inputs = example(name, sizes, seed=seed * count + step)
        if name == "encoder_streaming":
            inputs["length"] = staggered(sizes["B"], sizes["T"], step, count)
        yield inputs


def carried(outputs: Arrays) -> Arrays:
    """Return the inputs that a step's outputs are for the next; none before the first."""
    return {name.removesuffix("_out"): array for name, array in outputs.items() if name.endswith("_out")}


def staggered(batch: int, window: int, step: int, steps: int) -> NDArray[np.int64]:
    """Return the lengths of streams that begin and end at different steps.

    Row r rests until step r, ends within its window at r steps from the last, and rests again.
    """
    rows = np.arange(batch)
    left = steps - 1 - step - rows
    lengths = np.where(left > 0, window, np.where(left == 0, window * 2 // 3, 0))
    return np.where(step < rows, 0, lengths)


def case_errors(expected: Arrays, actual: Arrays) -> tuple[float, float, float]:
    """Return the errors of a Case over all outputs; infinite where shapes or lengths differ."""
    worst = largest = wrong = power = 0.0
    for tensor, array in expected.items():
        if array.shape != actual[tensor].shape or (
            array.dtype.kind == "i" and not np.array_equal(array, actual[tensor])
        ):
            return float("inf"), float("inf"), float("inf")
        difference = array - actual[tensor]
        error = float(np.abs(difference).max(initial=0.0))
        # A NaN compares false with every bound, so it counts as infinitely wrong.
        worst = max(worst, error if np.isfinite(error) else float("inf"))
        if array.dtype.kind == "f":
            largest = max(largest, float(np.abs(array).max(initial=0.0)))
            wrong += float(np.square(difference, dtype=np.float64).sum())
            power += float(np.square(array, dtype=np.float64).sum())
    return worst, worst / max(largest, 1e-12), worst and math.sqrt(wrong / max(power, 1e-12))


def relative_rms(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the root mean square of the error over that of the values."""
    wrong = np.square(expected.astype(np.float64) - actual).sum()
    return float(np.sqrt(wrong / max(float(np.square(expected, dtype=np.float64).sum()), 1e-30)))
