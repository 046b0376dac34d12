"""What audits of a model's recognisers found, as rows of a table.

Example:
    for audit in audits(Path("out/demo-tdt")):
        print(audit.name, audit.rows[0].share)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transducer.core.checks import Check


@dataclass(frozen=True)
class Row:
    """One test: its cases, what it changed in per cent, here and by PyTorch, and the worst case.

    pytorch: None where PyTorch measured nothing. worst: change, expected, heard, pytorch and the WAV file's name.
    """

    test: str
    cases: int
    share: float
    pytorch: float | None
    bound: float
    inserted: int
    worst: dict[str, Any] | None


@dataclass(frozen=True)
class Audit:
    """The tests of one recogniser: the names of its graphs that are not fp32, or fp32."""

    name: str
    clips: int
    rows: list[Row]


def audits(model: Path) -> list[Audit]:
    """Return the audits among a model's checks."""
    results = []
    for path in sorted((model / "checks").glob("audit.*.check.json")):
        name = path.name.removeprefix("audit.").removesuffix(".check.json")
        if name.startswith("checkpoint"):
            continue
        check = Check.read(path)
        rows = [
            Row(
                test.replace("_", " "),
                figures["cases"],
                figures["share"],
                figures["pytorch"]["share"] if (figures["pytorch"] or {}).get("cases") else None,
                check.bounds[test],
                figures["inserted"],
                check.facts["worst"].get(test),
            )
            for test, figures in (check.accuracy or {}).items()
        ]
        results.append(Audit(name, check.facts["clips"], rows))
    return results
