"""Encoders with outlier channels, as large trained ones have them: every integer form hears what fp32 hears."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import outliers
from conftest import DEMO, ByKind, make, run_worker
from transducer.core.onnx_files import load_graph, metadata
from transducer.runtime.parity import compare_files, relative_rms
from transducer.runtime.sessions import open_session
from transducer.speech.batches import speech_batches

MANIFEST = DEMO / "validation/manifest.jsonl"
CLASSES = ("bpe-tdt", "bpe-rnnt", "hybrid-tdt", "char-rnnt", "cache-aware-rnnt", "cache-aware-tdt")


@pytest.fixture(scope="module")
def planted(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the demo model with the hardest outliers, its encoder equalized on speech."""
    model = tmp_path_factory.mktemp("planted") / "hard.nemo"
    outliers.rewrite(DEMO / "demo-tdt.nemo", model, "hard")
    out = built(str(model))
    assert equalize(out, out / "onnx/encoder.equalized.onnx", "--manifest", MANIFEST, "--batches", 4) == 0
    return out


def equalize(out: Path, output: Path, *flags: object) -> int:
    given = ("--graph", "encoder", "--input", out / "onnx/encoder.onnx", "--frontend", out / "onnx/frontend.onnx")
    return run_worker("quantize/equalize", *given, *flags, "--output", output)


def quantize(worker: str, source: Path, output: Path, out: Path, *flags: object) -> Path:
    data = ("--frontend", out / "onnx/frontend.onnx", "--manifest", MANIFEST, "--batches", 4)
    calibration = ("--graph", "encoder", *data)
    given = (*flags, *(calibration if worker == "int8_qdq" else ()))
    assert run_worker(f"quantize/{worker}", "--input", source, *given, "--output", output) == 0
    return output


def frames(path: Path, features: Any, lengths: Any) -> list[Any]:
    found, counts = open_session(path, optimize=True).run(None, {"audio_signal": features, "length": lengths})[:2]
    return [row[:, :count] for row, count in zip(found, counts, strict=True)]


def speech(out: Path) -> tuple[Any, Any]:
    return next(iter(speech_batches(MANIFEST, open_session(out / "onnx/frontend.onnx"), 1, 8, 16000)))


def error(out: Path, path: Path) -> float:
    expected, found = (frames(graph, *speech(out)) for graph in (out / "onnx/encoder.onnx", path))
    return relative_rms(np.concatenate(expected, axis=1), np.concatenate(found, axis=1))


def test_outliers_change_nothing_in_fp32(built: ByKind, planted: Path) -> None:
    plain = built(str(DEMO / "demo-tdt.nemo"))
    expected, found = (frames(out / "onnx/encoder.onnx", *speech(plain)) for out in (plain, planted))
    assert relative_rms(np.concatenate(expected, axis=1), np.concatenate(found, axis=1)) < 1e-5


@pytest.mark.parametrize(
    ("worker", "flags", "bound"),
    [
        ("int8", (), 0.02),
        ("int8", ("--reduce-range",), 0.03),
        ("int8_qdq", (), 0.04),
        ("int8_qdq", ("--convolutions", "--exclude", "^/pre_encode/conv"), 0.06),
        ("blocks", ("--bits", 8), 0.02),
        ("blocks", ("--bits", 4), 0.12),
    ],
)
def test_integer_forms_of_the_equalized_encoder_are_right(
    worker: str, flags: tuple[object, ...], bound: float, planted: Path, tmp_path: Path
) -> None:
    equalized = quantize(worker, planted / "onnx/encoder.equalized.onnx", tmp_path / "a.onnx", planted, *flags)
    assert error(planted, equalized) < bound
    if worker != "blocks":
        plain = quantize(worker, planted / "onnx/encoder.onnx", tmp_path / "b.onnx", planted, *flags)
        assert error(planted, plain) > 2 * bound


def test_layers_that_static_int8_harms_stay_in_fp32_within_the_budget(planted: Path, tmp_path: Path) -> None:
    """Without equalization nearly all are harmed, and with it none."""
    shares = {}
    for name in ("encoder.onnx", "encoder.equalized.onnx"):
        path = quantize("int8_qdq", planted / "onnx" / name, tmp_path / name, planted)
        made_with = json.loads(metadata(load_graph(path))["quantization"])
        weights = {t.name: t.dims for t in load_graph(path).graph.initializer}
        matrices = {node.output[0]: node.input[1] for node in load_graph(path).graph.node if node.op_type == "MatMul"}
        kept = sum(np.prod(weights[matrices[output]]) for output in made_with["in_fp32"])
        shares[name] = kept / sum(np.prod(dims) for name, dims in weights.items() if name.endswith("_int8"))
    assert 0.01 < shares["encoder.onnx"] <= 0.06
    assert shares["encoder.equalized.onnx"] == 0


def test_an_utterance_is_the_same_alone_and_beside_a_loud_and_a_long_one(planted: Path, tmp_path: Path) -> None:
    path = quantize("int8", planted / "onnx/encoder.equalized.onnx", tmp_path / "int8.onnx", planted)
    features, lengths = speech(planted)
    count = int(lengths[0])
    alone = features[:1, :, :count]
    batch = np.zeros((8, features.shape[1], 10 * count), np.float32)
    batch[:, :, :count] = alone
    batch[1] *= 10
    batch[2] = np.tile(alone[0], 10)
    sizes = np.full(8, count)
    sizes[2] = 10 * count
    (expected,) = frames(path, alone, np.array([count]))
    for row in (0, 3):
        assert relative_rms(expected, frames(path, batch, sizes)[row]) < 1e-3


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("calibrated", [True, False])
def test_equalized_is_exact(kind: str, calibrated: bool, built: ByKind, tmp_path: Path) -> None:
    """Factors are powers of two, so that not even rounding differs."""
    out = built(kind)
    data = ("--manifest", MANIFEST, "--batches", 1) if calibrated else ()
    path = tmp_path / "encoder.equalized.onnx"
    assert equalize(out, path, *data) == 0
    made_with = json.loads(metadata(load_graph(path))["quantization"])
    # Of each of two layers four norms and attention; a norm in the convolution module is followed by an activation.
    assert made_with["pairs"] == 10 and (made_with["channels"] > 0 or not calibrated)
    assert max(case.relative_rms for case in compare_files("encoder", out / "onnx/encoder.onnx", path)) <= 1e-6


def test_factors_even_out_channels_and_leave_unused_ones(planted: Path, tmp_path: Path) -> None:
    report = tmp_path / "check.json"
    path = quantize("int8", planted / "onnx/encoder.equalized.onnx", tmp_path / "encoder.int8.onnx", planted)
    arguments = ("--graph", "encoder", "--variant", "int8", "--onnx", path, "--base", planted / "onnx/encoder.onnx")
    data = ("--manifest", MANIFEST, "--frontend", planted / "onnx/frontend.onnx")
    assert run_worker("quantize/check", *arguments, *data, "--output", report) == 0
    harm = json.loads(report.read_text(encoding="utf-8"))["facts"]["harm"]
    assert harm["channels"]["fp32"] > 100 and harm["channels"]["variant"] < 12
    assert len(harm["layers"]) == 10 and list(harm["by_frames"]) == ["1000", "200", "3000", "6000"]
    assert max(harm["by_frames"].values()) < 0.02 and harm["in_batch"]["variant"] < 1e-3


def test_refusals_and_fallbacks(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "onnx"
    folder.mkdir()
    shutil.copy(planted / "onnx/encoder.equalized.onnx", folder / "encoder.onnx")
    shutil.copy(planted / "onnx/frontend.onnx", folder)
    output = tmp_path / "out.onnx"
    assert equalize(tmp_path, output) == 2
    assert "is equalized already; give the fp32 graph" in capsys.readouterr().err and not output.exists()
    # A joint has no norm, and stays what it is.
    joint = ("--graph", "joint", "--input", planted / "onnx/joint.onnx")
    assert run_worker("quantize/equalize", *joint, "--output", output) == 0
    assert json.loads(metadata(load_graph(output))["quantization"])["pairs"] == 0
    assert max(case.max_abs for case in compare_files("joint", planted / "onnx/joint.onnx", output)) == 0
    # Features that are not finite.
    shutil.copy(planted / "onnx/encoder.onnx", folder)
    frontend = onnx.load(folder / "frontend.onnx")
    name = frontend.graph.output[0].name
    for node in frontend.graph.node:
        node.output[:] = ["finite" if output == name else output for output in node.output]
    frontend.graph.node.append(onnx.helper.make_node("Log", ["minus"], [name]))
    frontend.graph.node.insert(len(frontend.graph.node) - 1, onnx.helper.make_node("Abs", ["finite"], ["abs"]))
    frontend.graph.node.insert(len(frontend.graph.node) - 1, onnx.helper.make_node("Neg", ["abs"], ["minus"]))
    onnx.save(frontend, folder / "frontend.onnx")
    output.unlink()
    assert equalize(tmp_path, output, "--manifest", MANIFEST, "--batches", 1) == 2
    assert "are not all finite" in capsys.readouterr().err and not output.exists()


def test_weights_alone_tell_of_outliers_too(planted: Path, tmp_path: Path) -> None:
    assert equalize(planted, tmp_path / "encoder.onnx") == 0
    assert error(planted, quantize("int8", tmp_path / "encoder.onnx", tmp_path / "int8.onnx", planted)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("strength", sorted(outliers.STRENGTHS))
def test_word_error_rate_with_outliers(strength: str, tmp_path: Path) -> None:
    """On the whole validation set, for every integer form, ExecuTorch's too, by the commands of a user."""
    model = tmp_path / f"{strength}.nemo"
    outliers.rewrite(DEMO / "demo-tdt.nemo", model, strength)
    out = tmp_path / "out"
    forms = ("int8", "int8-qdq", "web.int8", "android.int8", "int8.pte", "ultra.pte")
    targets = [f"{out}/checks/wer.encoder.{form}.check.json" for form in forms]
    done = make(f"MODEL={model}", f"OUT={out}", f"VALIDATION={MANIFEST}", *targets, "MAX_WER_DELTA=0.3")
    assert done.returncode == 0, done.stderr
    for target in targets:
        accuracy = json.loads(Path(target).read_text(encoding="utf-8"))["accuracy"]
        bound = 1.0 if "ultra" in target else 0.3
        assert accuracy["onnx"]["wer"]["points"] <= accuracy["pytorch"]["wer"]["points"] + bound, target


def test_planting_is_exact_on_weights() -> None:
    weights = {
        "encoder.layers.0.norm_conv.weight": torch.ones(40),
        "encoder.layers.0.norm_conv.bias": torch.ones(40),
        "encoder.layers.0.conv.pointwise_conv1.weight": torch.ones(80, 40, 1),
    }
    outliers.plant(weights, "mild")
    gain, matrix = weights["encoder.layers.0.norm_conv.weight"], weights["encoder.layers.0.conv.pointwise_conv1.weight"]
    assert int((gain != 1).sum()) == 1 and 20 <= float(gain.max()) <= 60
    torch.testing.assert_close(gain[None, :] * matrix[:, :, 0], torch.ones(80, 40))
