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
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

from transducer.core.costs import record

log = logging.getLogger("transducer")

# The exit code that shells use for SIGINT.
INTERRUPTED = 130
# Files that this process wrote, the last of them a worker's artefact.
_products: list[Path] = []

_REFUSALS = {
    errno.ENOSPC: "free some space or point OUT at another disk",
    errno.EDQUOT: "free some space or point OUT at another disk",
    errno.EACCES: "change its permissions or point OUT at a folder that you may write to",
    errno.EPERM: "change its permissions or point OUT at a folder that you may write to",
    errno.EROFS: "point OUT at a writable disk",
    errno.ENOTDIR: "point OUT at a folder",
}


class InputError(Exception):
    """Bad input: one sentence that names the file, what is wrong and what to do."""


class CheckError(Exception):
    """An artefact that misses a bound: one sentence with the figure and the bound."""


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Suppress what native libraries print on stderr while they are loaded; V=1 shows it."""
    if os.environ.get("V", "1") != "0":
        yield
        return
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


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
    permission); 1 for a CheckError; 130 for an interrupt. Anything else is a defect of this project and keeps its
    traceback.
    """
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    # Make sets V: 1 logs progress, 0 logs only warnings. A worker that is run by hand logs its progress.
    log.setLevel(logging.WARNING if os.environ.get("V") == "0" else logging.INFO)
    warnings.filterwarnings("ignore")
    # Until here an interrupt kills a worker; from here on it raises an exception, so that temporaries are removed.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
        if code == 0 and _products:
            record(_products[-1])
        return code
    except KeyboardInterrupt:
        # Make reports the interrupt itself.
        if "MAKELEVEL" not in os.environ:
            print("interrupted", file=sys.stderr)
        return INTERRUPTED
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
    """Yield a temporary path beside `path`, of the same suffix, that replaces it if the block succeeds.

    The temporary is a file or a folder, as the block creates it, and is removed on failure. Its name has
    the process ID, so that two processes may write the same product. After a kill it stays as a hidden name
    that is never mistaken for a product, until the next run removes it.
    """
    tmp = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for orphan in _orphans(path):
            _remove(orphan)
        yield tmp
        if tmp.is_dir():
            _remove(path)
        tmp.replace(path)
        _products.append(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        # Again: a process that was killed may still have been ending when this began.
        for orphan in _orphans(path):
            _remove(orphan)


def _orphans(path: Path) -> list[Path]:
    """Return the temporaries of `path` whose process has ended, or is this one."""
    name = re.compile(rf"{re.escape(f'.{path.stem}')}\.(\d+)\.tmp{re.escape(path.suffix)}")
    others = path.parent.iterdir() if path.parent.is_dir() else ()
    matches = [(other, name.fullmatch(other.name)) for other in others]
    return [other for other, match in matches if match and not _is_other(int(match[1]))]


def _is_other(process: int) -> bool:
    """Return whether a process of this ID runs that is not this one."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError):
        # A process that was killed keeps its ID until its parent asks for it.
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
    return process != os.getpid()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the format used throughout: UTF-8, indented, sorted keys, a final newline."""
    with replacing(path) as tmp:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        # A file's name may have bytes that are not UTF-8: JSON has escapes for them.
        tmp.write_bytes(f"{text}\n".encode(errors="backslashreplace"))


def existing(path: Path, hint: str) -> Path:
    """Return `path` if it exists; otherwise raise an InputError that says how to get it."""
    if not path.exists():
        raise InputError(f"{path} does not exist; {hint}.")
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
