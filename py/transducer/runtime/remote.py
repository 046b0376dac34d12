"""Run graphs in another process, as under the emulator of another processor, with the methods of a session.

Example:
    session = open_remote(Path("out/demo-tdt/arm64/encoder.int8.onnx.remote"))
    encoder_output, encoded_lengths = session.run(None, {"audio_signal": features, "length": lengths})

A `.remote` file is JSON: `file`, the graph, and `command`, that which serves it, the graph's path being its last
argument. The process says on its first line that it is ready. A message, of inputs or of outputs, is a line with the
number of its arrays; then for each a line with its type (f or i for float32 or int64) and its shape, and
its values, little-endian. A failure is a line "error: SENTENCE".
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.cli import InputError, existing
from transducer.core.contracts import Arrays
from transducer.runtime.pte import PteSession, Value, read_manifest

TYPES: dict[str, np.dtype[Any]] = {"f": np.dtype("<f4"), "i": np.dtype("<i8")}
LETTERS = {dtype: letter for letter, dtype in TYPES.items()}


class Process:
    """A process that runs one graph. Raises: InputError if it does not start, or ends, with what it says."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise InputError(f"{command[0]} cannot be started ({error.strerror}); run `make arm64-check`.") from None
        self.greeting = self._line()

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs for these inputs, both in the graph's order."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{len(arrays)}\n".encode())
            for array in arrays:
                letter = LETTERS[array.dtype.newbyteorder("<")]
                self._process.stdin.write(" ".join([letter, *map(str, array.shape)]).encode() + b"\n")
                self._process.stdin.write(np.ascontiguousarray(array, TYPES[letter]).tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said is read below
        return [self._array() for _ in range(int(self._line()))]

    def __del__(self) -> None:
        if process := getattr(self, "_process", None):
            process.kill()
            process.communicate()

    def _array(self) -> NDArray[Any]:
        assert self._process.stdout is not None
        letter, *shape = self._line().split()
        sizes = [int(size) for size in shape]
        count = int(np.prod(sizes, dtype=np.int64)) * TYPES[letter].itemsize
        values: NDArray[Any] = np.frombuffer(self._process.stdout.read(count), TYPES[letter])
        return values.reshape(sizes)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().rstrip("\n")
        if not line or line.startswith("error: "):
            reason = line.removeprefix("error: ") or f"it ended with exit code {self._process.wait()}; see above."
            raise InputError(f"{' '.join(self._command)} failed: {reason}")
        return line


class RemoteSession:
    """A graph of ONNX Runtime in another process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        interface = json.loads(process.greeting)
        self._inputs, self._outputs = (
            [Value(value["name"], value["shape"]) for value in interface[kind]] for kind in ("inputs", "outputs")
        )

    def get_inputs(self) -> list[Value]:
        return self._inputs

    def get_outputs(self) -> list[Value]:
        return self._outputs

    def run(self, names: Sequence[str] | None, feeds: Arrays) -> list[NDArray[Any]]:
        """Return the named outputs, or all."""
        outputs = self._process.run([feeds[value.name] for value in self._inputs])
        known = [value.name for value in self._outputs]
        return [outputs[known.index(name)] for name in names] if names else outputs


class RemoteMethod:
    """A program of ExecuTorch in another process, called as that of ExecuTorch's Python runtime is."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def execute(self, tensors: Sequence[Any]) -> list[Any]:
        import torch

        # Copied, because what was read from a pipe is read-only.
        return [torch.from_numpy(array.copy()) for array in self._process.run([tensor.numpy() for tensor in tensors])]


def open_remote(path: Path) -> RemoteSession | PteSession:
    """Start the process that a .remote file names. Raises: InputError if a file is missing or it does not start."""
    content = json.loads(existing(path, "run `make arm64-check` first").read_text(encoding="utf-8"))
    graph = existing(Path(content["file"]), "build it first")
    process = Process([*content["command"], str(graph)])
    return PteSession(RemoteMethod(process), read_manifest(graph)) if graph.suffix == ".pte" else RemoteSession(process)
