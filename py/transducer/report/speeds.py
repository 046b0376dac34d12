"""What a model's benchmarks measured, as rows of the report.

Example:
    for speed in speeds(Path("out/demo-tdt")): ...
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transducer.report.tables import read_json


@dataclass(frozen=True)
class Speed:
    """Milliseconds by what was timed; None where it was not."""

    title: str
    columns: list[str]
    rows: dict[str, list[float]]


def timed(report: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Return the seconds of audio and numbers of threads that a bench.json has times of, in order."""
    keys = [key for key in next(iter(report["encoders"].values())) if key.startswith("latency_")]
    parts = [key.removeprefix("latency_").removesuffix("t").split("s_") for key in keys]
    return sorted((float(seconds), int(threads)) for seconds, threads in parts)


def latency(row: Mapping[str, float], seconds: float, threads: int) -> float:
    """Return the seconds that an encoder took."""
    return row[f"latency_{seconds:g}s_{threads}t"]


def speeds(model: Path) -> list[Speed]:
    """Return what `make bench` has measured."""
    tables = []
    if encoders := (report := read_json(model / "bench/bench.json")).get("encoders"):
        columns = [f"{seconds:g} s, {threads} thread{'s' * (threads > 1)}" for seconds, threads in timed(report)]
        rows = {name: [1000 * latency(row, *key) for key in timed(report)] for name, row in encoders.items()}
        tables.append(Speed("The encoder, milliseconds by seconds of audio", columns, rows))
    if words := read_json(model / "bench/words.json").get("models"):
        columns = ["word, median", "word, 95th percentile", "features", "encoder", "search"]
        rows = {
            name: [row["word"]["p50_ms"], row["word"]["p95_ms"]] + [row[part]["p50_ms"] for part in columns[2:]]
            for name, row in words.items()
        }
        tables.append(Speed("A swiped word, milliseconds from points to n-best", columns, rows))
    return tables


def engines(model: Path) -> list[dict[str, Any]]:
    """Return the manifests of TensorRT engines, each with the name of its folder."""
    paths = sorted(path.with_suffix(".json") for path in (model / "trt").glob("*/*.plan"))
    return [{"folder": path.parent.name, "name": path.stem, **read_json(path)} for path in paths if path.exists()]
