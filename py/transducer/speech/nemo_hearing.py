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

from omegaconf import OmegaConf

from transducer.checkpoint.facts import describe_prompts
from transducer.core.cli import InputError
from transducer.speech.audio import read_audio
from transducer.speech.manifest import Utterance, stretch
from transducer.speech.steering import Steering


def hear_by_nemo(
    model: Any, utterances: Sequence[Utterance], batch_size: int, prompt: str | None = None
) -> list[str | None]:
    """Return the text of each utterance; of one that cannot be read, at which NeMo would end, None and say why.

    prompt: of a model that takes one, by its name; None is its default. Raises: InputError for an unknown one.
    """
    config: Any = OmegaConf.to_container(model.cfg, resolve=True)
    facts = describe_prompts(config)
    Steering(prompt=prompt).conditions(facts)  # refuses what the model does not know
    prompt = prompt or facts.get("prompts", {}).get("default")
    texts: list[str | None] = [None] * len(utterances)
    places: dict[int, float] = {}
    for place, utterance in enumerate(utterances):
        try:
            path, offset, duration = stretch(utterance)
            wave = read_audio(path, model.cfg.sample_rate, offset, duration)
            places[place] = len(wave) / model.cfg.sample_rate
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not places:
        return texts
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        files = [write_manifest([utterances[place] for place in places], manifest, list(places.values()), prompt)]
        outputs = model.transcribe(files, batch_size=batch_size, num_workers=0, verbose=sys.stderr.isatty())
    for place, output in zip(places, outputs, strict=True):
        texts[place] = output.text
    return texts


def write_manifest(
    utterances: Sequence[Utterance], path: Path, durations: Sequence[float], prompt: str | None = None
) -> str:
    """Write what NeMo is to transcribe, and return its path as transcribe() takes it."""
    rows = []
    for (audio, offset, duration), seconds in zip(map(stretch, utterances), durations, strict=True):
        # NeMo reads a file to its end if it is shorter than its duration, and wants one.
        row = {"audio_filepath": str(audio.resolve()), "offset": offset, "duration": duration or 1e5, "text": ""}
        # Models that take a prompt read by other code, which wants the duration itself.
        rows.append(row | ({"lang": prompt, "duration": seconds} if prompt else {}))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)
