"""Check artefacts, FILE.check.json: which bytes they are of, and whether these passed.

Example:
    write_json(output, {"file": path.name, "sha256": hashes(path), ..., "passed": True})
    report = passed_check(Path("out/demo-tdt/onnx/joint.onnx"), Path("out/demo-tdt/checks"))
"""

import json
from pathlib import Path
from typing import Any

from transducer.cli import InputError, existing, sha256_of
from transducer.onnx_files import sidecars_of


def hashes(graph: Path) -> dict[str, str]:
    """Return the SHA-256 of a graph's file and of its sidecars, by name."""
    return {path.name: sha256_of(path) for path in [graph, *sidecars_of(graph)]}


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
    if report.get("sha256") != hashes(existing(graph, "build it first")):
        raise InputError(f"{path} is of another {graph.name} than there is now; remove it and run `make {path}`.")
    return report
