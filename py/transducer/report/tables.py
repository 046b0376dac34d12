"""What a model's folder tells of itself, as rows of tables.

Example:
    for row in files(Path("out/demo-tdt")):
        print(row.name, row.bytes, row.error)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transducer.core.checks import Check

# Folders of built files, by the suffix of their names.
FOLDERS = {"onnx": ("onnx", "ort"), "ort": ("ort",), "pte": ("pte",)}
FORMATS = {"onnx": "ONNX", "ort": "ONNX Runtime", "pte": "ExecuTorch"}


@dataclass(frozen=True)
class Accuracy:
    """A metric in per cent with graphs, what they lose against the checkpoint in points, each with its interval.

    The checkpoint's own row has neither loss nor bound.
    """

    name: str
    metric: str
    value: float
    interval: tuple[float, float] | None = None
    lost: float | None = None
    lost_interval: tuple[float, float] | None = None
    bound: float | None = None


@dataclass(frozen=True)
class File:
    """A checked file: sizes in bytes, its share of the fp32 graph's, error and bound, and what computes it."""

    name: str
    format: str
    bytes: int
    share: float | None
    deflated: int | None
    error: str
    bound: str
    computed: str


@dataclass(frozen=True)
class Package:
    """A folder that was packaged, and the bytes of the archive beside it, if there is one."""

    name: str
    files: int
    bytes: int
    archive: str
    archive_bytes: int | None


def facts_of(model: Path) -> dict[str, Any]:
    """Return what the page says of the model itself."""
    meta = read_json(model / "meta/model_meta.json")
    checkpoint = checkpoint_check(model)
    return {
        "name": model.name,
        "class": meta["model_class"],
        "kind": meta["model_type"].upper(),
        "dims": meta["dims"],
        "subsampling": meta["subsampling_factor"],
        "source": meta["source"],
        "versions": meta["versions"],
        "parameters": checkpoint.facts.get("parameters") if checkpoint else None,
    }


def accuracies(model: Path) -> list[Accuracy]:
    """Return the accuracy of the checkpoint, then of every set of graphs that was evaluated."""
    rows, reference = [], checkpoint_check(model)
    if reference and reference.accuracy:
        word_errors = reference.accuracy.get("wer")
        rows.append(
            Accuracy("checkpoint, PyTorch", "top-1", reference.accuracy["all"]["top1"])
            if word_errors is None
            else Accuracy("checkpoint, PyTorch", "WER", 100 * word_errors)
        )
    for kind, metric in (("wer", "WER"), ("top1", "top-1")):
        for path in sorted((model / "checks").glob(f"{kind}.*.check.json")):
            check, name = Check.read(path), path.name.removeprefix(f"{kind}.").removesuffix(".check.json")
            figures = check.accuracy or {}
            # Only the difference of top-1 from the checkpoint's has an interval.
            value, interval = (
                (figures["onnx"]["wer"]["points"], tuple(figures["onnx"]["wer"]["interval"]))
                if kind == "wer"
                else (figures["all"]["top1"], None)
            )
            lost, bound = figures[f"{kind}_delta"], check.bounds[f"{kind}_delta"]
            rows.append(Accuracy(name, metric, value, interval, lost["points"], tuple(lost["interval"]), bound))
    return rows


def files(model: Path) -> list[File]:
    """Return every built file that has passed its check, fp32 graphs first."""
    checks = sorted((model / "checks").glob("*.check.json"))
    # On another processor a file is checked once more.
    own = [Check.read(path) for path in checks if not path.name.startswith("arm64.")]
    rows = [row for check in own for row in _file(model, check)]
    return sorted(rows, key=lambda row: (list(FORMATS.values()).index(row.format), row.name.count("."), row.name))


def _file(model: Path, check: Check) -> Iterator[File]:
    name = check.file
    suffix = name.rpartition(".")[2]
    places = [model / folder / name for folder in FOLDERS.get(suffix, ())]
    path = next((place for place in places if place.exists()), None)
    # The check of a whole data set has no cases.
    if path is None or not check.cases or name.endswith(".trt.onnx"):
        return
    size = _size(path, check.sidecars)
    graph = name.partition(".")[0]
    base = model / f"onnx/{graph}.onnx"
    base_size = _size(base, [f"{base.name}.data"]) if base.exists() else None
    kind = next(kind for kind in ("max_abs", "relative_rms") if kind in check.bounds)
    show = (lambda number: f"{number:.1e}") if kind == "max_abs" else (lambda number: f"{number:.2%}")
    yield File(
        name,
        FORMATS[suffix],
        size,
        size / base_size if base_size and path != base else None,
        check.facts.get("deflated_bytes"),
        f"{show(check.figures[kind])} {'largest' if kind == 'max_abs' else 'rms'}, from {check.against}",
        show(check.bounds[kind]),
        _computed(check),
    )


def _computed(check: Check) -> str:
    """Return how the heavy arithmetic is done, as far as the check records it."""
    if "delegated_share" in check.figures:
        return f"{check.figures['delegated_share']:.0%} delegated"
    shares = check.facts.get("compute", {}).get("shares", {})
    return ", ".join(
        f"{share:.0%} {dtype}" for dtype, share in sorted(shares.items(), key=lambda item: -item[1]) if share
    )


def packages(folder: Path) -> list[Package]:
    """Return every folder that was packaged; its SHA256SUMS is what says so."""
    rows = []
    for sums in sorted(folder.rglob("SHA256SUMS")):
        content = [path for path in sums.parent.rglob("*") if path.is_file()]
        name = sums.parent.relative_to(folder).as_posix()
        archive = next(iter(folder.glob(f"*-{name.replace('/', '-')}.*")), None) if "/" in name else None
        rows.append(
            Package(
                name,
                len(content),
                sum(path.stat().st_size for path in content),
                archive.name if archive else "",
                archive.stat().st_size if archive else None,
            )
        )
    return rows


def _size(path: Path, sidecars: Any) -> int:
    return sum(file.stat().st_size for file in [path, *(path.with_name(name) for name in sidecars)] if file.exists())


def checkpoint_check(model: Path) -> Check | None:
    """Return the check of the checkpoint's own accuracy, if it was measured."""
    path = model / "checks/checkpoint.check.json"
    return Check.read(path) if path.exists() else None


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file, or nothing where it was not made."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
