"""Where integer forms of the encoder lose, as rows of a table.

Example:
    for row in harms(Path("out/demo-tdt")):
        print(row.name, row.layer, row.layer_error)
"""

from dataclasses import dataclass
from pathlib import Path

from transducer.core.checks import Check


@dataclass(frozen=True)
class Harm:
    """Where the error of an integer form of the encoder arises, in relative root mean squares.

    channels, rows: the largest magnitude over the median one, in fp32 and in the form.
    """

    name: str
    layer: str
    layer_error: float
    channels: tuple[float, float]
    rows: tuple[float, float]
    by_frames: list[tuple[int, float]]
    in_batch: float


def harms(model: Path) -> list[Harm]:
    """Return where the error of each integer form of the encoder arises."""
    rows = []
    for path in sorted((model / "checks").glob("encoder.*.check.json")):
        check = Check.read(path)
        if harm := check.facts.get("harm"):
            layer, error = max(harm["layers"].items(), key=lambda item: item[1])
            ratios = [(harm[name]["fp32"], harm[name]["variant"]) for name in ("channels", "rows")]
            lengths = sorted((int(frames), error) for frames, error in harm["by_frames"].items())
            name = layer.strip("/").removesuffix("/MatMul_output_0")
            rows.append(Harm(check.file, name, error, ratios[0], ratios[1], lengths, harm["in_batch"]["variant"]))
    return rows
