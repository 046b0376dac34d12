"""The folder for onnx-asr in parakeet.js, under Node, by ONNX Runtime's WebAssembly and its own features."""

import itertools
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from conftest import DEMO, ROOT, ByKind, needs, run_worker
from transducer.core.error_rates import rate, word_errors
from transducer.speech.audio import read_audio
from transducer.speech.manifest import read_manifest
from transducer.speech.recognizer import Recognizer

pytestmark = needs("node", "npm")
PARAKEET_JS = ROOT / "tests/package/parakeet_js"
VALIDATION = DEMO / "validation/manifest.jsonl"
Files = dict[str, list[Path]]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "ci", "--prefix", PARAKEET_JS, *options], check=True)


def packaged(built: Path, output: Path, *extra: Path) -> Path:
    graphs = [built / f"onnx/{name}.onnx" for name in ("encoder", "predictor", "joint")]
    meta = ("--meta", built / "meta/model_meta.json", "--tokens", built / "meta/tokens.txt")
    sums = output / "SHA256SUMS"
    assert run_worker("package/for_onnx_asr", "--graphs", *graphs, *extra, *meta, "--output", sums) == 0
    return output


def transcribe(folder: Path, waves: list[Any], work: Path, **options: Any) -> list[str]:
    paths = [work / f"{number}.f32" for number in range(len(waves))]
    for path, wave in zip(paths, waves, strict=True):
        wave.tofile(path)
    given = {"paths": list(map(str, paths)), "quantization": "", **options}
    (work / "input.json").write_text(json.dumps(given))
    command: list[str | Path] = [
        "node",
        PARAKEET_JS / "transcribe.mjs",
        folder,
        work / "input.json",
        work / "output.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads((work / "output.json").read_text()))


def test_a_model_of_its_sizes_is_taken_as_it_lies(built: ByKind, tmp_path: Path) -> None:
    checkpoint = tmp_path / "large-predictor-tdt.nemo"
    checkpoints.save("large-predictor-tdt", checkpoint, lively=True)
    model = built(str(checkpoint))
    folder = packaged(model, tmp_path / "package")
    assert "ParakeetModel.fromUrls" in (folder / "README.md").read_text()
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in read_manifest(VALIDATION)[:6]]
    expected = [found.text for found in Recognizer(model).transcribe(waves)]
    assert len(set(expected)) == 6
    heard = transcribe(folder, waves, tmp_path, nMels=80)
    # Features differ by rounding, and random weights make of that another label sooner or later.
    shared = [leading(*pair) for pair in zip(heard, expected, strict=True)]
    assert statistics.median(shared) >= 12, list(zip(heard, expected, strict=True))


def leading(one: str, other: str) -> int:
    """Return how many letters two texts have in common before they part."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@pytest.mark.parametrize("count", [48, pytest.param(480, marks=pytest.mark.slow)])
def test_the_demo_is_heard_as_by_us(built: ByKind, tmp_path: Path, count: int) -> None:
    """With the states of its own predictor, which is smaller than parakeet.js has in its code."""
    model = built(str(DEMO / "demo-tdt.nemo"))
    folder = packaged(model, tmp_path / "package")
    assert "does not take this model: it expects LSTM layers 2 (here 1)" in (folder / "README.md").read_text()
    entries = read_manifest(VALIDATION)[:: 480 // count]
    waves = [read_audio(entry["audio_filepath"], 16000) for entry in entries]
    heard = transcribe(folder, waves, tmp_path, nMels=80, states=[1, 128])
    expected = [found.text for found in Recognizer(model).transcribe(waves)]
    texts = [entry["text"] for entry in entries]
    assert sum(one == other for one, other in zip(heard, expected, strict=True)) >= 0.98 * count
    assert abs(rate(word_errors(texts, heard)) - rate(word_errors(texts, expected))) <= 0.5
