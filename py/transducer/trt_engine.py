"""Run TensorRT engines in the place of ONNX Runtime sessions.

Example:
    session = open_engine(Path("out/demo-tdt/trt/trtexec-10.13.0.35-sm_86/joint.fp16.plan"))
    (logits,) = session.run(None, {"encoder_output": frames, "predictor_output": g})
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.cli import InputError, existing
from transducer.graphs import GRAPHS, Arrays

# The shapes of a profile, and sizes of an axis, in this order.
BOUNDS = ("min", "opt", "max")


@dataclass(frozen=True)
class Value:
    """An input or output, as ONNX Runtime tells of one: numbers, or names of dynamic axes."""

    name: str
    shape: list[int | str]
    dtype: str


class EngineSession:
    """A runner of polygraphy with those methods of an ONNX Runtime session that this project uses.

    Args:
        runner: active; TrtRunner, or another that gives {name: array} for {name: array}.
        manifest: what build_trt_engine.py wrote beside the plan.

    Attributes:
        max_rows: the largest batch that the engine takes.
    """

    def __init__(self, runner: Any, manifest: Mapping[str, Any]) -> None:
        self._runner, self._plan = runner, manifest["plan"]
        self._profile = manifest["profile"]
        self._inputs, self._outputs = ([Value(**value) for value in manifest[side]] for side in ("inputs", "outputs"))
        self.max_rows = sizes(self._profile)["B"][2]

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
                    "TRT_MIN_S to TRT_MAX_S and TRT_MIN_B to TRT_MAX_B that have it."
                )
        found = self._runner.infer(
            {
                value.name: np.ascontiguousarray(
                    feeds[value.name], np.float16 if value.dtype == "float16" else feeds[value.name].dtype
                )
                for value in self._inputs
            }
        )
        # The runner's own buffers are used again by its next call.
        return [
            found[name].astype(np.float32 if found[name].dtype == np.float16 else found[name].dtype)
            for name in names or [value.name for value in self._outputs]
        ]


def open_engine(path: Path) -> EngineSession:
    """Load a plan on this machine's GPU.

    Raises: InputError if it was not built, is of another TensorRT or GPU, or cannot be loaded.
    """
    existing(path, "build it with `make trt-engines`")
    manifest = json.loads(existing(path.with_suffix(".json"), "run `make trt-engines` again").read_text("utf-8"))
    found = json.loads(existing(path.parent.parent / "backend.json", "run `make trt-backends`").read_text("utf-8"))
    require_loadable(manifest, found, path)
    if not found["gpu"]:
        raise InputError(f"{path} needs an NVIDIA GPU to run, and nvidia-smi finds none; copy the build folder to one.")
    # Read by polygraphy when it is imported.
    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = str(int(manifest["tensorrt"] == "rtx"))
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner
    from polygraphy.exception import PolygraphyException

    runner = TrtRunner(EngineFromBytes(BytesFromPath(str(path))))
    try:
        runner.activate()
    except (PolygraphyException, ImportError) as error:
        raise InputError(
            f"{path} cannot be loaded ({str(error).splitlines()[0]}); it takes the Python package of TensorRT "
            f"{manifest['version']} and the GPU free."
        ) from None
    return EngineSession(runner, manifest)


def require_loadable(manifest: Mapping[str, Any], found: Mapping[str, Any], plan: Path) -> None:
    """Refuse to load a plan with another TensorRT or on another GPU than it was built for. Raises: InputError."""
    built, here = ([facts[key] for key in ("tensorrt", "version", "arch")] for facts in (manifest, found))
    if built != here:
        raise InputError(
            f"{plan} was built by {built[0]} {built[1]} for {built[2]}, but this machine has {here[0]} {here[1]} and "
            f"{here[2]}; plans do not move between them, so build it here with `make trt-engines`."
        )


def sizes(profile: Mapping[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return min, opt and max of every axis that the graph contract names, the fixed ones too."""
    found: dict[str, tuple[int, int, int]] = {}
    for tensor, axes in GRAPHS[profile["graph"]].inputs.items():
        fixed = dict.fromkeys(BOUNDS, profile["fixed"].get(tensor))
        low, middle, high = (profile["inputs"].get(tensor, fixed)[key] for key in BOUNDS)
        found |= {axis: (low[n], middle[n], high[n]) for n, axis in enumerate(axes)}
    return found


def cases(profile: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """Yield the sizes to check an engine at: every length at the smallest and usual batch, the largest batch once."""
    ranges = sizes(profile)
    lengths = [axis for axis in ("T", "U") if axis in ranges]
    for batch in sorted(set(ranges["B"][:2])):
        for chosen in product(*(sorted(set(ranges[axis])) for axis in lengths)):
            yield {"B": batch, **dict(zip(lengths, chosen, strict=True))}
    yield {"B": ranges["B"][2], **{axis: ranges[axis][0] for axis in lengths}}
