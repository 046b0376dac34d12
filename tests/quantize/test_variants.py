"""Variants of graphs: right on real models, in the dtypes that they claim, and refused in one sentence otherwise."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, numpy_helper

from conftest import DEMO, ROOT, ByKind, make, run_worker
from transducer.core.cases import Case
from transducer.core.error_rates import rate, word_errors
from transducer.core.onnx_files import external_files, load_graph
from transducer.decoding.greedy import Decoder
from transducer.quantize.calibration import Histogram
from transducer.quantize.inputs import joint_inputs, step_inputs
from transducer.runtime.parity import compare_files
from transducer.runtime.sessions import open_session
from transducer.speech.batches import speech_batches
from transducer.speech.recognizer import Recognizer

Capture = pytest.CaptureFixture[str]

MANIFEST = DEMO / "validation/manifest.jsonl"
WORKERS = {
    "fp16": "quantize/fp16",
    "int8": "quantize/int8",
    "int8-qdq": "quantize/int8_qdq",
    "int8-block": "quantize/blocks",
    "int4": "quantize/blocks",
}
BITS = {"int8-block": 8, "int4": 4}
# Largest error beside fp32 (root mean square) that the demo's variants may have, twice what they do.
ERRORS = {"fp16": 0.003, "int8": 0.03, "int8-qdq": 0.09, "int8-block": 0.03, "int4": 0.16}


def quantize(out: Path, graph: str, variant: str, output: Path, *flags: object) -> int:
    """Run the worker of a variant on a graph of a built model."""
    if variant == "int8-qdq":
        decoders = (("encoder", "encoder"), ("rnnt-step", "rnnt_step"), ("predictor", "predictor"))
        others = [part for flag, name in decoders for part in (f"--{flag}", out / f"onnx/{name}.onnx")]
        frontend = ("--frontend", out / "onnx/frontend.onnx")
        flags = ("--graph", graph, *frontend, *others, "--manifest", MANIFEST, *flags)
    if variant in BITS:
        flags = ("--bits", BITS[variant], *flags)
    return run_worker(WORKERS[variant], "--input", out / f"onnx/{graph}.onnx", *flags, "--output", output)


@pytest.fixture(scope="module")
def demo(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the built demo model with every variant beside its fp32 graphs."""
    out = tmp_path_factory.mktemp("demo") / "demo-tdt"
    shutil.copytree(built(str(DEMO / "demo-tdt.nemo")), out, ignore=shutil.ignore_patterns("checkpoint"))
    for variant in WORKERS:
        flags = ("--batches", 4) if variant == "int8-qdq" else ()
        assert quantize(out, "encoder", variant, out / f"onnx/encoder.{variant}.onnx", *flags) == 0
    for graph in ("predictor", "joint"):
        for variant in ("fp16", "int8"):
            assert quantize(out, graph, variant, out / f"onnx/{graph}.{variant}.onnx") == 0
    assert quantize(out, "joint", "int4", out / "onnx/joint.int4.onnx") == 0
    for graph in ("joint", "rnnt_step"):
        assert quantize(out, graph, "int8-qdq", out / f"onnx/{graph}.int8-qdq.onnx", "--batches", 4) == 0
    return out


def check(out: Path, graph: str, variant: str, report: Path, *flags: object) -> int:
    return run_worker(
        "quantize/check",
        *("--graph", graph, "--variant", variant, "--onnx", out / f"onnx/{graph}.{variant}.onnx"),
        *("--base", out / f"onnx/{graph}.onnx", *flags, "--output", report),
    )


@pytest.mark.parametrize(
    ("graph", "variant"),
    [
        *(("encoder", variant) for variant in WORKERS),
        *((graph, variant) for graph in ("predictor", "joint") for variant in ("fp16", "int8")),
        *(("joint", variant) for variant in ("int4", "int8-qdq")),
    ],
)
def test_variant_is_right_and_what_it_claims(graph: str, variant: str, demo: Path, tmp_path: Path) -> None:
    report = tmp_path / "check.json"
    assert check(demo, graph, variant, report, "--max-relative-rms", ERRORS[variant]) == 0
    found = json.loads(report.read_text())["facts"]
    size = {"fp16": 0.52, "int8": 0.3, "int8-qdq": 0.3, "int8-block": 0.34, "int4": 0.21}[variant]
    assert found["bytes"] <= size * (demo / f"onnx/{graph}.onnx").stat().st_size
    assert 0 < found["deflated_bytes"] < found["bytes"]
    if variant == "fp16":
        assert found["weights"]["float16"]["values"] > 100 * found["weights"].get("float", {"values": 0})["values"]
    else:
        share = found["compute"]["shares"]["blocks" if variant in BITS else "int8"]
        # All but convolutions and attention scores, which have no matrix.
        assert share == 1 if graph != "encoder" else share > 0.75


def test_a_step_in_static_int8_is_right_but_no_check_takes_it(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    """ONNX Runtime makes Gemms of its products, which it then leaves in fp32; TensorRT does not."""
    step, base = demo / "onnx/rnnt_step.int8-qdq.onnx", demo / "onnx/rnnt_step.onnx"
    assert check(demo, "rnnt_step", "int8-qdq", tmp_path / "check.json", "--max-relative-rms", 0.03) == 1
    assert "0% of its arithmetic is in int8-qdq" in capsys.readouterr().err
    assert max(case.relative_rms for case in compare_files("rnnt_step", base, step)) < 0.03


def test_joint_and_step_are_calibrated_on_what_greedy_decoding_gives_them(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inputs are those of every joint call of Decoder, and of equal products the ranges agree."""
    frontend, encoder, step, predictor = (
        open_session(demo / f"onnx/{graph}.onnx") for graph in ("frontend", "encoder", "rnnt_step", "predictor")
    )
    batches = list(speech_batches(MANIFEST, frontend, 2, 4, 16000))
    steps = list(step_inputs(encoder, step, iter(batches)))
    asked: list[tuple[Any, Any]] = []
    join = Decoder._join

    def recorded(self: Decoder, frames: Any, g: Any) -> Any:
        asked.append((frames.copy(), g.copy()))
        return join(self, frames, g)

    monkeypatch.setattr(Decoder, "_join", recorded)
    meta = json.loads((demo / "meta/model_meta.json").read_text())
    decoder = Decoder(meta, *(open_session(demo / f"onnx/{graph}.onnx", threads=1) for graph in ("predictor", "joint")))
    for features, lengths in batches:
        decoder.decode(*encoder.run(None, {"audio_signal": features, "length": lengths}))
    assert len(asked) == len(steps) > 50 and any((inputs["y"] != meta["blank_id"]).any() for inputs in steps)
    for (frames, g), given in zip(asked, joint_inputs(predictor, steps), strict=True):
        np.testing.assert_array_equal(frames, given["encoder_output"][:, :, 0])
        np.testing.assert_allclose(g, given["predictor_output"][:, :, 0], atol=1e-5)
    joint, whole = (
        {
            tensor.name: float(numpy_helper.to_array(tensor))
            for tensor in load_graph(demo / f"onnx/{graph}.int8-qdq.onnx").graph.initializer
            if tensor.name.endswith("_input_scale")
        }
        for graph in ("joint", "rnnt_step")
    )
    assert len(joint) == 3 and joint == pytest.approx(whole, rel=1e-4)


def test_error_does_not_grow_with_the_audio(demo: Path, tmp_path: Path) -> None:
    for variant in ("int8", "int8-qdq"):
        sizes = [{"B": 1, "T": frames} for frames in (200, 1000, 6000)]
        base, path = demo / "onnx/encoder.onnx", demo / f"onnx/encoder.{variant}.onnx"
        errors = [case.relative_rms for case in compare_files("encoder", base, path, sizes)]
        assert max(errors) < 1.5 * errors[0], (variant, errors)


@pytest.mark.slow
def test_error_does_not_grow_to_ten_minutes(demo: Path) -> None:
    for variant in WORKERS:
        sizes = [{"B": 1, "T": 6000 * minutes} for minutes in (1, 10)]
        base, path = demo / "onnx/encoder.onnx", demo / f"onnx/encoder.{variant}.onnx"
        short, long = (case.relative_rms for case in compare_files("encoder", base, path, sizes))
        assert long < 1.2 * short, (variant, short, long)


def test_fp16_counts_beyond_2048(built: ByKind, tmp_path: Path) -> None:
    """Positions and lengths of more than 2,048 frames are not whole numbers in fp16, so they must not be in it."""
    out, path = built("bpe-tdt"), tmp_path / "encoder.fp16.onnx"
    assert quantize(out, "encoder", "fp16", path) == 0
    (case,) = compare_files("encoder", out / "onnx/encoder.onnx", path, [{"B": 2, "T": 8 * 2_500}])
    assert case.relative_rms < 0.005


def test_fp16_inputs_and_outputs(built: ByKind, tmp_path: Path) -> None:
    out = built("bpe-tdt")
    for flags, dtype in (((), "tensor(float)"), (("--fp16-io",), "tensor(float16)")):
        path = tmp_path / "encoder.fp16.onnx"
        assert quantize(out, "encoder", "fp16", path, *flags) == 0
        onnx.checker.check_model(path, full_check=True)
        session = open_session(path)
        assert session.get_inputs()[0].type == session.get_outputs()[0].type == dtype
        assert session.get_inputs()[1].type == session.get_outputs()[1].type == "tensor(int64)"
        assert worst(compare_files("encoder", out / "onnx/encoder.onnx", path)) < 0.005


def worst(cases: list[Case]) -> float:
    return max(case.relative_rms for case in cases)


def test_static_int8_is_symmetric(demo: Path) -> None:
    """TensorRT takes zero points of 0 only, and has no dynamic quantization."""
    model = load_graph(demo / "onnx/encoder.int8-qdq.onnx")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) == 45 * 3
    for node in pairs:
        zero = numpy_helper.to_array(weights[node.input[2]])
        assert zero.dtype == np.int8 and not zero.any()
    assert not {node.op_type for node in model.graph.node} & {"DynamicQuantizeLinear", "MatMulInteger"}
    assert not any("self_attn/MatMul" in node.name for node in pairs)
    assert all(len(weights[node.input[1]].dims) == 1 for node in pairs if node.input[0] in weights)


@pytest.mark.parametrize("graph", ["encoder.int8", "encoder.int8-qdq", "joint.int8", "predictor.int8"])
def test_sums_of_two_products_fit_16_bits(graph: str, demo: Path) -> None:
    """As x86 CPUs without VNNI add them: neighbours along the inputs of a matrix, by the largest activation, 255."""
    model = load_graph(demo / f"onnx/{graph}.onnx")
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    matrices = [
        numpy_helper.to_array(tensor).astype(np.int64)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8
        and len(tensor.dims) > 1
        and tensor.dims[-2] > 1
        and tensor.name not in tables
    ]
    assert matrices and max(np.abs(matrix).max() for matrix in matrices) > 100
    for matrix in matrices:
        pairs = matrix[..., : matrix.shape[-2] // 2 * 2, :].reshape(-1, 2, matrix.shape[-1])
        for sign in (1, -1):
            assert 255 * np.maximum(sign * pairs, 0).sum(axis=1).max() <= np.iinfo(np.int16).max


@pytest.mark.parametrize("variant", WORKERS)
def test_weights_in_a_sidecar(variant: str, built: ByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph whose weights lie in a sidecar, and whose variant needs one too, computes the same."""
    out, plain, split = built("bpe-tdt"), tmp_path / "plain.onnx", tmp_path / "model/onnx/encoder.onnx"
    flags = ("--batches", 1, "--batch-size", 2) if variant == "int8-qdq" else ()
    assert quantize(out, "encoder", variant, plain, *flags) == 0
    (tmp_path / "model/onnx").mkdir(parents=True)
    shutil.copy(out / "onnx/frontend.onnx", split.parent)
    onnx.save(onnx.load(out / "onnx/encoder.onnx"), split, save_as_external_data=True, size_threshold=100, location="w")
    monkeypatch.setattr("transducer.core.onnx_weights.SIDECAR_ABOVE", 1000)
    other = tmp_path / f"encoder.{variant}.onnx"
    assert quantize(tmp_path / "model", "encoder", variant, other, *flags) == 0
    assert external_files(load_graph(other)) == {f"{other.name}.data"}
    (case, *_) = compare_files("encoder", plain, other)
    assert case.max_abs == 0


def test_a_matrix_as_gemm(built: ByKind, tmp_path: Path) -> None:
    """A product that a tool wrote as Gemm is a matrix too."""
    folder = tmp_path / "onnx"
    folder.mkdir()
    rows = np.random.default_rng(0).standard_normal((24, 7), dtype=np.float32)
    tensors = [numpy_helper.from_array(rows, "w"), numpy_helper.from_array(rows[0], "b")]
    gemm = onnx.helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="gemm")
    values = [onnx.helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", s]) for n, s in (("x", 24), ("y", 7))]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([gemm], "g", values[:1], values[1:], tensors),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, folder / "joint.onnx")
    assert quantize(tmp_path, "joint", "int8", folder / "joint.int8.onnx") == 0
    x = np.random.default_rng(1).standard_normal((5, 24), dtype=np.float32)
    expected = x @ rows + rows[0]
    (found,) = open_session(folder / "joint.int8.onnx").run(None, {"x": x})
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert 0 < error < 0.02


def test_a_number_after_a_product_is_in_its_scale(demo: Path) -> None:
    """The halves of feed-forward layers cost no pass of their own, and the graph computes what it did."""
    before, after = (load_graph(demo / f"onnx/encoder{suffix}.onnx") for suffix in ("", ".int8"))
    products = [node for node in before.graph.node if node.op_type == "Mul" and "linear2/MatMul" in node.input[0]]
    kept = {node.name for node in after.graph.node}
    assert len(products) == 8 and not kept.intersection(node.name for node in products)


def test_int8_hears_what_fp32_hears(demo: Path) -> None:
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(DEMO.glob("validation/audio/*.ogg"))[:24]]
    fp32 = Recognizer(demo).transcribe(waves)
    encoder, predictor, joint = (demo / f"onnx/{graph}.int8.onnx" for graph in ("encoder", "predictor", "joint"))
    int8 = Recognizer(demo, encoder=encoder, predictor=predictor, joint=joint)
    texts = [[found.text for found in transcripts] for transcripts in (fp32, int8.transcribe(waves))]
    # Where the model itself is unsure, in noise, a word may change.
    assert rate(word_errors(*texts)) <= 2.5
    assert sum(one == other for one, other in zip(*texts, strict=True)) >= 22


@pytest.mark.slow
def test_word_error_rate_on_the_whole_validation_set(demo: Path, tmp_path: Path) -> None:
    reference = tmp_path / "checkpoint.check.json"
    arguments = ["--checkpoint", demo / "checkpoint", "--manifest", MANIFEST]
    assert run_worker("speech/evaluate_checkpoint", *arguments, "--output", reference) == 0
    for variant, bound in {"fp16": 0.3, "int8": 0.3, "int8-qdq": 0.3, "int8-block": 0.3, "int4": 1.0}.items():
        report = tmp_path / f"wer.encoder.{variant}.check.json"
        arguments = ["--model", demo, "--encoder", demo / f"onnx/encoder.{variant}.onnx", "--manifest", MANIFEST]
        arguments += ["--segment-seconds", 0.5, 8, "--reference", reference, "--max-wer-delta", bound]
        assert run_worker("speech/evaluate", *arguments, "--output", report) == 0
        found = json.loads(report.read_text())
        assert found["accuracy"]["utterances"] == 480
        print(variant, found["accuracy"]["onnx"]["wer"], found["accuracy"]["wer_delta"])


def test_a_streaming_encoder_has_variants(built: ByKind, tmp_path: Path) -> None:
    out, folder = built("cache-aware-rnnt"), tmp_path / "onnx"
    folder.mkdir()
    shutil.copy(out / "onnx/frontend.onnx", folder)
    arguments = ["--checkpoint", out / "checkpoint", "--encoder", out / "onnx/encoder.raw.onnx"]
    assert run_worker("export/export_streaming", *arguments, "--output", folder / "encoder_streaming.onnx") == 0
    for variant, bound in (("int8", 0.05), ("int8-qdq", 0.2), ("fp16", 0.01)):
        path = folder / f"encoder_streaming.{variant}.onnx"
        flags = ("--batches", 2, "--batch-size", 2) if variant == "int8-qdq" else ()
        assert quantize(tmp_path, "encoder_streaming", variant, path, *flags) == 0
        assert worst(compare_files("encoder_streaming", folder / "encoder_streaming.onnx", path)) < bound


def test_heavy_nodes_left_in_fp32_fail(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "onnx"
    shutil.copytree(demo / "onnx", copy)
    assert quantize(tmp_path, "encoder", "int8", copy / "encoder.int8.onnx", "--exclude", "linear") == 0
    assert check(tmp_path, "encoder", "int8", tmp_path / "check.json") == 1
    sentence = capsys.readouterr().err
    assert "of its arithmetic is in int8 where at least 75% should be" in sentence
    assert not (tmp_path / "check.json").exists()


def test_a_wrong_scale_fails(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(demo / "onnx", tmp_path / "onnx")
    path = tmp_path / "onnx/joint.int8.onnx"
    model = onnx.load(path)
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "joint.enc.weight_scale")
    scale.raw_data = (1.3 * numpy_helper.to_array(scale)).astype(np.float32).tobytes()
    onnx.save(model, path)
    assert check(tmp_path, "joint", "int8", tmp_path / "check.json") == 1
    sentence = capsys.readouterr().err
    assert "joint.int8.onnx differs from joint.onnx by" in sentence and "the bound is 5.00%" in sentence
    assert not (tmp_path / "check.json").exists()


ONE = np.ones(1, np.float32)


def test_limits_of_known_values() -> None:
    """Of a normal distribution with one wild value, MinMax keeps it and the others cut it off."""
    histogram, random = Histogram(), np.random.default_rng(0)
    for scale in (0.5, 1.0, 1.0):
        histogram.add(scale * random.standard_normal(100_000, dtype=np.float32), ONE)
    histogram.add(np.array([-50], np.float32), ONE)
    assert histogram.minmax() == 50
    # One value in 300,000 that is lost costs more than all others gain by finer steps, until steps are this coarse.
    assert 10 < histogram.error() < 50
    assert 3.5 < histogram.percentile() < 4.5
    assert 2.5 < histogram.entropy() < 6
    assert histogram.counts.sum() == 300_001


def test_the_limit_of_least_error_is_found_and_minds_what_matters() -> None:
    """Beside trying every limit on the values themselves, with all channels alike and with one that nothing reads."""
    random = np.random.default_rng(0)
    values = random.standard_normal((2000, 8), dtype=np.float32) * np.array([1, 1, 1, 1, 1, 1, 1, 20], np.float32)
    found = []
    for weights in (np.ones(8, np.float32), np.array([1, 1, 1, 1, 1, 1, 1, 0], np.float32)):
        histogram = Histogram()
        histogram.add(values, weights)

        def error(limit: float, weights: Any = weights) -> float:
            step = limit / 127
            return float((np.square((values / step).round().clip(-127, 127) * step - values) * weights).sum())

        limits = np.linspace(1, np.abs(values).max(), 400)
        best = limits[int(np.argmin([error(limit) for limit in limits]))]
        assert error(histogram.error()) < 1.05 * error(best)
        found.append(histogram.error())
    assert found[0] > 40 and found[1] < 5


def refusal(capsys: Capture, code: int, output: Path) -> str:
    """Return the one sentence that a worker wrote, having made nothing."""
    sentence = capsys.readouterr().err.strip()
    assert code == 2 and sentence.startswith("error: ") and "\n" not in sentence, sentence
    assert not output.exists()
    return sentence


@pytest.mark.parametrize("variant", WORKERS)
@pytest.mark.parametrize("given", ["int8", "int4", "fp16", "int8-qdq"])
def test_quantized_already(variant: str, given: str, demo: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "onnx"
    folder.mkdir()
    shutil.copy(demo / f"onnx/encoder.{given}.onnx", folder / "encoder.onnx")
    shutil.copy(demo / "onnx/frontend.onnx", folder)
    output = tmp_path / "out.onnx"
    sentence = refusal(capsys, quantize(tmp_path, "encoder", variant, output), output)
    assert "encoder.onnx is" in sentence and "give the fp32 graph" in sentence


def manifest_of(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_calibration_data(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    speech = DEMO / "validation/audio/00000.ogg"
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    cases = {
        "has no usable entry": [{"audio_filepath": "gone.wav", "text": "a"}],
        "has 1 usable entries, and 16 batches of 8 need 128": [{"audio_filepath": str(speech), "text": "a"}],
        "nan.wav has samples that are not finite": [{"audio_filepath": "nan.wav", "text": "a"}] * 128,
    }
    for sentence, lines in cases.items():
        output, manifest = tmp_path / "out.onnx", manifest_of(tmp_path, lines)
        refusals = [
            line
            for line in refusal_lines(capsys, quantize(demo, "encoder", "int8-qdq", output, "--manifest", manifest))
            if not line.startswith("calibration leaves out")
        ]
        assert len(refusals) == 1 and sentence in refusals[0] and not output.exists(), refusals


def refusal_lines(capsys: Capture, code: int) -> list[str]:
    assert code == 2
    return capsys.readouterr().err.strip().splitlines()


def test_other_refusals(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.onnx"
    cases: list[tuple[str, str, tuple[object, ...], str]] = [
        ("joint", "int8", ("--exclude", "("), "EXCLUDE=( is not a regular expression"),
        ("joint", "int8", ("--exclude", "."), "has no weight that int8 applies to"),
        ("joint", "int4", ("--block-size", 33), "--block-size 33"),
        ("predictor", "int4", (), "has no weight that int4 applies to"),
        ("predictor", "int8-qdq", (), "which an LSTM cannot have; use its .fp16"),
    ]
    for graph, variant, flags, sentence in cases:
        assert sentence in refusal(capsys, quantize(demo, graph, variant, output, *flags), output)
    shutil.copytree(demo / "onnx", tmp_path / "onnx")
    model = onnx.load(tmp_path / "onnx/joint.onnx")
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    weight.raw_data = np.full(tuple(weight.dims), np.nan, np.float32).tobytes()
    onnx.save(model, tmp_path / "onnx/joint.onnx")
    for variant in ("fp16", "int8", "int4"):
        sentence = refusal(capsys, quantize(tmp_path, "joint", variant, output), output)
        assert weight.name in sentence and "not finite" in sentence


def test_names_through_make(tmp_path: Path) -> None:
    done = make("encoder.int9.onnx")
    assert done.returncode == 2 and "encoder.int9.onnx is not a variant" in done.stderr and "int8-qdq" in done.stderr
    done = make("frontend.int8.onnx")
    assert done.returncode == 2 and "frontend.int8.onnx is not a variant" in done.stderr
    done = make("-n", "encoder.int8.onnx", "CONFIG=demo-tdt", f"OUT={tmp_path}/out")
    assert done.returncode == 0
    # The accuracy of a variant is measured wherever there is speech to measure it with.
    assert "checks/wer.encoder.int8.check.json" in done.stdout and "--max-wer-delta 0.3" in done.stdout
    done = make("-n", "encoder.int4.onnx", "CONFIG=demo-tdt", f"OUT={tmp_path}/out")
    assert "--max-wer-delta 1.0" in done.stdout
    done = make("-n", "encoder.int8-qdq.onnx", f"MODEL={ROOT}/models/demo-tdt.nemo", f"OUT={tmp_path}/out")
    assert done.returncode == 2 and "set CALIB_MANIFEST to a manifest" in done.stderr
