"""Check files (FILE.check.json): which file was checked (by SHA-256), its figures and bounds, and whether it passed.

Example:
    check = Check.of(path, "PyTorch", cases=cases, bounds={"max_abs": 1e-4})
    check.judged(str(path)).write(output)
    check = passed_check(Path("out/demo-tdt/onnx/joint.onnx"), Path("out/demo-tdt/checks"))

docs/checks.md describes the JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from transducer.core.cases import ERRORS, Case, largest_errors
from transducer.core.cli import CheckError, InputError, existing, write_json
from transducer.core.digests import Digests
from transducer.core.onnx_files import sidecars_of

FORMAT = 2
# Figures that are to be at least their bound; all others are to be at most theirs.
LEAST = frozenset({"quantized_share", "delegated_share", "top1"})


@dataclass(frozen=True)
class Check:
    """What was measured of a file, and whether that is within its bounds.

    file, sha256, sidecars: the file's name and SHA-256, and the SHA-256 of its sidecars by name.
    against: what it was compared with.
    cases: the comparisons.
    figures: by name, what was measured.
    bounds: under a figure's name, what it may be at most, or of LEAST at least.
    accuracy: figures of a whole data set.
    facts: whatever else describes the file or how it was checked.
    """

    file: str
    sha256: str
    sidecars: Mapping[str, str]
    against: str
    cases: Sequence[Case] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    accuracy: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    passed: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        against: str,
        *,
        cases: Sequence[Case] = (),
        figures: Mapping[str, float] | None = None,
        bounds: Mapping[str, float | None] | None = None,
        accuracy: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "Check":
        """Return the check of a file, not judged yet; the largest errors of its cases are among its figures."""
        return cls(
            **identity(path),
            against=against,
            cases=tuple(cases),
            figures=largest_errors(cases) | dict(figures or {}),
            bounds={name: bound for name, bound in (bounds or {}).items() if bound is not None},
            accuracy=accuracy,
            facts=facts or {},
        )

    def judged(self, subject: str, advice: str = "", sentences: Mapping[str, str] | None = None) -> "Check":
        """Return the check as passed. Raises: CheckError for a figure that misses its bound.

        Args:
            subject: how an error calls what was checked.
            advice: what to do about an error, after the bound.
            sentences: errors, as `judge` takes them, for figures that are not errors of a case.
        """
        for name, bound in self.bounds.items():
            where = ""
            if self.cases and name in ERRORS:
                where = f" at {dict(max(self.cases, key=lambda case: float(getattr(case, name))).sizes)}"
            sentence = f"{subject} differs from {self.against} by {{figure}} ({name}){where}; the bound is {{bound}}"
            judge(name, self.figures[name], bound, (sentences or {}).get(name, f"{sentence}{advice}."))
        return replace(self, passed=True)

    def write(self, path: Path) -> None:
        """Write the check's file."""
        write_json(path, {"format": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> "Check":
        """Read a check's file. Raises: InputError if it is not one, or is of another format."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            number = content.pop("format", None)
        except (ValueError, AttributeError, TypeError):
            raise InputError(f"{path} is not a check file; remove it and run `make {path}`.") from None
        if number != FORMAT:
            raise InputError(
                f"{path} is a check file of format {number} where {FORMAT} is read here; remove it and run "
                f"`make {path}`."
            )
        try:
            return cls(**content | {"cases": tuple(Case(**case) for case in content["cases"])})
        except (KeyError, TypeError):
            raise InputError(f"{path} lacks entries of a check file; remove it and run `make {path}`.") from None

    def summary(self) -> dict[str, Any]:
        """Return what a package's manifest repeats of a check: all but its cases and what identifies the file."""
        content = {"against": self.against, "figures": self.figures, "bounds": self.bounds, "accuracy": self.accuracy}
        return {"file": f"checks/{self.file}.check.json", "passed": self.passed, **content, "facts": self.facts}


def judge(name: str, figure: float, bound: float, sentence: str) -> None:
    """Raise CheckError unless a figure is within its bound; not a number never is.

    Args:
        sentence: the error; {figure} and {bound} in it stand for the two numbers.
    """
    if not (figure >= bound if name in LEAST else figure <= bound):
        shown = sentence.replace("{figure}", _shown(name, figure, f"{figure:.3g}"))
        raise CheckError(shown.replace("{bound}", _shown(name, bound, f"{bound:g}")))


def _shown(name: str, value: float, text: str) -> str:
    if name == "relative_rms":
        return f"{value:.2%}"
    return f"{100 * value:.4g}%" if name.endswith("_share") else text


def identity(path: Path, digests: Digests | None = None) -> dict[str, Any]:
    """Return the name of a file, its SHA-256, and the SHA-256 of its sidecars by name."""
    digests = digests or Digests()
    sidecars = {sidecar.name: digests.of(sidecar) for sidecar in sidecars_of(path)}
    return {"file": path.name, "sha256": digests.of(path), "sidecars": sidecars}


def passed_check(graph: Path, checks: Path, digests: Digests | None = None) -> Check:
    """Return the check of a graph that passed it.

    Raises: InputError if the graph is not checked, has not passed, or has other bytes now than when it was checked.
    """
    path = checks / f"{graph.name}.check.json"
    if not path.is_file():
        raise InputError(f"{graph} is not checked, as {path} is missing; run `make {path}`.")
    check = Check.read(path)
    if check.passed is not True:
        raise InputError(f"{graph} has not passed its check; see {path} and build it again.")
    now = identity(existing(graph, "build it first"), digests)
    if any(getattr(check, key) != value for key, value in now.items()):
        raise InputError(f"{path} is of another {graph.name} than there is now; remove it and run `make {path}`.")
    return check
