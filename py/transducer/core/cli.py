"""What every worker does at its edges: parse, log, fail with one sentence, and write whole files or none.

Example:
    with replacing(Path("out/demo-tdt/onnx/joint.onnx")) as tmp:
        tmp.write_bytes(graph)
"""

import argparse
import contextlib
import errno
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

log = logging.getLogger("transducer")

_REFUSALS = {
    errno.ENOSPC: "free some space or point OUT at another disk",
    errno.EDQUOT: "free some space or point OUT at another disk",
    errno.EACCES: "change its permissions or point OUT at a folder that you may write to",
    errno.EPERM: "change its permissions or point OUT at a folder that you may write to",
    errno.EROFS: "point OUT at a writable disk",
    errno.ENOTDIR: "point OUT at a folder",
}


class InputError(Exception):
    """Bad input, told in one sentence that names the file, what is wrong and what to do."""


class CheckError(Exception):
    """An artefact that misses a bound, told in one sentence with the figure and the bound."""


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep from stderr what native libraries print there as they are loaded; V=1 lets it through."""
    if os.environ.get("V", "1") != "0":
        yield
        return
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return an argument parser described by the first sentence of a worker's docstring."""
    return argparse.ArgumentParser(
        description=(doc or "").strip().partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )


def run(main: Callable[[], int]) -> int:
    """Run a worker's main and turn bad input into one sentence on stderr.

    Returns: main's own exit code; 2 for an InputError and for the machine's refusals (disk full, no
    permission); 1 for a CheckError. Anything else is a defect of this project and keeps its traceback.
    """
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    # Make sets V: 1 shows what a worker does, 0 leaves only warnings; by hand a worker tells.
    log.setLevel(logging.WARNING if os.environ.get("V") == "0" else logging.INFO)
    warnings.filterwarnings("ignore")
    try:
        return main()
    except CheckError as error:
        print(f"check failed: {error}", file=sys.stderr)
        return 1
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        place = error.filename or "the output"
        print(f"error: {place}: {os.strerror(error.errno)}; {_REFUSALS[error.errno]}.", file=sys.stderr)
    return 2


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, that takes its place if the block succeeds.

    The temporary is a file or a folder, whatever the block makes of it, and goes on failure. After a
    kill it stays as a hidden name that nothing takes for a product, until the next try replaces it.
    """
    tmp = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(tmp)
        yield tmp
        if tmp.is_dir():
            _remove(path)
        tmp.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        _remove(tmp)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the one form used throughout: UTF-8, indented, sorted keys, a final newline."""
    with replacing(path) as tmp:
        tmp.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def existing(path: Path, hint: str) -> Path:
    """Return `path` if it is there, or tell in one sentence how to get it."""
    if not path.exists():
        raise InputError(f"{path} does not exist; {hint}.")
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
