"""What a model's benchmarks measured, as rows of the report.

Example:
    for speed in speeds(Path("out/demo-tdt")): ...
"""

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


def speeds(model: Path) -> list[Speed]:
    """Return what `make bench` has measured."""
    found = []
    if encoders := read_json(model / "bench/bench.json").get("encoders"):
        keys = [key for key in next(iter(encoders.values())) if key.startswith("latency_")]
        parts = {key: key.removeprefix("latency_").removesuffix("t").split("s_") for key in keys}
        keys.sort(key=lambda key: (float(parts[key][0]), int(parts[key][1])))
        columns = [f"{parts[key][0]} s, {parts[key][1]} thread{'s' * (parts[key][1] != '1')}" for key in keys]
        rows = {name: [1000 * row[key] for key in keys] for name, row in encoders.items()}
        found.append(Speed("The encoder, milliseconds by seconds of audio", columns, rows))
    if words := read_json(model / "bench/words.json").get("models"):
        columns = ["word, median", "word, 95th percentile", "features", "encoder", "search"]
        rows = {
            name: [row["word"]["p50_ms"], row["word"]["p95_ms"]] + [row[part]["p50_ms"] for part in columns[2:]]
            for name, row in words.items()
        }
        found.append(Speed("A swiped word, milliseconds from points to n-best", columns, rows))
    return found


def engines(model: Path) -> list[dict[str, Any]]:
    """Return the manifests of TensorRT engines, each with the name of its folder."""
    paths = sorted(path.with_suffix(".json") for path in (model / "trt").glob("*/*.plan"))
    return [{"folder": path.parent.name, "name": path.stem, **read_json(path)} for path in paths if path.exists()]
