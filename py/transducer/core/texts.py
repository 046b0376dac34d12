"""Text files of a user's own: sentences, one a line.

Example:
    for line in lines_of(Path("commands.txt"), desc="token-lm"):
        print(line)
"""

from collections.abc import Iterator
from pathlib import Path

from transducer.core.cli import InputError, existing
from transducer.core.progress import progress


def lines_of(path: Path, desc: str) -> Iterator[str]:
    """Yield the lines that are not empty, with spaces between words alone; `desc` names the progress bar.

    Raises: InputError if the file is missing or is not UTF-8.
    """
    try:
        lines = existing(path, "write sentences into it, one a line").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    with progress(lines, desc=desc, unit="lines") as bar:
        yield from (" ".join(line.split()) for line in bar if line.strip())
