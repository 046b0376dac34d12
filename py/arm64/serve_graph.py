"""Run an ONNX graph for another process, under the emulated processor's own Python: NumPy and ONNX Runtime alone.

Example:
    .arm64/emulate python py/arm64/serve_graph.py out/demo-tdt/onnx/encoder.int8.onnx

transducer/runtime/remote.py is at the other end of the pipe and describes the messages. The first line is the graph's
inputs and outputs, as JSON.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

TYPES: dict[str, np.dtype[Any]] = {"f": np.dtype("<f4"), "i": np.dtype("<i8")}
LETTERS = {"tensor(float)": "f", "tensor(int64)": "i"}


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("graph", help="an ONNX graph or .ort file, whose inputs and outputs are float32 and int64")
    graph = args.parse_args().graph
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    interface = {
        kind: [{"name": value.name, "shape": value.shape, "type": value.type} for value in values]
        for kind, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    }
    stream = sys.stdout.buffer
    stream.write(json.dumps(interface).encode() + b"\n")
    stream.flush()
    while line := sys.stdin.buffer.readline():
        inputs = {value["name"]: read_array() for value, _ in zip(interface["inputs"], range(int(line)), strict=True)}
        outputs = session.run(None, inputs)
        stream.write(f"{len(outputs)}\n".encode())
        for value, array in zip(interface["outputs"], outputs, strict=True):
            letter = LETTERS[value["type"]]
            stream.write(" ".join([letter, *map(str, array.shape)]).encode() + b"\n")
            stream.write(np.ascontiguousarray(array, TYPES[letter]).tobytes())
        stream.flush()
    return 0


def read_array() -> NDArray[Any]:
    """Return the next array of a message."""
    letter, *shape = sys.stdin.buffer.readline().decode().split()
    sizes = [int(size) for size in shape]
    count = int(np.prod(sizes, dtype=np.int64)) * TYPES[letter].itemsize
    values: NDArray[Any] = np.frombuffer(sys.stdin.buffer.read(count), TYPES[letter])
    return values.reshape(sizes)


if __name__ == "__main__":
    sys.exit(main())
