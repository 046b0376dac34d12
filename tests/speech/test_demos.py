"""What the checked-in speech models make of sounds without words, and of silence before words."""

from collections.abc import Callable

import numpy as np
import pytest

from conftest import DEMO, ByKind
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.speech.audio import Wave, read_audio
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

pytestmark = pytest.mark.slow

RATE = 16000
SECONDS = 10
TRIALS = 100
Draw = Callable[[np.random.Generator], Wave]


def quiet_room(rng: np.random.Generator) -> Wave:
    """A microphone's own noise, at -90 to -50 dB of full scale; every tenth trial is digital silence."""
    level = 10 ** (rng.uniform(-90, -50) / 20) if rng.random() > 0.1 else 0
    return (level * rng.standard_normal(SECONDS * RATE)).astype(np.float32)


def white_noise(rng: np.random.Generator) -> Wave:
    """At -50 to -10 dB of full scale."""
    level = 10 ** (rng.uniform(-50, -10) / 20)
    return (level * rng.standard_normal(SECONDS * RATE)).astype(np.float32)


def music(rng: np.random.Generator) -> Wave:
    """Chords of three notes with overtones that ring off, at 60 to 160 beats a minute, at -40 to -10 dB."""
    wave = np.zeros(SECONDS * RATE, np.float32)
    beat = int(RATE * 60 / rng.uniform(60, 160))
    root = rng.uniform(45, 65)
    for start in range(0, len(wave), beat):
        time = np.arange(min(4 * beat, len(wave) - start), dtype=np.float32) / RATE
        degree = rng.choice([0, 2, 4, 5, 7, 9])
        for note in (0, rng.choice([3, 4]), 7):
            pitch = 440 * 2 ** ((root + degree + note - 69) / 12)
            for overtone in range(1, 6):
                tone = np.sin(2 * np.pi * overtone * pitch * time + rng.uniform(0, 6))
                wave[start : start + len(time)] += tone * np.exp(-time * overtone * 1.5) / overtone**1.5
    return wave / np.abs(wave).max() * np.float32(10 ** (rng.uniform(-40, -10) / 20))


@pytest.fixture(scope="module", params=["demo-tdt", "demo-streaming"])
def recognizer(request: pytest.FixtureRequest, built: ByKind) -> Recognizer:
    return Recognizer(built(str(DEMO / f"{request.param}.nemo")))


@pytest.mark.parametrize("draw", [quiet_room, white_noise, music])
def test_what_is_not_speech_has_no_words(recognizer: Recognizer, draw: Draw) -> None:
    rng = np.random.default_rng(17)
    texts = [recognizer.transcribe([draw(rng)])[0].text for _ in range(TRIALS)]
    heard = [text for text in texts if text]
    assert len(heard) <= 5, heard


@pytest.mark.xfail(
    reason="the demos are not trained to their end: 43 % of demo-tdt's transcripts change, 42 % of demo-streaming's"
)
def test_silence_before_speech_changes_nothing(recognizer: Recognizer) -> None:
    """0 to 2 s of digital silence, in steps of 0.1 s."""
    waves = [read_audio(entry["audio_filepath"], RATE) for entry in read_manifest(DEMO / "validation/manifest.jsonl")]
    plain = [one.text for one in recognizer.transcribe(waves)]
    changed = []
    for tenths in range(1, 21):
        silence = np.zeros(tenths * RATE // 10, np.float32)
        texts = [one.text for one in recognizer.transcribe([np.concatenate([silence, wave]) for wave in waves])]
        changed += [text != other for text, other in zip(texts, plain, strict=True)]
    assert np.mean(changed) <= 0.01


@pytest.mark.parametrize("name", ["demo-tdt", "demo-streaming"])
def test_size(built: ByKind, name: str) -> None:
    path = DEMO / f"{name}.nemo"
    weights = Checkpoint(built(str(path)) / "checkpoint").weights
    assert path.stat().st_size <= 12e6
    assert sum(tensor.numel() for tensor in weights.values()) <= 5e6
