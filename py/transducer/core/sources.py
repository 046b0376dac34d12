"""Files that are given with weights: manifests to train on, and word lists.

Example:
    sources = [Source.parse(text) for text in ("real.jsonl.gz:2", "dvorak.jsonl.gz:1:configs/layouts/dvorak.json")]
"""

from dataclasses import dataclass
from pathlib import Path

from transducer.core.cli import InputError


@dataclass(frozen=True)
class Source:
    """A file with its weight among others, and of traces the layout where that is not the model's."""

    path: Path
    weight: float = 1.0
    layout: Path | None = None

    @staticmethod
    def parse(text: str) -> "Source":
        """Read FILE, FILE:WEIGHT or FILE:WEIGHT:LAYOUT. Raises: InputError."""
        path, *rest = text.split(":")
        try:
            weight = float(rest[0]) if rest else 1.0
        except ValueError:
            weight = 0.0
        if not path or len(rest) > 2 or not (0 < weight < float("inf")):
            raise InputError(f"{text}: not FILE:WEIGHT or FILE:WEIGHT:LAYOUT with a weight above 0; correct it.")
        return Source(Path(path), weight, Path(rest[1]) if len(rest) == 2 else None)
