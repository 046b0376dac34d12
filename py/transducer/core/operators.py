"""What operators a runtime has, as its file in configs/runtimes/ lists them, and whether a graph needs others.

Example:
    runtime = Runtime.read(Path("configs/runtimes/web.json"))
    runtime.require(load_graph(Path("encoder.web.int8.onnx")), Path("encoder.web.int8.onnx"))
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto

from transducer.core.cli import CheckError, existing


@dataclass(frozen=True)
class Runtime:
    """Operators of a runtime, those of other domains than ONNX's with their domain before them.

    What the accelerator lacks is left to the CPU, where the runtime has it.
    """

    name: str
    operators: frozenset[str]
    accelerator: str
    accelerated: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "Runtime":
        found = json.loads(existing(path, "name a file of configs/runtimes/").read_text(encoding="utf-8"))
        fast = found["accelerator"]
        return cls(found["runtime"], frozenset(found["operators"]), fast["name"], frozenset(fast["operators"]))

    def require(self, model: onnx.ModelProto, path: Path) -> None:
        """Raises: CheckError if the graph has a node whose operator the runtime lacks."""
        for node in model.graph.node:
            if operator(node) not in self.operators | {"Constant"}:
                raise CheckError(
                    f"{path}: its node {node.name} is of the operator {operator(node)}, which {self.name} lacks; "
                    "export it otherwise, or deploy for another runtime."
                )

    def judged(self, model: onnx.ModelProto, path: Path) -> dict[str, Any]:
        """Return what a check tells of a graph in this runtime. Raises: CheckError as `require` does."""
        self.require(model, path)
        left = Counter(operator(node) for node in model.graph.node if operator(node) not in self.accelerated)
        return {"runtime": self.name, "accelerator": self.accelerator, "left_to_cpu": dict(sorted(left.items()))}


def operator(node: NodeProto) -> str:
    """Return a node's operator, with its domain if that is not ONNX's."""
    return f"{node.domain}.{node.op_type}".removeprefix("ai.onnx.").lstrip(".")
