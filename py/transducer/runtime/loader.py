"""Open a built graph in the runtime that its file name asks for.

Example:
    session = open_graph(Path("out/demo-tdt/onnx/joint.onnx"), threads=1)

This is separate from `sessions`, because it imports the GPU detection, on which exported graphs do not depend.
"""

from pathlib import Path

from onnxruntime import InferenceSession
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from transducer.core.cli import InputError, existing
from transducer.runtime.pte import PteSession, open_pte
from transducer.runtime.remote import RemoteSession, open_remote
from transducer.runtime.sessions import open_session
from transducer.runtime.trt import EngineSession, open_engine

# ONNX Runtime's errors for damaged files, missing sidecars and unsupported operators.
LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
)


def open_graph(path: Path, threads: int = 0) -> InferenceSession | EngineSession | PteSession | RemoteSession:
    """Open a built graph whose axes are dynamic (threads 0: all cores), a TensorRT engine (.plan) or ExecuTorch program
    (.pte) of one, or what runs elsewhere (.remote).

    Raises: InputError if it was not built, is damaged, or has fixed shapes.
    """
    if path.suffix == ".plan":
        return open_engine(path)
    if path.suffix == ".pte":
        return open_pte(path)
    if path.suffix == ".remote":
        return open_remote(path)
    existing(path, f"build it with `make {path.name}`")
    try:
        session = open_session(path, threads=threads)
    except LOAD_ERRORS as error:
        raise InputError(f"{path} cannot be loaded ({str(error).splitlines()[0]}); build it again.") from None
    shape = session.get_inputs()[0].shape
    if isinstance(shape[0], int):
        raise InputError(f"{path} has the fixed shape {shape}; build it without FIXED=1.")
    return session
