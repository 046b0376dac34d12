"""A manifest's utterances, heard by NeMo's own transcribe(), nothing patched.

Example:
    texts = hear_by_nemo(restore_model(folder), utterances, batch_size=16)
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError
from transducer.speech.audio import read_audio
from transducer.speech.manifest import Utterance, stretch


def hear_by_nemo(
    model: Any, utterances: Sequence[Utterance], batch_size: int, prompt: str | None = None
) -> list[str | None]:
    """Return the text of each utterance; of one that cannot be read, at which NeMo would end, None and say why.

    prompt: of a model that takes one, by its name.
    """
    texts: list[str | None] = [None] * len(utterances)
    places = []
    for place, utterance in enumerate(utterances):
        try:
            path, offset, duration = stretch(utterance)
            read_audio(path, model.cfg.sample_rate, offset, duration)
            places.append(place)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not places:
        return texts
    with tempfile.TemporaryDirectory() as folder:
        files = [write_manifest([utterances[place] for place in places], Path(folder) / "manifest.json", prompt)]
        outputs = model.transcribe(files, batch_size=batch_size, num_workers=0, verbose=sys.stderr.isatty())
    for place, output in zip(places, outputs, strict=True):
        texts[place] = output.text
    return texts


def write_manifest(utterances: Sequence[Utterance], path: Path, prompt: str | None = None) -> str:
    """Write what NeMo is to transcribe, and return its path as transcribe() takes it."""
    rows = []
    for audio, offset, duration in map(stretch, utterances):
        # NeMo reads a file to its end if it is shorter than its duration, and wants one.
        row = {"audio_filepath": str(audio.resolve()), "offset": offset, "duration": duration or 1e5, "text": ""}
        rows.append(row | ({"lang": prompt} if prompt else {}))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)
