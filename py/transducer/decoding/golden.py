"""Golden cases, which decoders in other languages must reproduce: what the files of swipes and of speech share.

Example:
    write_golden(Path("cases.json.gz"), {"meta": read_runtime_meta(Path("runtime_meta.json"), "swipe"), "cases": cases})

decoders/golden/README.md describes the files.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError, existing, replacing
from transducer.core.contracts import Floats

FORMAT = 1


def read_runtime_meta(path: Path, task: str) -> dict[str, Any]:
    """Return runtime_meta.json but for what is of files and of the machine that made them.

    Raises: InputError if it is missing or of a model for another task.
    """
    meta: dict[str, Any] = json.loads(existing(path, "run `make runtime-meta` first").read_text(encoding="utf-8"))
    if meta["task"] != task:
        raise InputError(f"{path} is of a model for {meta['task']}; give one of a model for {task}.")
    return {key: value for key, value in meta.items() if key != "versions"} | {"graphs": {}, "lexicon": None}


def packed(array: Floats, dtype: str = "float32") -> dict[str, Any]:
    """Return an array as its shape and its little-endian values in row-major order, in base64."""
    little = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    return {"shape": list(array.shape), dtype: base64.b64encode(little.tobytes()).decode()}


def write_golden(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of golden cases."""
    write_gzip(path, json.dumps({"format": FORMAT, **content}, sort_keys=True, separators=(",", ":")))


def write_gzip(path: Path, text: str) -> None:
    """Write a gzipped file whose bytes depend on nothing but the text."""
    with replacing(path) as tmp:
        tmp.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
