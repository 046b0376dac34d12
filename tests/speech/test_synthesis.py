"""Synthesised speech and what training makes of it, by the engines themselves.

Example:
    .venv/bin/python -m pytest tests/speech/test_synthesis.py
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from conftest import ROOT, run_worker
from transducer.speech.augmentation import CODECS, Augmentation, band_limited, coded, room
from transducer.speech.corpus import SPEAKERS
from transducer.speech.engines import phonemes

RATE = 16_000
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
needs_flite = pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")


def synthesize(output: Path, *engines: str, **options: object) -> int:
    """Run the worker for a few utterances."""
    arguments: list[object] = [f"--{name}={value}" for name, value in options.items()]
    arguments += ["--split", "validation", "--count", 4, "--output", output]
    return run_worker("speech/synthesize", "--engines", *engines, *arguments)


@pytest.mark.parametrize(
    "engine", [pytest.param("espeak-ng", marks=needs_espeak), pytest.param("flite", marks=needs_flite)]
)
def test_the_same_arguments_speak_the_same_bytes(engine: str, tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        manifest = tmp_path / name / "manifest.jsonl"
        assert synthesize(manifest, engine, **{"audio-format": "ogg"}) == 0
        files.append([manifest.read_bytes(), *(path.read_bytes() for path in sorted(manifest.parent.glob("audio/*")))])
        for entry in map(json.loads, manifest.read_text().splitlines()):
            wave, rate = soundfile.read(manifest.parent / entry["audio_filepath"])
            assert rate == RATE and len(wave) / rate == pytest.approx(entry["duration"], abs=0.05)
            assert entry["engine"] == engine and np.sqrt(np.mean(wave**2)) > 1e-3
    assert len(files[0]) == 5
    assert files[0] == files[1]


def test_nobody_speaks_in_both_splits() -> None:
    for engine, speakers in SPEAKERS["validation"].items():
        assert not set(speakers.voices) & set(SPEAKERS["train"][engine].voices), engine


@needs_espeak
def test_letters_are_spoken_by_name() -> None:
    assert phonemes("call A", british=False).endswith("A")  # Kokoro's symbol for the vowel of "day"
    assert phonemes("call a", british=False) != phonemes("call A", british=False)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda folder: None, "has no model.onnx"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"another model"), "has the SHA-256"),
    ],
)
@needs_espeak
def test_a_kokoro_folder_that_is_not_one(prepare, sentence, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "kokoro"
    (folder / "voices").mkdir(parents=True)
    (folder / "vocab.json").write_text("{}")
    prepare(folder)
    output = tmp_path / "spoken" / "manifest.jsonl"
    assert synthesize(output, "kokoro", kokoro=folder) == 2
    error = capsys.readouterr().err
    assert sentence in error and str(folder) in error and "Traceback" not in error
    assert not output.parent.exists()


def test_engines_that_cannot_speak(tmp_path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "spoken" / "manifest.jsonl"
    assert synthesize(output, "kokoro") == 2
    assert "give --kokoro" in capsys.readouterr().err
    assert synthesize(output, "festival") == 2
    assert "--engines festival" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert synthesize(output, "flite") == 2
    assert "flite was not found on PATH; install it" in capsys.readouterr().err
    assert not output.parent.exists()


def test_training_names_audio_that_is_missing(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    manifest = tmp_path / "recordings.jsonl"
    entries = (ROOT / "models/validation/manifest.jsonl").read_text().splitlines()
    manifest.write_text("".join(f"{line}\n" for line in entries))
    done = run_worker(
        "speech/train", "--config", ROOT / "configs/demo-tdt.yaml", "--train-manifest", f"{manifest}:2",
        "--validation-manifest", manifest, "--work", tmp_path / "work", "--steps", 1, "--output", tmp_path / "new.nemo",
    )  # fmt: skip
    assert done == 2
    assert str(tmp_path / json.loads(entries[0])["audio_filepath"]) in capsys.readouterr().err
    assert not (tmp_path / "new.nemo").exists()


# A config in which nothing is drawn.
QUIET = {"gain_db": [0, 0], "silence_seconds": 0, "silent_share": 0, "noisy_share": 0, "snr_db": [0, 0]}


class TestAugmentation:
    """On a chirp, of which every change can be computed."""

    time = np.arange(RATE, dtype=np.float32) / RATE
    wave = np.sin(2 * np.pi * (100 + 3000 * time) * time).astype(np.float32) / 2

    def augment(self, waves: list[np.ndarray], **config: object) -> np.ndarray:
        augmentation, rng = Augmentation(OmegaConf.create(QUIET | config), RATE, seed=1), np.random.default_rng(2)
        lengths = [len(wave) for wave in waves]
        plan = augmentation.plan(0, lengths, np.eye(len(waves))[-1], 1, rng)
        heard = augmentation(plan, [waves[member] for member in plan.members], rng)
        assert len(heard) == pytest.approx(plan.samples(lengths), abs=2)
        return heard

    def test_nothing_drawn_changes_nothing(self) -> None:
        np.testing.assert_array_equal(self.augment([self.wave]), self.wave)

    def test_noise_has_the_power_that_is_asked_for(self) -> None:
        noise = self.augment([self.wave], noisy_share=1, snr_db=[6, 6]) - self.wave
        assert 10 * np.log10(np.mean(self.wave**2) / np.mean(noise**2)) == pytest.approx(6, abs=1)

    def test_speed_changes_length_and_pitch(self) -> None:
        heard = self.augment([self.wave], speed_share=1, speed=[1.25, 1.25])
        assert len(heard) == pytest.approx(RATE / 1.25, abs=2)

    def test_recordings_follow_one_another(self) -> None:
        joined = {"from_epoch": 0, "share": 1, "most": 2, "silence_seconds": 0}
        np.testing.assert_array_equal(self.augment([self.wave, -self.wave], joined=joined)[RATE:], -self.wave)

    def test_silence_comes_before_between_and_after(self) -> None:
        joined = {"from_epoch": 0, "share": 1, "most": 2, "silence_seconds": 1.0}
        heard = self.augment([self.wave, -self.wave], joined=joined)
        spoken = np.flatnonzero(np.abs(heard) > 0.01)
        assert spoken[0] > 100 and np.diff(spoken).max() > 100 and spoken[-1] < len(heard) - 100

    def test_companions_come_by_weight(self) -> None:
        joined = {"from_epoch": 1, "share": 1, "most": 2, "silence_seconds": 0}
        augmentation = Augmentation(OmegaConf.create(QUIET | {"joined": joined}), RATE, seed=1)
        rng, weights = np.random.default_rng(3), np.array([0.8, 0.2])
        assert augmentation.plan(0, [RATE, RATE], weights, 0, rng).members == [0]
        drawn = [augmentation.plan(0, [RATE, RATE], weights, 1, rng).members[1] for _ in range(500)]
        assert np.mean(drawn) == pytest.approx(0.2, abs=0.06)

    def test_empty_recordings_hold_no_speech(self) -> None:
        augmentation = Augmentation(OmegaConf.create(QUIET | {"empty_share": 1.0}), RATE, seed=1)
        rng = np.random.default_rng(4)
        for _ in range(20):
            plan = augmentation.plan(0, [RATE], np.ones(1), 0, rng)
            wave = augmentation(plan, [], rng)
            assert plan.members == []
            assert wave.shape == (RATE,) and np.sqrt(np.mean(wave**2)) < 0.3

    def test_a_room_keeps_length_and_power_and_adds_an_echo(self) -> None:
        click = np.zeros(RATE, np.float32)
        click[100] = 1
        heard = room(click, RATE, 0.3, 1.0, np.random.default_rng(5))
        assert len(heard) == RATE and np.sum(heard**2) == pytest.approx(1, rel=1e-3)
        assert np.sum(heard[101:] ** 2) == pytest.approx(0.5, rel=0.05)
        assert np.abs(heard[:99]).max() < 1e-6 and np.abs(heard[100 + int(0.3 * RATE) :]).max() < 1e-6

    def test_a_telephone_has_no_bass(self) -> None:
        bass = np.sin(2 * np.pi * 80 * self.time).astype(np.float32)
        assert np.std(band_limited(bass, RATE, 300, 3400)) < 0.02
        speech = np.sin(2 * np.pi * 1000 * self.time).astype(np.float32)
        assert np.std(band_limited(speech, RATE, 300, 3400)) == pytest.approx(np.std(speech), rel=0.05)

    @pytest.mark.parametrize("codec", CODECS)
    def test_a_codec_keeps_what_is_said(self, codec: str) -> None:
        heard = coded(self.wave, RATE, codec)
        assert 0 < np.abs(heard[:RATE] - self.wave).max() < 0.6
        assert np.corrcoef(heard[:RATE], self.wave)[0, 1] > 0.9
        assert isinstance(heard, np.ndarray)
