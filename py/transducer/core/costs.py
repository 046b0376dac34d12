"""What a worker took to make its artefact, for the report.

Example:
    record(Path("out/demo-tdt/onnx/joint.onnx"))
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

_STARTED = time.monotonic()


def record(product: Path) -> None:
    """Write seconds and peak memory of this process to the folder that Make names in COSTS, by the product's name."""
    if not (folder := os.environ.get("COSTS")):
        return
    place, out = product.resolve(), Path(folder).resolve().parent
    if not place.is_relative_to(out):
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    name = str(place.relative_to(out))
    cost = {"file": name, "seconds": round(time.monotonic() - _STARTED, 2), "peak_bytes": peak}
    path = Path(folder) / f"{name.replace('/', '+')}.json"
    tmp = path.with_name(f".{path.name}.tmp")
    # What was made is not to fail for a figure in the report.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp.write_text(json.dumps(cost), encoding="utf-8")
        tmp.replace(path)
