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

log = logging.getLogger("transducer")

# As shells give it for SIGINT.
INTERRUPTED = 130

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
    permission); 1 for a CheckError; 130 for an interrupt. Anything else is a defect of this project and keeps
    its traceback.
    """
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    # Make sets V: 1 shows what a worker does, 0 leaves only warnings; by hand a worker tells.
    log.setLevel(logging.WARNING if os.environ.get("V") == "0" else logging.INFO)
    warnings.filterwarnings("ignore")
    # Make's workers die of an interrupt until here; from here on it is an exception, so that nothing is left behind.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        # Make says so itself.
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
    """Yield a temporary path beside `path`, of the same suffix, that takes its place if the block succeeds.

    The temporary is a file or a folder, whatever the block makes of it, and goes on failure. Its name holds
    this process, so that two may write the same product. After a kill it stays as a hidden name that
    nothing takes for a product, until the next try removes it.
    """
    tmp = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in _left_behind(path):
            _remove(left)
        yield tmp
        if tmp.is_dir():
            _remove(path)
        tmp.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        # Again: what was killed may have been dying yet when this began.
        for left in _left_behind(path):
            _remove(left)


def _left_behind(path: Path) -> list[Path]:
    """Return temporaries of `path` whose process is gone, or is this one."""
    name = re.compile(rf"{re.escape(f'.{path.stem}')}\.(\d+)\.tmp{re.escape(path.suffix)}")
    others = path.parent.iterdir() if path.parent.is_dir() else ()
    matches = [(other, name.fullmatch(other.name)) for other in others]
    return [other for other, match in matches if match and not _is_other(int(match[1]))]


def _is_other(process: int) -> bool:
    """Return whether another process of this number lives."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    if process == os.getpid():
        return False
    try:
        status = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return True
    # A zombie has ended, and waits for its parent to ask.
    return status.rpartition(")")[2].split()[0] != "Z"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the one form used throughout: UTF-8, indented, sorted keys, a final newline."""
    with replacing(path) as tmp:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        # A file's name may have bytes that are not UTF-8: JSON has escapes for them.
        tmp.write_bytes(f"{text}\n".encode(errors="backslashreplace"))


def existing(path: Path, hint: str) -> Path:
    """Return `path` if it is there, or tell in one sentence how to get it."""
    if not path.exists():
        raise InputError(f"{path} does not exist; {hint}.")
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
