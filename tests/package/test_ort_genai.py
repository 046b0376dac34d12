"""The folder for ONNX Runtime GenAI, read by ONNX Runtime GenAI, whose features and search are its own."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as genai
import pytest
import soundfile

from conftest import DEMO, ByKind, run_worker
from transducer.core.error_rates import rate, word_errors
from transducer.speech.audio import read_audio
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

VALIDATION = DEMO / "validation/manifest.jsonl"
RATE = 16000


def packaged(built: Path, output: Path) -> int:
    graphs = [built / f"onnx/{name}.onnx" for name in ("encoder", "predictor", "joint")]
    meta = ("--meta", built / "meta/model_meta.json", "--tokens", built / "meta/tokens.txt")
    return run_worker("package/for_ort_genai", "--graphs", *graphs, *meta, "--output", output / "SHA256SUMS")


def transcribe(folder: Path, waves: list[Any], work: Path) -> list[str]:
    model = genai.Model(str(folder))
    processor = model.create_multimodal_processor()
    texts = []
    for wave in waves:
        soundfile.write(work / "clip.wav", wave, RATE, subtype="FLOAT")
        generator = genai.Generator(model, genai.GeneratorParams(model))
        generator.set_inputs(processor("", audios=genai.Audios.open(str(work / "clip.wav"))))
        while not generator.is_done():
            generator.generate_next_token()
        texts.append(processor.decode(generator.get_sequence(0)).strip())
    return texts


@pytest.fixture(scope="module")
def demo(built: ByKind) -> Path:
    return built(str(DEMO / "demo-tdt.nemo"))


@pytest.mark.parametrize("count", [48, pytest.param(480, marks=pytest.mark.slow)])
def test_it_hears_what_we_hear(demo: Path, tmp_path: Path, count: int) -> None:
    assert packaged(demo, tmp_path / "package") == 0
    entries = read_manifest(VALIDATION)[:: 480 // count]
    waves = [read_audio(entry["audio_filepath"], RATE) for entry in entries]
    heard = transcribe(tmp_path / "package", waves, tmp_path)
    expected = [found.text for found in Recognizer(demo).transcribe(waves)]
    texts = [entry["text"] for entry in entries]
    # A blank of duration 0 goes on by another rule there.
    assert sum(one == other for one, other in zip(heard, expected, strict=True)) >= 0.95 * count
    assert abs(rate(word_errors(texts, heard)) - rate(word_errors(texts, expected))) <= 0.5


def test_a_long_recording_is_heard_to_its_end(demo: Path, tmp_path: Path) -> None:
    """Above 20 s it is encoded in pieces."""
    assert packaged(demo, tmp_path / "package") == 0
    entries = read_manifest(VALIDATION)[:24]
    waves = [read_audio(entry["audio_filepath"], RATE) for entry in entries]
    pause = np.random.default_rng(0).normal(0, 1e-4, RATE // 2).astype(np.float32)
    joined = np.concatenate([part for wave in waves for part in (wave, pause)])
    assert len(joined) > 45 * RATE
    [text] = transcribe(tmp_path / "package", [joined], tmp_path)
    assert len(text.split()) > 0.6 * sum(len(entry["text"].split()) for entry in entries)


def test_what_it_cannot_read_is_refused(built: ByKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, sentence in (("bpe-rnnt", "it is an RNN-T model"), ("cache-aware-tdt", "features with normalize ''")):
        assert packaged(built(kind), tmp_path / kind) == 2
        printed = capsys.readouterr().err
        assert printed.count("error:") == 1 and sentence in printed
        assert not (tmp_path / kind).exists()
