"""Open a built graph in the runtime that its file name asks for.

Example:
    session = open_graph(Path("out/demo-tdt/onnx/joint.onnx"), threads=1)

This is apart from `sessions`, because it reads the code that finds GPUs, and exported graphs do not depend on that.
"""

from pathlib import Path

from onnxruntime import InferenceSession
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from transducer.core.cli import InputError, existing
from transducer.runtime.pte import PteSession, open_pte
from transducer.runtime.sessions import open_session
from transducer.runtime.trt import EngineSession, open_engine

# What ONNX Runtime says of damaged files, lost sidecars, and operators that it lacks.
LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
)


def open_graph(path: Path, threads: int = 0) -> InferenceSession | EngineSession | PteSession:
    """Open a built graph whose axes are dynamic (threads 0: all cores), or a TensorRT engine (.plan) or ExecuTorch
    program (.pte) of one.

    Raises: InputError if it was not built, is damaged, or takes one size only.
    """
    if path.suffix == ".plan":
        return open_engine(path)
    if path.suffix == ".pte":
        return open_pte(path)
    existing(path, f"build it with `make {path.name}`")
    try:
        session = open_session(path, threads=threads)
    except LOAD_ERRORS as error:
        raise InputError(f"{path} cannot be loaded ({str(error).splitlines()[0]}); build it again.") from None
    shape = session.get_inputs()[0].shape
    if isinstance(shape[0], int):
        raise InputError(f"{path} takes the shape {shape} only; build it without FIXED=1.")
    return session
