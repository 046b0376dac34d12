"""Open graphs in their runtimes and run them by name.

Example:
    candidate = session_runner(open_session(Path("out/demo-tdt/onnx/joint.onnx")))
    logits = candidate({"encoder_output": frames, "predictor_output": g})["joint_output"]
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

from transducer.core.contracts import Arrays, graph_of

Runner = Callable[[Arrays], Arrays]


class Value(Protocol):
    """An input or output of a graph; dynamic axes of its shape have names."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Sequence[int | str]: ...


class Session(Protocol):
    """What this project uses of an ONNX Runtime session; engines and ExecuTorch programs offer the same."""

    def get_inputs(self) -> Sequence[Value]: ...

    def get_outputs(self) -> Sequence[Value]: ...

    def run(self, names: Sequence[str] | None, feeds: Arrays) -> list[Any]: ...


def open_session(path: Path, optimize: bool = True, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open a graph in ONNX Runtime on the CPU (threads 0: all cores).

    Without optimization it opens faster and keeps weights mapped, which suits a few runs.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def session_runner(session: Session) -> Runner:
    """Return a function from inputs in the contract's order to outputs by name."""
    inputs, names = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))

    def run(arrays: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, dict(zip(inputs, arrays.values(), strict=True))), strict=True))

    return run


def fixed_sizes(name: str, session: onnxruntime.InferenceSession) -> dict[str, int]:
    """Return the sizes of those axes that a graph's own inputs fix."""
    dims = json.loads(session.get_modelmeta().custom_metadata_map["dims"])
    return {
        axis: size
        for value, axes in zip(session.get_inputs(), graph_of(name, dims).inputs.values(), strict=True)
        for axis, size in zip(axes, value.shape, strict=True)
        if isinstance(size, int)
    }


def fp32_runner(session: onnxruntime.InferenceSession) -> Runner:
    """Return a function from inputs to outputs by name, all in fp32, whatever the session's dtypes are."""
    halves = [value.type == "tensor(float16)" for value in session.get_inputs()]
    run = session_runner(session)

    def run_fp32(arrays: Arrays) -> Arrays:
        inputs = zip(arrays.items(), halves, strict=True)
        outputs = run({name: array.astype(np.float16) if half else array for (name, array), half in inputs})
        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in outputs.items()
        }

    return run_fp32
