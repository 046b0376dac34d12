"""Run ExecuTorch programs in ExecuTorch's own Python runtime, with the methods of an ONNX Runtime session.

Example:
    session = open_pte(Path("out/demo-tdt/pte/encoder.int8.pte"))
    encoder_output, encoded_lengths = session.run(None, {"audio_signal": features, "length": lengths})
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, existing, quiet_stderr
from transducer.core.contracts import Arrays, graph_of


class SizeError(InputError):
    """An input of a size that a program was not made for."""


@dataclass(frozen=True)
class Value:
    """An input or output of a program; `shape` has a name where an axis is dynamic."""

    name: str
    shape: list[int | str]


class PteSession:
    """A loaded program with those methods of an ONNX Runtime session that this project uses.

    Args:
        method: ExecuTorch's, called with tensors in order.
        manifest: the content of the JSON file beside the program.

    A frontend and an encoder run one utterance at a time: batches go row by row, each at its own length.
    """

    def __init__(self, method: Any, manifest: Mapping[str, Any]) -> None:
        self._method, self._file = method, manifest["file"]
        self.name: str = manifest["graph"]
        self.facts: dict[str, Any] = manifest["facts"]
        self.graph = graph_of(self.name, self.facts["dims"])
        self.bounds: dict[str, list[int]] = manifest["bounds"]
        self._names = [value["name"] for value in manifest["inputs"]]

    def get_inputs(self) -> list[Value]:
        axes = self.graph.inputs.values()
        return [Value(name, self._shape(shape)) for name, shape in zip(self._names, axes, strict=True)]

    def get_outputs(self) -> list[Value]:
        return [Value(name, self._shape(shape)) for name, shape in self.graph.outputs.items()]

    def run(self, names: Sequence[str] | None, feeds: Arrays) -> list[NDArray[Any]]:
        """Return the named outputs, or all. Raises: SizeError for a size outside the file's bounds."""
        arrays = [feeds[name] for name in self._names]
        outputs = self._by_row(*arrays) if self.name in ("encoder", "frontend") else self._execute(arrays)
        return [outputs[list(self.graph.outputs).index(name)] for name in names] if names else outputs

    def _by_row(self, values: NDArray[Any], lengths: NDArray[Any]) -> list[NDArray[Any]]:
        rows = [
            self._execute([values[row : row + 1, ..., :length], lengths[row : row + 1]])
            for row, length in enumerate(lengths.tolist())
        ]
        longest = max(row[0].shape[2] for row in rows)
        outputs = np.zeros((len(rows), rows[0][0].shape[1], longest), np.float32)
        for place, (row, _) in zip(outputs, rows, strict=True):
            place[:, : row.shape[2]] = row[0]
        return [outputs, np.concatenate([row[1] for row in rows])]

    def _execute(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        import torch

        for name, axes, array in zip(self._names, self.graph.inputs.values(), arrays, strict=True):
            for axis, size in zip(axes, array.shape, strict=True):
                low, high = self.bounds.get(axis, self._fixed(axis, size))
                if not low <= size <= high:
                    more = ", or build the file with more PTE_MAX_FRAMES" if axis in ("T", "samples") else ""
                    advice = "give a longer input" if size < low else f"cut the input{more}"
                    raise SizeError(
                        f"{self._file} accepts {name} with {axis} from {low} to {high}, not {size}; {advice}."
                    )
        outputs = self._method.execute([torch.from_numpy(np.ascontiguousarray(array)) for array in arrays])
        # Copied, because the runtime's next call reuses its buffers.
        return [tensor.numpy().copy() for tensor in outputs]

    def _fixed(self, axis: str, size: int) -> tuple[int, int]:
        fixed = {"B": 1, **self.facts["dims"]}.get(axis, size)
        return fixed, fixed

    def _shape(self, axes: Sequence[str]) -> list[int | str]:
        dims = self.facts["dims"]
        sizes = {"B": 1, "V+K": dims["V"] + dims["K"], **dims}
        return [axis if axis in self.bounds else sizes.get(axis, axis) for axis in axes]


def open_pte(path: Path, threads: int = 0) -> PteSession:
    """Load a program (threads 0: as the process has, initially all cores; all programs of a process share them).

    Raises: InputError if it was not built, is damaged or does not match its manifest.
    """
    manifest = read_manifest(path)
    try:
        with quiet_stderr():
            import executorch.kernels.quantized  # noqa: F401  registers the quantization operators outside of delegates
            from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
            from executorch.runtime import Runtime

            if threads:
                _unsafe_reset_threadpool(threads)
            method = Runtime.get().load_program(path).load_method("forward")
    except RuntimeError as error:
        raise InputError(f"{path} cannot be loaded ({str(error).splitlines()[0]}); build it again.") from None
    return PteSession(method, manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what the JSON file beside a program says of it. Raises: InputError if one is missing, or of another."""
    existing(path, f"build it with `make {path.name}`")
    content = existing(path.with_suffix(".json"), f"run `make {path.name}` again").read_text("utf-8")
    manifest: dict[str, Any] = json.loads(content)
    if path.stat().st_size != manifest["bytes"]:
        raise InputError(f"{path} is not the file that its manifest describes; build it again.")
    return manifest
