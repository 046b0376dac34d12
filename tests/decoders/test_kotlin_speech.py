"""Speech by the Kotlin decoder, compiled by the real compiler, against Python."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import DEMO, ByKind, lowering_worker, needs, run_worker
from decoders.kotlin_process import Decoder, compile_decoder
from decoders.language_model import token_lm
from decoders.packages import packaged
from golden import golden, require_same_search, unpacked
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering

pytestmark = needs("java", "javac", "npm")
GRAPHS = ("frontend", "encoder", "rnnt_step")
EXECUTORCH = {"frontend": "frontend.pte", "encoder": "encoder.xnnpack.pte", "rnnt_step": "rnnt_step.pte"}
HOTWORDS = {"zebra": 0.5, "kitchen light": 0.5, "tuesday": 1.25}
SEARCHES: list[dict[str, Any]] = [{}, {"beam": 8}, {"hotwords": HOTWORDS}, {"languageModel": "", "scripts": ["Latin"]}]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decoder]:
    with Decoder(compile_decoder(tmp_path_factory.mktemp("classes"))) as decoder:
        yield decoder


@pytest.fixture(scope="module", params=["demo-tdt", "demo-streaming"])
def model(request: pytest.FixtureRequest, built: ByKind) -> Path:
    return built(str(DEMO / f"{request.param}.nemo"))


@pytest.fixture(scope="module")
def package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech") / "package"
    graphs = {f"{name}.onnx": model / f"onnx/{name}.onnx" for name in GRAPHS}
    # Graphs for ONNX Runtime under the names of files for ExecuTorch, which take long to make.
    return packaged(model, folder, graphs | {EXECUTORCH[name]: model / f"onnx/{name}.onnx" for name in GRAPHS})


@pytest.fixture(scope="module")
def executorch_package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package with real files for ExecuTorch."""
    folder = tmp_path_factory.mktemp("executorch")
    for name, file in EXECUTORCH.items():
        worker = lowering_worker("xnnpack") if name == "encoder" else ("pte/lower", "--graph", name)
        options = ("--checkpoint", model / "checkpoint", "--max-frames", 1000, "--output", folder / file)
        assert run_worker(*worker, *options) == 0
    files = [name for file in EXECUTORCH.values() for name in (file, f"{Path(file).stem}.json")]
    return packaged(model, folder / "package", {file: folder / file for file in files})


def written(samples: Any, folder: Path) -> str:
    path = folder / "samples.f32"
    np.asarray(samples, "<f4").tofile(path)
    return str(path)


@pytest.mark.parametrize("search", SEARCHES, ids=["greedy", "beam", "hotwords", "n-grams"])
def test_speech_is_heard_as_in_python(
    process: Decoder, package: Path, model: Path, search: dict[str, Any], tmp_path: Path
) -> None:
    """Text, words, times and n-best of 12 recordings, RNN-T and TDT."""
    hotwords = tmp_path / "hotwords.txt"
    hotwords.write_text("".join(f"{phrase} :{weight}\n" for phrase, weight in HOTWORDS.items()))
    steering = Steering(search.get("beam"), hotwords if "hotwords" in search else None)
    if "languageModel" in search:
        arpa = token_lm(model, tmp_path)
        search = search | {"languageModel": str(arpa), "hotwords": HOTWORDS}
        steering = Steering(hotwords=hotwords, token_lm=arpa, scripts=("Latin",))
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(DEMO.glob("validation/audio/*.ogg"))[:12]]
    # What has no signal has no words.
    waves += [np.zeros(16000, np.float32), np.full(16000, 0.5, np.float32)]
    assert process.do("open_speech", package=str(package)) is None
    for wave, expected in zip(waves, Recognizer(model, steering=steering).transcribe(waves), strict=True):
        found = process.do("transcribe", samples=written(wave, tmp_path), **search)
        assert found["text"] == expected.text
        assert found["tokens"] == [token.id for token in expected.tokens]
        for word, other in zip(found["words"], expected.words, strict=True):
            assert word["text"] == other.text
            assert (word["start"], word["end"]) == pytest.approx((other.start, other.end))
            assert word["confidence"] == pytest.approx(other.confidence, abs=1e-3)
        assert [one["text"] for one in found["alternatives"]] == [text for text, _ in expected.alternatives]
        scores = [score for _, score in expected.alternatives]
        assert [one["score"] for one in found["alternatives"]] == pytest.approx(scores, abs=1e-3)
    assert process.do("close_speech") is None


def test_every_golden_case_comes_out_the_same(process: Decoder, package: Path, model: Path, tmp_path: Path) -> None:
    """The prefixes before every step and the n-best, searched greedily, with a beam, and with hotwords."""
    meta = json.loads((model / "meta/model_meta.json").read_text())
    content = golden("demo-tdt" if meta["durations"] else "demo-streaming")
    assert content["meta"]["source"] == meta["source"]
    assert process.do("open_speech", package=str(package)) is None
    for case in content["cases"]:
        frames = written(unpacked(case["encoder_frames"]), tmp_path)
        for name, search in content["searches"].items():
            found = process.do("search_speech", frames=frames, beam=search["beam"], hotwords=search["hotwords"])
            found["n_best"] = found["n_best"][:8]
            require_same_search(found, case["searches"][name])


def test_the_executorch_adapter_hears_the_same(process: Decoder, package: Path, model: Path, tmp_path: Path) -> None:
    require_same_texts(process, package, model, tmp_path)
    assert {name for name, _ in process.runs[-3:]} <= set(EXECUTORCH.values())


@pytest.mark.slow
def test_executorch_hears_the_same(process: Decoder, executorch_package: Path, model: Path, tmp_path: Path) -> None:
    """Real .pte files, in ExecuTorch's own runtime; too much audio for them is refused."""
    require_same_texts(process, executorch_package, model, tmp_path)
    found = process.do("transcribe", samples=written(np.ones(11 * 16000).cumsum(), tmp_path))
    assert found["error"] == "BadAudio" and "take up to 10.0 s; cut it in pauses" in found["message"]


def require_same_texts(process: Decoder, package: Path, model: Path, folder: Path) -> None:
    """Compare what ExecuTorch's adapter and Python hear by a beam search in 6 recordings."""
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(DEMO.glob("validation/audio/*.ogg"))[:6]]
    assert process.do("open_speech", package=str(package), runtime="executorch") is None
    for wave, expected in zip(waves, Recognizer(model, steering=Steering(4)).transcribe(waves), strict=True):
        found = process.do("transcribe", samples=written(wave, folder), beam=4)
        assert found["text"] == expected.text and found["text"]
        assert [one["text"] for one in found["alternatives"]] == [text for text, _ in expected.alternatives]
        scores = [score for _, score in expected.alternatives]
        assert [one["score"] for one in found["alternatives"]] == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "options", "kind", "sentence"),
    [
        (np.ones(100), {}, "BadAudio", "holds 0.01 s"),
        (np.full(16000, np.nan), {}, "BadAudio", "not finite"),
        (np.sin(np.arange(16000)), {"beam": 0}, "BadBeam", "A beam of 0 keeps nothing"),
        (np.sin(np.arange(16000)), {"hotwords": {"ZEBRA": 0.5}}, "BadPhrase", 'no token for "Z"'),
        (np.sin(np.arange(16000)), {"hotwords": {" ": 0.5}}, "BadPhrase", "is empty"),
        (np.sin(np.arange(16000)), {"hotwords": {"zebra": 0.0}}, "BadPhrase", "not a number of nats"),
        (np.sin(np.arange(16000)), {"scripts": ["Greek"]}, "BadScript", 'no token in the script "Greek"'),
        (np.sin(np.arange(16000)), {"scripts": ["Klingon"]}, "BadScript", 'no token in the script "Klingon"'),
        (np.sin(np.arange(16000)), {"languageModel": "-1 ZEBRA"}, "BadLanguageModel", '"ZEBRA" and 0 more'),
        (np.sin(np.arange(16000)), {"languageModel": "-1"}, "BadLanguageModel", "line 2 is not an n-gram of 1"),
    ],
)
def test_bad_input_is_a_typed_error(
    process: Decoder, package: Path, samples: Any, options: dict[str, Any], kind: str, sentence: str, tmp_path: Path
) -> None:
    assert process.do("open_speech", package=str(package)) is None
    if "languageModel" in options:
        arpa = tmp_path / "lm.arpa"
        arpa.write_text(f"\\1-grams:\n{options['languageModel']}\n")
        options = {"languageModel": str(arpa)}
    found = process.do("transcribe", samples=written(samples, tmp_path), **options)
    assert found["error"] == kind and sentence in found["message"] and found["message"].count(". ") == 0


def test_a_package_that_is_damaged_or_of_another_task_is_refused(process: Decoder, package: Path) -> None:
    found = process.do("open", package=str(package))
    assert found["error"] == "BadPackage" and "is of a model for speech" in found["message"]
    assert process.do("open_speech", package=str(package), variant="int9")["error"] == "BadPackage"
    encoder = package / "graphs/encoder.onnx"
    content = encoder.read_bytes()
    encoder.write_bytes(content[:-1] + b"?")
    assert process.do("open_speech", package=str(package))["error"] == "HashMismatch"
    encoder.write_bytes(content)
