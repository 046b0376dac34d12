"""The packages for other runtimes, loaded and used by the runtimes themselves.

Example:
    .venv/bin/python -m pytest tests/test_packages.py
"""

import functools
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_asr
import onnxruntime
import pytest
import sherpa_onnx
import soundfile
from kaldialign import edit_distance
from numpy.typing import NDArray

from conftest import DEMO, ByKind, make, make_project, run_worker, with_sidecar

VALIDATION = DEMO / "validation/manifest.jsonl"
RUNTIMES = ("sherpa-onnx", "onnx-asr")
# Every eighth clip, for the fast suite.
SUBSET = slice(0, None, 8)
Clips = Sequence[dict[str, Any]]
Recognize = Callable[[str], str]


def package(runtime: str, built: Path, output: Path, *extra: Path) -> int:
    """Run a package worker on a build folder and return its exit code."""
    graphs = [built / f"onnx/{name}.onnx" for name in ("encoder", "predictor", "joint")]
    meta = ["--meta", built / "meta/model_meta.json", "--tokens", built / "meta/tokens.txt"]
    name = f"package/for_{runtime.replace('-', '_')}"
    return run_worker(name, "--graphs", *graphs, *extra, *meta, "--output", output / "SHA256SUMS")


def with_packages(built: Path) -> Path:
    """Make both packages in a build folder, where they belong."""
    for runtime in RUNTIMES:
        assert package(runtime, built, built / "package" / runtime) == 0
    return built


@pytest.fixture(scope="session")
def demo(built: ByKind) -> Path:
    """The build folder of demo-tdt with both packages."""
    return with_packages(built(str(DEMO / "demo-tdt.nemo")))


def manifest() -> Clips:
    return [json.loads(line) for line in VALIDATION.read_text(encoding="utf-8").splitlines()]


@functools.cache
def waveform(clip: str) -> NDArray[np.float32]:
    """Return a validation clip, float32 [samples] at 16 kHz."""
    samples, rate = soundfile.read(VALIDATION.parent / clip, dtype="float32")
    assert rate == 16000
    return np.asarray(samples)


def open_onnx_asr(folder: Path, model_type: str, quantization: str | None = None) -> Recognize:
    model = onnx_asr.load_model(model_type, path=folder, quantization=quantization)
    return lambda clip: str(model.recognize(waveform(clip)))


def open_sherpa_onnx(folder: Path, variant: str = "", **options: Any) -> Recognize:
    files = {name: str(folder / f"{name}{variant}.onnx") for name in ("encoder", "decoder", "joiner")}
    recognizer = sherpa_onnx.OfflineRecognizer.from_transducer(
        **files, tokens=str(folder / "tokens.txt"), model_type="nemo_transducer", **options
    )

    def recognize(clip: str) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(16000, waveform(clip))
        recognizer.decode_stream(stream)
        return str(stream.result.text)

    return recognize


class SherpaGraphs:
    """sherpa-onnx's calls of a package's graphs (by position) and its greedy search, on features that one gives it."""

    def __init__(self, folder: Path) -> None:
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
            for name in ("encoder", "decoder", "joiner")
        }
        self.props = self.sessions["encoder"].get_modelmeta().custom_metadata_map
        lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
        self.tokens = [line.rpartition(" ")[0] for line in lines]
        self.labels = int(self.props["vocab_size"]) + 1
        assert self.tokens.index("<blk>") == self.labels - 1

    def run(self, name: str, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        names = [value.name for value in self.sessions[name].get_inputs()]
        return list(self.sessions[name].run(None, dict(zip(names, arrays, strict=True))))

    def decode(self, features: NDArray[np.float32], limit: int) -> str:
        """Return the text of features [F,T], at most `limit` tokens a frame."""
        blank, tdt = self.labels - 1, "tdt" in self.props["url"]
        output, lengths = self.run("encoder", features[None], np.array([features.shape[1]]))
        zeros = np.zeros((int(self.props["pred_rnn_layers"]), 1, int(self.props["pred_hidden"])), np.float32)
        one = np.array([1], np.int32)
        decoded, _, *states = self.run("decoder", np.array([[blank]], np.int32), one, zeros, zeros)
        found, frame, emitted = [], 0, 0
        while frame < lengths[0]:
            logits = self.run("joiner", output[:, :, frame : frame + 1], decoded)[0].reshape(-1)
            token = int(logits[: self.labels].argmax())
            skip = int(logits[self.labels :].argmax()) if tdt else int(token == blank)
            if token != blank:
                found.append(token)
                emitted += 1
                decoded, _, *states = self.run("decoder", np.array([[token]], np.int32), one, *states)
            if skip == 0 and (token == blank or emitted >= limit):
                skip = 1
            emitted = 0 if skip else emitted
            frame += skip
        return "".join(self.tokens[token] for token in found).replace("\N{LOWER ONE EIGHTH BLOCK}", " ").strip()


def nemo_features(clip: str, bands: int = 80) -> NDArray[np.float32]:
    """Return features [F,T] as NeMo computes them, by onnx-asr's copy of its frontend."""
    from onnx_asr.preprocessors.numpy_preprocessor import NemoPreprocessorNumpy

    wave = waveform(clip)
    features, lengths = NemoPreprocessorNumpy(f"nemo{bands}")(wave[None], np.array([len(wave)]))
    return np.asarray(features[0, :, : lengths[0]], dtype=np.float32)


def wer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Return the word error rate in percent."""
    errors = sum(edit_distance(a.split(), b.split())["total"] for a, b in zip(references, hypotheses, strict=True))
    return 100 * errors / sum(len(text.split()) for text in references)


def compare_with_nemo(demo: Path, clips: Clips, output: Path) -> dict[str, Any]:
    """Transcribe clips by NeMo and by both runtimes; return the texts by decoder."""
    listed = output / "manifest.jsonl"
    entries = [clip | {"audio_filepath": str(VALIDATION.parent / clip["audio_filepath"])} for clip in clips]
    listed.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    arguments = ["--checkpoint", demo / "checkpoint", "--manifest", listed, "--output", output / "nemo.json"]
    assert run_worker("speech/evaluate_checkpoint", *arguments) == 0
    nemo = json.loads((output / "nemo.json").read_text(encoding="utf-8"))
    names = [str(clip["audio_filepath"]) for clip in clips]
    graphs = SherpaGraphs(demo / "package/sherpa-onnx")
    return {
        "text": [str(clip["text"]) for clip in clips],
        "nemo": [str(entry["hypothesis"]) for entry in nemo["facts"]["hypotheses"]],
        "onnx-asr": list(map(open_onnx_asr(demo / "package/onnx-asr", "nemo-conformer-tdt"), names)),
        "sherpa-onnx": list(map(open_sherpa_onnx(demo / "package/sherpa-onnx"), names)),
        "sherpa-onnx on NeMo's features": [graphs.decode(nemo_features(name), limit=5) for name in names],
    }


def same(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the share of equal texts."""
    return float(np.mean([a == b for a, b in zip(first, second, strict=True)]))


def test_demo_transcripts(demo: Path, tmp_path: Path) -> None:
    """Both runtimes transcribe with the real demo model; where features are NeMo's, texts are NeMo's."""
    texts = compare_with_nemo(demo, manifest()[SUBSET], tmp_path)
    assert same(texts["nemo"], texts["onnx-asr"]) >= 0.98
    assert same(texts["nemo"], texts["sherpa-onnx on NeMo's features"]) >= 0.98
    # On 60 clips one word is a quarter of a point.
    assert wer(texts["text"], texts["sherpa-onnx"]) <= wer(texts["text"], texts["nemo"]) + 2


@pytest.mark.slow
def test_demo_word_error_rates(demo: Path, tmp_path: Path) -> None:
    """On the whole validation set the runtimes' WER is NeMo's, within 0.3 and 1.0 points."""
    texts = compare_with_nemo(demo, manifest(), tmp_path)
    nemo = wer(texts["text"], texts["nemo"])
    assert abs(wer(texts["text"], texts["onnx-asr"]) - nemo) <= 0.3
    assert abs(wer(texts["text"], texts["sherpa-onnx on NeMo's features"]) - nemo) <= 0.3
    assert abs(wer(texts["text"], texts["sherpa-onnx"]) - nemo) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_is_faster_than_the_common_recipe(runtime: str, demo: Path, tmp_path: Path) -> None:
    """In the real runtimes, on half a minute of speech, beside the same package with the field's int8 encoder."""
    encoder = {"sherpa-onnx": "encoder", "onnx-asr": "encoder-model"}[runtime]
    int8, nemo, common = (tmp_path / f"{name}.onnx" for name in ("encoder.int8", "nemo", "common"))
    assert run_worker("quantize/int8", "--input", demo / "onnx/encoder.onnx", "--output", int8) == 0
    assert run_worker("bench/export_nemo", "--checkpoint", demo / "checkpoint", "--output", nemo) == 0
    assert run_worker("bench/quantize_common", "--input", nemo, "--output", common) == 0
    assert package(runtime, demo, tmp_path / "ours", int8) == 0
    (tmp_path / "ours" / f"{encoder}.int8.onnx").replace(tmp_path / "ours" / f"{encoder}.onnx")
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    theirs = onnx.load(common)
    del theirs.metadata_props[:]
    theirs.metadata_props.extend(onnx.load(tmp_path / "ours" / f"{encoder}.onnx").metadata_props)
    onnx.save(theirs, tmp_path / "theirs" / f"{encoder}.onnx")
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.concatenate([waveform(str(clip["audio_filepath"])) for clip in manifest()[:12]]), 16000)
    recognizers = {
        whose: open_sherpa_onnx(tmp_path / whose)
        if runtime == "sherpa-onnx"
        else open_onnx_asr(tmp_path / whose, "nemo-conformer-tdt")
        for whose in ("ours", "theirs")
    }
    times: dict[str, list[float]] = {whose: [] for whose in recognizers}
    for _ in range(12):
        for whose, recognize in recognizers.items():
            began = time.perf_counter()
            assert recognize(str(speech))
            times[whose].append(time.perf_counter() - began)
    best = {whose: min(found) for whose, found in times.items()}
    print(runtime, best)
    assert best["ours"] < best["theirs"]


@pytest.mark.parametrize("kind", ["hybrid-tdt", "char-rnnt"])
def test_other_models_load_and_transcribe(kind: str, built: ByKind) -> None:
    """RNN-T, hybrid and character models load in both runtimes, and the two packages' graphs say the same."""
    out = with_packages(built(kind))
    clips = [str(clip["audio_filepath"]) for clip in manifest()[:4]]
    graphs = SherpaGraphs(out / "package/sherpa-onnx")
    by_sherpa = list(map(open_sherpa_onnx(out / "package/sherpa-onnx"), clips))
    by_onnx_asr = list(map(open_onnx_asr(out / "package/onnx-asr", f"nemo-conformer-{kind.partition('-')[2]}"), clips))
    assert all(by_sherpa) and all(by_onnx_asr)
    # onnx-asr's frontend is NeMo's, and its search allows 10 tokens a frame.
    expected = [graphs.decode(nemo_features(clip), limit=10) for clip in clips]
    assert [text.replace(" ", "") for text in by_onnx_asr] == [text.replace(" ", "") for text in expected]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_folder_is_whole(demo: Path, runtime: str) -> None:
    """SHA256SUMS verifies, lists every file but itself, and a changed file does not verify."""
    folder = demo / "package" / runtime
    verify = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(verify, cwd=folder, capture_output=True).returncode == 0
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_readme_commands_work(demo: Path, runtime: str, tmp_path: Path) -> None:
    """The README's Python lines, run as they stand, print a transcript."""
    folder = Path(shutil.copytree(demo / "package" / runtime, tmp_path / runtime))
    clip = manifest()[1]
    soundfile.write(folder / "speech.wav", waveform(clip["audio_filepath"]), 16000)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert wer([clip["text"]], [done.stdout.strip()]) < 50
    assert json.loads((demo / "meta/model_meta.json").read_text())["source"]["sha256"] in readme


def test_interfaces(demo: Path) -> None:
    """The graphs have the names, types and static sizes that the runtimes bind."""

    def interface(path: Path) -> tuple[list[Any], list[Any]]:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        sides = session.get_inputs(), session.get_outputs()
        return tuple([(value.name, value.type, value.shape) for value in side] for side in sides)  # type: ignore[return-value]

    dims = json.loads((demo / "meta/model_meta.json").read_text())["dims"]
    layers, hidden, width = dims["L"], dims["H"], dims["V"] + dims["K"]
    state = [layers, "B", hidden]
    inputs, outputs = interface(demo / "package/onnx-asr/decoder_joint-model.onnx")
    assert inputs == [
        ("encoder_outputs", "tensor(float)", ["B", dims["D"], "T"]),
        ("targets", "tensor(int32)", ["B", "U"]),
        ("target_length", "tensor(int32)", ["B"]),
        ("input_states_1", "tensor(float)", state),
        ("input_states_2", "tensor(float)", state),
    ]
    assert [name for name, _, _ in outputs] == ["outputs", "prednet_lengths", "output_states_1", "output_states_2"]
    assert outputs[0][2][-1] == width
    inputs, outputs = interface(demo / "package/sherpa-onnx/decoder.onnx")
    assert [kind for _, kind, _ in inputs] == ["tensor(int32)", "tensor(int32)", "tensor(float)", "tensor(float)"]
    assert [shape for _, _, shape in outputs] == [["B", hidden, "U"], ["B"], state, state]
    _, [joined] = interface(demo / "package/sherpa-onnx/joiner.onnx")
    assert joined[2] == ["B", "T", "U", width]


@pytest.mark.parametrize(("runtime", "encoder"), [("sherpa-onnx", "encoder.onnx"), ("onnx-asr", "encoder-model.onnx")])
def test_sidecar_comes_along(demo: Path, runtime: str, encoder: str, tmp_path: Path) -> None:
    """The encoder's weights lie in one file beside it, under a name that the runtime accepts, and are its own."""
    built = with_sidecar(demo, tmp_path / "built")
    folder = tmp_path / "elsewhere" / runtime
    assert package(runtime, built, folder) == 0
    shutil.rmtree(built)
    assert (folder / f"{encoder}.data").stat().st_size > 1 << 20
    assert len(list(folder.glob("*.data"))) == len(list(folder.glob("*.onnx?data"))) == 1
    onnx.checker.check_model(folder / encoder)
    opened = open_sherpa_onnx(folder) if runtime == "sherpa-onnx" else open_onnx_asr(folder, "nemo-conformer-tdt")
    plain = demo / "package" / runtime
    original = open_sherpa_onnx(plain) if runtime == "sherpa-onnx" else open_onnx_asr(plain, "nemo-conformer-tdt")
    for clip in manifest()[:3]:
        assert opened(clip["audio_filepath"]) == original(clip["audio_filepath"])


def test_int8_variants_are_included(demo: Path, tmp_path: Path) -> None:
    """Graphs of a variant go in under the runtimes' names for it; what has none is taken in fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    int8 = tmp_path / "encoder.int8.onnx"
    quantize_dynamic(demo / "onnx/encoder.onnx", int8, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])
    for runtime in RUNTIMES:
        assert package(runtime, demo, tmp_path / runtime, int8) == 0
        assert "int8" in (tmp_path / runtime / "README.md").read_text(encoding="utf-8")
    clip = manifest()[1]
    folder = tmp_path / "onnx-asr"
    assert wer([clip["text"]], [open_onnx_asr(folder, "nemo-conformer-tdt", "int8")(clip["audio_filepath"])]) < 50
    folder = tmp_path / "sherpa-onnx"
    assert not (folder / "decoder.int8.onnx").exists()
    (folder / "encoder.int8.onnx").replace(folder / "encoder.onnx")
    assert wer([clip["text"]], [open_sherpa_onnx(folder)(clip["audio_filepath"])]) < 50


REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("sherpa-onnx", {"durations": [0, 1, 2, 4, 8]}, {}, "its durations are [0, 1, 2, 4, 8]"),
    ("onnx-asr", {"durations": [1, 2, 3, 4, 5]}, {}, "its durations are [1, 2, 3, 4, 5]"),
    ("onnx-asr", {}, {"features": 64}, "features 64, and onnx-asr computes them with 80 or 128 only"),
    ("onnx-asr", {}, {"normalize": "NA"}, "normalize '', and onnx-asr computes them with 'per_feature' only"),
    ("sherpa-onnx", {}, {"normalize": "all_features"}, "normalize 'all_features', and sherpa-onnx"),
    ("sherpa-onnx", {}, {"window_size": 0.02, "n_fft": None}, "window_size 0.02, and sherpa-onnx"),
    ("onnx-asr", {"sample_rate": 8000}, {}, "sample_rate 8000, and onnx-asr computes them with 16000 only"),
    ("sherpa-onnx", {"tokenizer": "wpe"}, {}, "its tokens are word pieces"),
]


@pytest.mark.parametrize(("runtime", "facts", "frontend", "reason"), REFUSALS)
def test_refusals(
    demo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    runtime: str,
    facts: dict[str, Any],
    frontend: dict[str, Any],
    reason: str,
) -> None:
    """A model that a runtime would read wrongly is refused in one sentence, and no folder is left."""
    meta = json.loads((demo / "meta/model_meta.json").read_text(encoding="utf-8"))
    built = with_facts(demo, tmp_path / "built", meta | facts | {"frontend": meta["frontend"] | frontend})
    assert package(runtime, built, tmp_path / "packages" / runtime) == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("error: demo-tdt.nemo: ") and reason in sentence
    assert not any((tmp_path / "packages").iterdir())


def with_facts(built: Path, copy: Path, facts: dict[str, Any]) -> Path:
    """Return a build folder like another but for its model_meta.json."""
    (copy / "meta").mkdir(parents=True)
    (copy / "onnx").symlink_to(built / "onnx")
    (copy / "meta/model_meta.json").write_text(json.dumps(facts), encoding="utf-8")
    shutil.copy(built / "meta/tokens.txt", copy / "meta")
    return copy


def test_fixed_graphs_are_refused(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Graphs of one size cannot serve runtimes that give them any."""
    facts = json.loads((demo / "meta/model_meta.json").read_text(encoding="utf-8"))
    facts["graphs"]["encoder"]["inputs"][0]["shape"] = [1, 80, 1000]
    assert package("sherpa-onnx", with_facts(demo, tmp_path / "built", facts), tmp_path / "package") == 2
    assert "build it without FIXED=1" in capsys.readouterr().err


def test_foreign_folder_is_kept(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of that name that is not a package, say a checkout of sherpa-onnx, is never replaced."""
    (tmp_path / "sherpa-onnx").mkdir()
    (tmp_path / "sherpa-onnx/work.txt").write_text("mine")
    assert package("sherpa-onnx", demo, tmp_path / "sherpa-onnx") == 2
    assert "is not a package" in capsys.readouterr().err
    assert (tmp_path / "sherpa-onnx/work.txt").read_text() == "mine"


STAMPS = (
    "checkpoint",
    "export",
    "check",
    "validation",
    "accuracy",
    "check-frontend",
    "max-delta.int8",
    "int8",
    "max-rms.int8",
)


def test_make_packages_checked_graphs_only(demo: Path, tmp_path: Path) -> None:
    """Make packages after the checks, where PACKAGE_DIR says, once, and again when a variant has its check."""
    project, out = make_project(tmp_path), tmp_path / "out"
    for part in ("checkpoint", "onnx", "meta"):
        shutil.copytree(demo / part, out / part)
    arguments = [f"MODEL={DEMO / 'demo-tdt.nemo'}", f"OUT={out}", f"PACKAGE_DIR={tmp_path / 'elsewhere'}"]
    arguments.append(f"VALIDATION={DEMO / 'validation/manifest.jsonl'}")
    target = "package-onnx-asr"
    planned = make(*arguments, "--dry-run", target, cwd=project).stdout
    assert planned.count("py/export/check.py") >= 3
    assert planned.rindex("py/export/check.py") < planned.index("py/package/for_onnx_asr.py")
    # What is asked for in the same run is packaged too, as it would be in the next.
    asked = make(*arguments, "--dry-run", "joint.int8.onnx", target, cwd=project).stdout
    assert f"{out}/onnx/joint.int8.onnx --meta" in asked and f"{out}/onnx/joint.int8.onnx --meta" not in planned
    # Take the build for done: stamps as Make writes them, all else touched, and not a package.
    stamps = [f"{out}/.flags/{family}" for family in STAMPS]
    assert make(*arguments, *stamps, cwd=project).returncode == 0
    (out / "checks").mkdir()
    done = make(*arguments, "--touch", "check", cwd=project)
    assert done.returncode == 0, done.stderr
    done = make(*arguments, target, cwd=project)
    assert done.returncode == 0 and "PACKAGE" in done.stdout, done.stderr
    assert (tmp_path / "elsewhere/onnx-asr/SHA256SUMS").exists()
    assert "PACKAGE" not in make(*arguments, target, cwd=project).stdout
    shutil.copy(out / "onnx/joint.onnx", out / "onnx/joint.int8.onnx")
    assert "PACKAGE" not in make(*arguments, target, cwd=project).stdout
    assert make(*arguments, "--touch", f"{out}/checks/joint.int8.onnx.check.json", cwd=project).returncode == 0
    assert make(*arguments, target, cwd=project).returncode == 0
    assert (tmp_path / "elsewhere/onnx-asr/decoder_joint-model.int8.onnx").exists()


def test_sherpa_onnx_hears_hotwords_by_the_package_s_own_pieces(demo: Path, tmp_path: Path) -> None:
    folder, phrases = demo / "package/sherpa-onnx", tmp_path / "hotwords.txt"
    phrases.write_text("cancel\n", encoding="utf-8")
    ids = [line.split(" ")[0] for line in (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()]
    pieces = [line.split("\t")[0] for line in (folder / "bpe.vocab").read_text(encoding="utf-8").splitlines()]
    assert pieces == ids[: len(pieces)] and len(pieces) == len(ids) - 1

    beam: dict[str, Any] = {"decoding_method": "modified_beam_search", "hotwords_file": str(phrases)}
    spelled = beam | {"modeling_unit": "bpe", "bpe_vocab": str(folder / "bpe.vocab")}
    clips = [clip["audio_filepath"] for clip in manifest()[:24] if "cancel" not in clip["text"]]
    found = {}
    for name, options in (
        ("without pieces", beam | {"hotwords_score": 2.0}),
        ("hardly weighted", spelled | {"hotwords_score": 0.01}),
        ("too strong", spelled | {"hotwords_score": 3.0}),
    ):
        recognize = open_sherpa_onnx(folder, **options)
        found[name] = sum("cancel" in recognize(clip) for clip in clips)
    assert found["without pieces"] == found["hardly weighted"] == 0, found
    assert found["too strong"] >= 3, found
