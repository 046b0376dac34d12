"""NeMo manifests: one JSON object a line, with audio_filepath, text, and seconds of offset and duration.

Example:
    utterances, problems = read_lines(Path("models/validation/manifest.jsonl"))
"""

import json
import math
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError
from transducer.speech.audio import Stretch

Utterance = dict[str, Any]


def read_lines(path: Path) -> tuple[list[Utterance], list[InputError]]:
    """Return a manifest's utterances, `audio_filepath` resolved against its folder, and what is wrong with the others.

    Raises: InputError if the manifest cannot be read or has no line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable manifest; give a JSONL file of utterances.") from error
    if not lines:
        raise InputError(f"{path}: the manifest is empty; give one with utterances.")
    utterances, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            audio = path.parent / entry["audio_filepath"]
            utterance = {**entry, "audio_filepath": audio, "text": str(entry["text"])}
            times = [float(entry.get(key) or 0) for key in ("offset", "duration")]
        except (ValueError, KeyError, TypeError):
            problem = "is not a JSON object with audio_filepath, text, and seconds of offset and duration; correct it"
        else:
            problem = "" if audio.is_file() else f"names {audio}, which is missing; restore it"
            if not all(math.isfinite(time) and time >= 0 for time in times):
                problem = "has an offset or a duration that is not a number of seconds; correct it"
        if problem:
            problems.append(InputError(f"{path}: line {number} {problem}."))
        else:
            utterances.append(utterance)
    return utterances, problems


def read_manifest(path: Path) -> list[Utterance]:
    """Return a manifest's utterances as read_lines does. Raises: InputError for the first line that is not one."""
    utterances, problems = read_lines(path)
    if problems:
        raise problems[0]
    return utterances


def stretch(utterance: Utterance) -> Stretch:
    """Return the part of its audio file that an utterance is; NeMo too takes an offset or duration of 0 for none."""
    return Stretch(
        utterance["audio_filepath"], float(utterance.get("offset") or 0), float(utterance.get("duration") or 0) or None
    )
