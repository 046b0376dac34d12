"""What the build of a model took, by artefact.

Example:
    for cost in costs(Path("out/demo-tdt")):
        print(cost.file, cost.seconds, cost.peak_bytes)
"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Seconds and peak memory of the worker that made a file, the last time that it was made."""

    file: str
    seconds: float
    peak_bytes: int


def costs(model: Path) -> list[Cost]:
    """Return what each file took that is still there, the longest first."""
    entries = [Cost(**json.loads(path.read_text(encoding="utf-8"))) for path in (model / ".costs").glob("*.json")]
    return sorted(
        (cost for cost in entries if (model / cost.file).exists()), key=lambda cost: (-cost.seconds, cost.file)
    )
