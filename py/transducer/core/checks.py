"""Check artefacts, FILE.check.json: which bytes they are of, and whether these passed.

Example:
    write_json(output, {**identity(path), ..., "passed": True})
    report = passed_check(Path("out/demo-tdt/onnx/joint.onnx"), Path("out/demo-tdt/checks"))
"""

import json
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, existing, sha256_of
from transducer.core.onnx_files import sidecars_of


def identity(graph: Path) -> dict[str, Any]:
    """Return what a check says of the bytes that it is of: file, SHA-256, and SHA-256 of sidecars by name."""
    sidecars = {path.name: sha256_of(path) for path in sidecars_of(graph)}
    return {"file": graph.name, "sha256": sha256_of(graph), "sidecars": sidecars}


def passed_check(graph: Path, checks: Path) -> dict[str, Any]:
    """Return what a graph's check found.

    Raises: InputError if there is no check, it was not passed, or it is of other bytes than the file has now.
    """
    path = checks / f"{graph.name}.check.json"
    if not path.is_file():
        raise InputError(f"{graph} is not checked, as {path} is missing; run `make {path}`.")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if report.get("passed") is not True:
        raise InputError(f"{graph} has not passed its check; see {path} and build it again.")
    found = identity(existing(graph, "build it first"))
    if any(report.get(key, {}) != value for key, value in found.items()):
        raise InputError(f"{path} is of another {graph.name} than there is now; remove it and run `make {path}`.")
    return report
