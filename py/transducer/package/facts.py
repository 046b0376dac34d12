"""A built model as packages read it: its graphs, model_meta.json and tokens.

Example:
    model = Model.load([Path("out/demo-tdt/onnx/encoder.onnx")], Path("model_meta.json"), Path("tokens.txt"))
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, existing

ROLES = ("encoder", "predictor", "joint")


@dataclass(frozen=True)
class Model:
    """A built model: graphs by role and variant ("" for fp32), model_meta.json, and its tokens, blank last."""

    graphs: Mapping[tuple[str, str], Path]
    facts: Mapping[str, Any]
    tokens: Sequence[str]

    @classmethod
    def load(cls, graphs: Sequence[Path], meta: Path, tokens: Path, roles: Sequence[str] = ROLES) -> "Model":
        """Read a model from files named as they are built: ROLE.onnx or ROLE.VARIANT.onnx, and "token id" lines."""
        paths = {}
        for path in graphs:
            role, _, variant = existing(path, "build the graph first").stem.partition(".")
            paths[role, variant] = path
        for role in roles:
            if (role, "") not in paths:
                raise InputError(f"No {role}.onnx is among the graphs; build it with `make onnx` and name it.")
        return cls(paths, read_facts(meta), read_tokens(tokens))

    @property
    def source(self) -> str:
        return str(self.facts["source"]["file"])

    @property
    def variants(self) -> list[str]:
        """Variants of any graph in order, fp32 ("") first."""
        return sorted({variant for _, variant in self.graphs})

    def graph(self, role: str, variant: str = "") -> Path:
        """Return the graph of a role in a variant, or in fp32 where the variant was not built for it."""
        return self.graphs.get((role, variant), self.graphs[role, ""])


def read_facts(meta: Path) -> dict[str, Any]:
    """Return the content of model_meta.json."""
    facts: dict[str, Any] = json.loads(existing(meta, "run `make meta` first").read_text(encoding="utf-8"))
    return facts


def read_tokens(path: Path) -> list[str]:
    """Return the tokens of "token id" lines, in order of their ids."""
    lines = existing(path, "run `make meta` first").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [line.rpartition(" ")[0] for line in lines]
