"""The TypeScript decoder: its own tests, golden cases, whole test sets beside Python, and the demo in Chromium."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import DEMO, ROOT, ByKind, make, needs, run_worker
from decoders.language_model import token_lm
from decoders.packages import packaged
from transducer.package.facts import read_facts
from transducer.runtime.sessions import open_session
from transducer.speech.recognizer import Recognizer
from transducer.speech.steering import Steering
from transducer.swipe.beam_search import BeamSearch
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import layout_of
from transducer.swipe.lexicon import read_words
from transducer.swipe.steps import graph_step
from transducer.swipe.synthesis import User
from transducer.swipe.traces import Trace, read_traces
from transducer.swipe.trie import TrieLexicon

pytestmark = needs("node", "npm")
TYPESCRIPT = ROOT / "decoders/typescript"
TEST_SET = DEMO / "swipe-test/manifest.jsonl.gz"


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Install what the decoder is compiled and tested with, and compile it."""
    done = make("typescript")
    assert done.returncode == 0, done.stderr


def with_int8(out: Path, folder: Path, *others: str) -> dict[str, Path]:
    """Return the graphs of a package: encoder in fp32 and as the web has it, the step, and others."""
    int8 = folder / "encoder.int8.onnx"
    assert run_worker("quantize/int8", "--input", out / "onnx/encoder.onnx", "--reduce-range", "--output", int8) == 0
    return {f"{name}.onnx": out / f"onnx/{name}.onnx" for name in ("encoder", "rnnt_step", *others)} | {int8.name: int8}


@pytest.fixture(scope="module")
def swipe(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swipe")
    out = built(str(DEMO / "demo-swipe.nemo"))
    return packaged(out, folder / "package", with_int8(out, folder), lexicon=True)


@pytest.fixture(scope="module")
def speech(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    out = built(str(DEMO / "demo-tdt.nemo"))
    return packaged(out, folder / "package", with_int8(out, folder, "frontend"))


@pytest.fixture(scope="module")
def streaming(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = built(str(DEMO / "demo-streaming.nemo"))
    graphs = {f"{name}.onnx": out / f"onnx/{name}.onnx" for name in ("frontend", "encoder", "rnnt_step")}
    return packaged(out, tmp_path_factory.mktemp("streaming") / "package", graphs)


def npm(script: str, **environment: object) -> str:
    settings = os.environ | {name: str(value) for name, value in environment.items()}
    command = ["npm", "run", "--silent", "--ignore-scripts", script]
    done = subprocess.run(command, cwd=TYPESCRIPT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_the_librarys_own_tests() -> None:
    assert "# skipped 0" in npm("test")


def test_golden_cases(swipe: Path, speech: Path, streaming: Path) -> None:
    """Swipes: all 200 n-best lists, features and beams, in onnxruntime-web, and the n-best in onnxruntime-node.

    Speech: the prefixes before every step and the n-best of 60 recordings, by both demo models.
    """
    assert "# skipped 0" in npm("test:built", SWIPE_PACKAGE=swipe, SPEECH_PACKAGES=f"{speech}:{streaming}")


def test_what_is_published_has_code_and_types_and_no_dependency(tmp_path: Path) -> None:
    """The packed package, installed alone, type-checks and runs."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", tmp_path], cwd=TYPESCRIPT, check=True, capture_output=True
    )
    archive = tmp_path / packed.stdout.decode().split()[-1]
    home = tmp_path / "node_modules/transducer-decoder"
    home.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", archive, "-C", home, "--strip-components=1"], check=True)
    (tmp_path / "node_modules/onnxruntime-common").symlink_to(TYPESCRIPT / "node_modules/onnxruntime-common")
    (tmp_path / "app.mts").write_text(
        'import { Lexicon, TransducerError } from "transducer-decoder";\n'
        'import { filesIn } from "transducer-decoder/node";\n'
        'const lexicon: Lexicon = Lexicon.fromWords(["a"], new Map([["a", 0]]));\n'
        'if (lexicon.size !== 1) throw new TransducerError("bad-word", "");\n'
        'await filesIn("nowhere").read("x").catch((error) => console.log(error.code));\n'
    )
    tsc = [str(TYPESCRIPT / "node_modules/.bin/tsc"), "--strict", "--module", "nodenext", "--types", "", "app.mts"]
    subprocess.run(tsc, cwd=tmp_path, check=True)
    ran = subprocess.run(["node", "app.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ran.stdout == "missing-file\n"
    content = json.loads((home / "package.json").read_text())
    assert not content.get("dependencies") and not content.get("scripts", {}).get("postinstall")


def decode(task: str, package: Path, variant: str, source: Path, folder: Path) -> Any:
    output = folder / "decoded.json"
    script = TYPESCRIPT / "build/test/built/decode.js"
    subprocess.run(["node", script, task, package, variant, source, output], check=True)
    return json.loads(output.read_text(encoding="utf-8"))


class Reference:
    """The decoder in Python on a package's graphs."""

    def __init__(self, package: Path, variant: str) -> None:
        self.meta = read_facts(package / "meta/runtime_meta.json")
        graphs = self.meta["graphs"]
        self._encoder = open_session(package / graphs["encoder"][variant]["file"], threads=1)
        self._step = graph_step(open_session(package / graphs["rnnt_step"]["fp32"]["file"], threads=1))
        self._layout = layout_of(self.meta["layout"], str(package))
        words = read_words(package / "lexicon/words.txt")
        dims = self.meta["dims"]
        self._search = BeamSearch(
            TrieLexicon(package / "lexicon/trie.bin", words),
            self.meta["blank_id"],
            (dims["L"], dims["H"]),
            **self.meta["decoding"],
        )

    def words(self, points: Any) -> list[str]:
        features = swipe_features(np.asarray(points, np.float64), self._layout)
        given = {"features": features.T[None], "length": np.array([len(features)])}
        encoded, lengths = self._encoder.run(None, given)
        frames = np.ascontiguousarray(encoded[0, :, : lengths[0]].T)
        return [found.word for found in self._search.decode(frames, self._step)]


SEARCHES: list[dict[str, Any]] = [
    {},
    {"beam": 8},
    {"hotwords": ["zebra", "kitchen light", "tuesday"]},
    {"hotwords": ["zebra", "tuesday"], "scripts": ["Latin"]},
]


@pytest.mark.parametrize("steering", SEARCHES, ids=["greedy", "beam", "hotwords", "n-grams"])
def test_speech_is_heard_as_in_python(speech: Path, built: ByKind, tmp_path: Path, steering: dict[str, Any]) -> None:
    """Text, words, times and n-best of 12 recordings."""
    hotwords = tmp_path / "hotwords.txt"
    hotwords.write_text("\n".join(steering.get("hotwords", [])))
    search = Steering(steering.get("beam"), hotwords if "hotwords" in steering else None)
    arpa = token_lm(built(str(DEMO / "demo-tdt.nemo")), tmp_path) if "scripts" in steering else None
    if arpa:
        search = replace(search, token_lm=arpa, scripts=("Latin",))
    recognizer = Recognizer(built(str(DEMO / "demo-tdt.nemo")), steering=search)
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(DEMO.glob("validation/audio/*.ogg"))[:12]]
    # What has no signal has no words, and faint speech has.
    waves += [np.zeros(16000, np.float32), np.full(16000, 0.5, np.float32), waves[0] * np.float32(1e-3)]
    paths = [tmp_path / f"{number}.f32" for number in range(len(waves))]
    for path, wave in zip(paths, waves, strict=True):
        wave.tofile(path)
    listed = {"paths": [str(path) for path in paths], "steering": steering, "arpa": arpa and str(arpa)}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    found = decode("speech", speech, "fp32", tmp_path / "list.json", tmp_path)
    assert [ours["text"] for ours in found[12:14]] == ["", ""] and found[14]["text"]
    for ours, expected, wave in zip(found, recognizer.transcribe(waves), waves, strict=True):
        assert ours["text"] == expected.text
        assert [token["id"] for token in ours["tokens"]] == [token.id for token in expected.tokens]
        for word, other in zip(ours["words"], expected.words, strict=True):
            assert word["text"] == other.text
            assert (word["start"], word["end"]) == pytest.approx((other.start, other.end))
            assert word["confidence"] == pytest.approx(other.confidence, abs=1e-3)
        assert [one["text"] for one in ours["alternatives"]] == [text for text, _ in expected.alternatives]
        scores = [score for _, score in expected.alternatives]
        # At -60 dB the lowest band varies by little more than rounding: normalised, its features differ by 9e-3.
        bound = 1e-3 if np.abs(wave).max() > 0.01 else 2e-2
        assert [one["score"] for one in ours["alternatives"]] == pytest.approx(scores, abs=bound)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_the_test_set_has_pythons_top_word(variant: str, swipe: Path, tmp_path: Path) -> None:
    """2,800 traces: the same top word for 99.5 %."""
    reference = Reference(swipe, variant)
    traces = read_traces(TEST_SET, "".join(reference.meta["tokens"][:-1]))
    found = decode("swipe", swipe, variant, TEST_SET, tmp_path)
    assert len(found) == len(traces) == 2800
    tops = [
        (reference.words(trace.points)[:1], [one["word"] for one in ours["words"][:1]])
        for trace, ours in zip(traces, found, strict=True)
    ]
    same = sum(theirs == ours for theirs, ours in tops) / len(tops)
    right = sum(ours == [trace.word] for trace, (_, ours) in zip(traces, tops, strict=True)) / len(tops)
    print(f"{variant}: top word as in Python {same:.2%}, as meant {right:.2%}")
    assert same >= 0.995


@contextmanager
def served(*arguments: object) -> Iterator[str]:
    """Yield the address of the demo, built and served by make."""
    command = ["make", f"PYTHON={sys.executable}", "demo-web", "PORT=0", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        yield next(line.strip() for line in process.stdout if line.startswith("http"))
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def listed(points: Any) -> list[dict[str, float]]:
    return [{"x": x, "y": y, "t": t} for x, y, t in np.asarray(points).tolist()]


@pytest.mark.slow
def test_the_demo_in_chromium(tmp_path: Path) -> None:
    """The built packages in a browser: by mouse, finger and keys, with a word of one's own, files and a microphone."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "chromium is missing; install Debian's package chromium."
    with served() as url:
        package = ROOT / "out/demo-swipe/package/bundled/desktop"
        reference = Reference(ROOT / "out/demo-swipe/package/bundled/web", "int8")
        layout = layout_of(reference.meta["layout"], "package")
        traces = [trace for trace in read_traces(TEST_SET, "".join(reference.meta["tokens"][:-1])) if not trace.novel]
        own = Trace("zorkmid", User.draw(np.random.default_rng(1)).swipe("zorkmid", layout, np.random.default_rng(2)))
        clips = [DEMO / f"validation/audio/{number:05}.ogg" for number in range(3)]
        wave, rate = soundfile.read(clips[2], dtype="float32")
        soundfile.write(tmp_path / "clip.wav", wave, rate)
        soundfile.write(tmp_path / "microphone.wav", np.concatenate([np.zeros(rate // 2, np.float32), wave]), rate)
        given = {
            "chromium": chromium,
            "swipes": [{"word": trace.word, "points": listed(trace.points)} for trace in traces[:20]],
            "traces": [listed(trace.points) for trace in traces[:100]],
            "own": {"word": own.word, "points": listed(own.points)},
            "audio": [str(path) for path in [*clips, tmp_path / "clip.wav"]],
            "microphone": str(tmp_path / "microphone.wav"),
        }
        (tmp_path / "input.json").write_text(json.dumps(given))
        screenshots = Path(os.environ.get("SCREENSHOTS", tmp_path / "screenshots"))
        driver = TYPESCRIPT / "build/test/built/browser.js"
        subprocess.run(["node", driver, url, tmp_path / "input.json", tmp_path / "found.json", screenshots], check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert not found["problems"] and not found["overflows"]
    # Nothing comes from elsewhere.
    assert all(request.startswith((url, "blob:", "data:")) for request in found["requests"])
    assert found["isolated"]
    # What the page saw of 20 swipes by mouse, and of 8 by finger and mouse, is to Python the same word.
    assert len(found["swipes"]) >= 20
    for swiped in found["swipes"]:
        points = [(point["x"], point["y"], point["t"]) for point in swiped["points"]]
        assert swiped["words"][0]["word"] == reference.words(points)[0]
    meant = [swiped["words"][0]["word"] for swiped in found["swipes"][:20]]
    assert sum(word == trace.word for word, trace in zip(meant, traces, strict=False)) >= 17
    absent, added, removed = found["own"]
    assert "zorkmid" not in absent and added[0] == "zorkmid" and "zorkmid" not in removed
    assert found["ghost"][0]["word"] == found["gpu"][0]["word"] == "keyboard"
    assert found["dvorak"][0]["word"] == "keyboard"
    on_qwerty = reference.words([(point["x"], point["y"], point["t"]) for point in found["dvorakPoints"]])
    assert on_qwerty[0] != "keyboard"
    assert found["chosen"][0] == found["chosen"][1]
    assert found["dynamic"]["before"] == 0 and found["dynamic"]["after"][0] == meant[0]
    # Exact traces: the top word of Python.
    for variant, folder in (("int8", package.with_name("web")), ("fp32", package)):
        exact = Reference(folder, variant)
        tops = [exact.words(trace.points)[0] for trace in traces[:100]]
        assert [one["words"][0]["word"] for one in found["timed"][variant]] == tops
    # Speech: files as in Python, and the microphone.
    texts = transcribe(ROOT / "out/demo-tdt", [*clips, tmp_path / "clip.wav"])
    assert [heard["text"] for heard in found["audio"]] == texts
    assert found["microphone"]["text"] == texts[2]
    # A word takes 30 ms at most from points to words, on a machine that does nothing else.
    times = {name: statistics.median(one["milliseconds"] for one in timed) for name, timed in found["timed"].items()}
    print(", ".join(f"{name}: {time:.1f} ms a word" for name, time in times.items()))
    assert times["int8"] <= 30


def transcribe(out: Path, paths: list[Path]) -> list[str]:
    recognizer = Recognizer(out, encoder=out / "ort/encoder.web.int8.onnx", steering=Steering(beam=8))
    return [found.text for found in recognizer.transcribe([soundfile.read(path, dtype="float32")[0] for path in paths])]
