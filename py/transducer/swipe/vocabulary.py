"""The labels of a character model, from a file with one a line.

Example:
    labels = read_vocabulary(Path("configs/vocabularies/english.txt"))   # "abcdefghijklmnopqrstuvwxyz'"
"""

from pathlib import Path

from transducer.core.cli import InputError, log

BLANK = "<blank>"


def read_vocabulary(path: Path) -> str:
    """Return a vocabulary's characters in order of their ids, blank not among them: its id is their number.

    NeMo's blank is always the last label, wherever a file lists it; a file that lists it elsewhere or not at all is
    warned of. Other names in angle brackets are not characters and are left out, with a warning too.
    Raises: InputError if the file cannot be read, or has no characters or one twice.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable vocabulary ({error}); give one character a line.") from None
    labels = [line for line in lines if len(line) == 1]
    if not labels or len(set(labels)) != len(labels):
        raise InputError(f"{path}: has no characters, or one twice; give one character a line.")
    if BLANK not in lines:
        log.warning("%s: lists no %s; the blank is label %d, after all others.", path, BLANK, len(labels))
    elif lines[-1] != BLANK:
        log.warning("%s: lists %s before others; the blank is label %d, after all of them.", path, BLANK, len(labels))
    if others := [line for line in lines if len(line) > 1 and line != BLANK]:
        log.warning("%s: left out %s, which no word is spelt with.", path, ", ".join(others))
    return "".join(labels)
