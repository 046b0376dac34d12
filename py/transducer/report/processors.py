"""What the forms of an encoder do on another processor, as rows of a table.

Example:
    for row in processors(Path("out/demo-tdt")):
        print(row.name, row.there - row.here)
"""

from dataclasses import dataclass
from pathlib import Path

from transducer.core.checks import Check


@dataclass(frozen=True)
class Row:
    """One file: its errors on noise against the same file here, and in per cent the metric there and here.

    different: of so many items, recordings or swipes, what was recognized is another.
    """

    name: str
    max_abs: float
    relative_rms: float
    metric: str
    there: float
    here: float
    different: int
    items: int


def processors(model: Path) -> list[Row]:
    """Return what `make arm64-check` found."""
    checks = [Check.read(path) for path in sorted((model / "checks").glob("arm64.*.check.json"))]
    return [
        Row(
            check.file,
            check.figures["max_abs"],
            check.figures["relative_rms"],
            *(check.accuracy[key] for key in ("metric", "there", "here", "different", "items")),
        )
        for check in checks
        if check.accuracy
    ]
