"""model_meta.json of a build folder, and whether graphs are of that build.

Example:
    meta = read_meta(Path("out/demo-tdt"))
"""

import json
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, existing
from transducer.runtime.sessions import Session


def require_width(path: Path, session: Session, labels: int, others: int) -> None:
    """Refuse a joint, step or CTC head whose outputs are not those of model_meta.json."""
    width = session.get_outputs()[0].shape[-1]
    if width != labels + others:
        raise InputError(
            f"{path} has {width} outputs where model_meta.json asks for {labels} labels and {others} durations or big "
            "blanks; use the files of one build."
        )


def read_meta(folder: Path) -> Any:
    """Return what model_meta.json of a build folder says."""
    return json.loads(existing(folder / "meta/model_meta.json", "run `make meta` first").read_text("utf-8"))
