"""The operators of a runtime, listed in its file in configs/runtimes/, and whether a graph needs others.

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
    """Operators of a runtime; those outside the ONNX domain have their domain as a prefix.

    Operators that the accelerator lacks run on the CPU, if the runtime has them.
    """

    name: str
    operators: frozenset[str]
    accelerator: str
    accelerated: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "Runtime":
        content = json.loads(existing(path, "name a file of configs/runtimes/").read_text(encoding="utf-8"))
        fast = content["accelerator"]
        return cls(content["runtime"], frozenset(content["operators"]), fast["name"], frozenset(fast["operators"]))

    def require(self, model: onnx.ModelProto, path: Path) -> None:
        """Raises: CheckError if the graph has a node whose operator the runtime lacks."""
        for node in model.graph.node:
            if operator(node) not in self.operators | {"Constant"}:
                raise CheckError(
                    f"{path}: its node {node.name} is of the operator {operator(node)}, which {self.name} lacks; "
                    "export it otherwise, or deploy for another runtime."
                )

    def check(self, model: onnx.ModelProto, path: Path) -> dict[str, Any]:
        """Return a check's facts of a graph in this runtime. Raises: CheckError as `require` does."""
        self.require(model, path)
        remaining = Counter(operator(node) for node in model.graph.node if operator(node) not in self.accelerated)
        return {"runtime": self.name, "accelerator": self.accelerator, "left_to_cpu": dict(sorted(remaining.items()))}


def operator(node: NodeProto) -> str:
    """Return a node's operator, with its domain if that is not ONNX's."""
    return f"{node.domain}.{node.op_type}".removeprefix("ai.onnx.").lstrip(".")
