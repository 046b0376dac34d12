"""Run TensorRT engines in the place of ONNX Runtime sessions.

Example:
    session = open_engine(Path("out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/joint.fp16.plan"))
    (logits,) = session.run(None, {"encoder_output": frames, "predictor_output": g})
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, existing
from transducer.core.contracts import Arrays
from transducer.runtime.trt_backend import require_loadable


@dataclass(frozen=True)
class Value:
    """An input or output, with the attributes of ONNX Runtime's; dynamic axes of its shape have names."""

    name: str
    shape: list[int | str]
    dtype: str


class EngineSession:
    """A runner of polygraphy with those methods of an ONNX Runtime session that this project uses.

    Args:
        runner: an active TrtRunner, or another with the same `infer`, from {name: array} to {name: array}.
        manifest: what trt/build.py wrote beside the plan.

    Attributes:
        max_rows: the largest batch of the engine's profile.
    """

    def __init__(self, runner: Any, manifest: Mapping[str, Any]) -> None:
        self._runner, self._plan = runner, manifest["plan"]
        self._profile = manifest["profile"]
        self._inputs, self._outputs = ([Value(**value) for value in manifest[side]] for side in ("inputs", "outputs"))
        self.max_rows = self._profile["axes"]["B"]["max"]

    def get_inputs(self) -> list[Value]:
        return self._inputs

    def get_outputs(self) -> list[Value]:
        return self._outputs

    def run(self, names: Sequence[str] | None, feeds: Arrays) -> list[NDArray[Any]]:
        """Return outputs, float32 where they are fp16. Raises: InputError for a shape beyond the profile."""
        for name, bounds in self._profile["inputs"].items():
            low, high, shape = bounds["min"], bounds["max"], feeds[name].shape
            if not all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True)):
                raise InputError(
                    f"{self._plan} was built for {name} of {low} to {high}, not {list(shape)}; build it with ranges "
                    "TRT_MIN_S to TRT_MAX_S and TRT_MIN_B to TRT_MAX_B that include it."
                )
        outputs = self._runner.infer(
            {
                value.name: np.ascontiguousarray(
                    feeds[value.name], np.float16 if value.dtype == "float16" else feeds[value.name].dtype
                )
                for value in self._inputs
            }
        )
        # Copied, because the runner's next call reuses its buffers.
        return [
            outputs[name].astype(np.float32 if outputs[name].dtype == np.float16 else outputs[name].dtype)
            for name in names or [value.name for value in self._outputs]
        ]


def read_manifest(plan: Path) -> Any:
    """Return what trt/build.py wrote beside a plan. Raises: InputError if the two are not there."""
    existing(plan, "build it with `make trt-engines`")
    return json.loads(existing(plan.with_suffix(".json"), "run `make trt-engines` again").read_text("utf-8"))


def open_engine(path: Path) -> EngineSession:
    """Load a plan on this machine's GPU. Raises: InputError, as engine_runner."""
    return EngineSession(engine_runner(path), read_manifest(path))


def engine_runner(path: Path) -> Any:
    """Load a plan on this machine's GPU and return polygraphy's runner of it, active.

    Raises: InputError if it was not built, is for another TensorRT or GPU, or cannot be loaded.
    """
    manifest = read_manifest(path)
    backend = json.loads(existing(path.parent.parent / "backend.json", "run `make trt-backends`").read_text("utf-8"))
    require_loadable(manifest, backend, path)
    if not backend["gpu"]:
        raise InputError(
            f"{path} needs an NVIDIA GPU to run, and nvidia-smi finds none; copy the build folder to where one is."
        )
    # Polygraphy reads this when it is imported.
    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = str(int(manifest["tensorrt"] == "rtx"))
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner
    from polygraphy.exception import PolygraphyException

    runner = TrtRunner(EngineFromBytes(BytesFromPath(str(path))), name="TensorRT")
    try:
        runner.activate()
    except (PolygraphyException, ImportError) as error:
        raise InputError(
            f"{path} cannot be loaded ({str(error).splitlines()[0]}); it needs the Python package of TensorRT "
            f"{manifest['version']} and a free GPU."
        ) from None
    return runner
