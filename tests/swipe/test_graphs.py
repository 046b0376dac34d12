"""Swipe models as graphs: their contract, their steps in batches, and their accuracy beside the checkpoint's."""

import gzip
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import DEMO, ByKind, run_worker
from transducer.core.contracts import example
from transducer.core.onnx_files import interface, load_graph, metadata
from transducer.runtime.sessions import open_session, session_runner

Capture = pytest.CaptureFixture[str]
TEST_SET = DEMO / "swipe-test/manifest.jsonl.gz"


@pytest.fixture(scope="module")
def demo(built: ByKind) -> Path:
    return built(str(DEMO / "demo-swipe.nemo"))


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 60 test traces and a lexicon that has their words."""
    folder = tmp_path_factory.mktemp("some")
    with gzip.open(TEST_SET, "rt", encoding="utf-8") as stream:
        lines = [line for _, line in zip(range(60), stream, strict=False)]
    (folder / "m.jsonl").write_text("".join(lines), encoding="utf-8")
    words = dict.fromkeys(json.loads(line)["word"] for line in lines)
    (folder / "words.txt").write_text("\n".join([*words, "the", "and", "you", "that"]), encoding="utf-8")
    return folder


def searched(some: Path, demo: Path, *more: object) -> tuple[object, ...]:
    return ("--manifest", some / "m.jsonl", "--lexicon", some / "words.txt", *more)


@pytest.fixture(scope="module")
def reference(demo: Path, some: Path) -> Path:
    report = some / "checkpoint.check.json"
    checkpoint = ("--checkpoint", demo / "checkpoint")
    assert run_worker("swipe/evaluate_checkpoint", *checkpoint, *searched(some, demo), "--output", report) == 0
    return report


@pytest.mark.parametrize("graph", ["encoder", "rnnt_step", "predictor", "joint"])
def test_graphs_equal_pytorch(graph: str, demo: Path, tmp_path: Path) -> None:
    arguments = ("--graph", graph, "--onnx", demo / f"onnx/{graph}.onnx", "--checkpoint", demo / "checkpoint")
    assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 0
    assert json.loads((tmp_path / "check.json").read_text())["figures"]["max_abs"] <= 1e-4


def test_contract(demo: Path) -> None:
    dims = json.loads((demo / "meta/model_meta.json").read_text())["dims"]
    encoder, step = (interface(load_graph(demo / f"onnx/{graph}.onnx")) for graph in ("encoder", "rnnt_step"))
    assert [(value["name"], value["shape"]) for value in encoder["inputs"]] == [
        ("features", ["B", dims["F"], "T"]),
        ("length", ["B"]),
    ]
    states = ["h", "c"], [dims["L"], "B", dims["H"]]
    assert [(value["name"], value["shape"]) for value in step["inputs"]] == [
        ("encoder_frame", ["B", dims["D"]]),
        ("y", ["B"]),
        *((name, states[1]) for name in states[0]),
    ]
    assert [(value["name"], value["shape"]) for value in step["outputs"]] == [
        ("logits", ["B", dims["V"] + dims["K"]]),
        *((f"{name}_out", states[1]) for name in states[0]),
    ]


def test_a_graph_with_another_input_name_is_refused(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    model = onnx.load(demo / "onnx/encoder.onnx")
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model, {key: value for key, value in metadata(load_graph(demo / "onnx/encoder.onnx")).items() if key != "swipe"}
    )
    onnx.save(model, tmp_path / "encoder.onnx")
    arguments = ("--graph", "encoder", "--onnx", tmp_path / "encoder.onnx", "--checkpoint", demo / "checkpoint")
    assert run_worker("export/check", *arguments, "--output", tmp_path / "check.json") == 1
    assert "has the inputs features, length where audio_signal, length belong" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["demo-swipe.nemo", "demo-tdt.nemo"])
def test_a_step_of_sixteen_equals_sixteen_steps(model: str, built: ByKind) -> None:
    out = built(str(DEMO / model))
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    step = session_runner(open_session(out / "onnx/rnnt_step.onnx"))
    inputs = example("rnnt_step", dims | {"B": 16})
    together = step(inputs)
    assert together["logits"].shape == (16, dims["V"] + dims["K"])
    for row in range(16):
        rows = slice(row, row + 1)
        one = step({name: array[:, rows] if name in "hc" else array[rows] for name, array in inputs.items()})
        np.testing.assert_allclose(one["logits"], together["logits"][rows], atol=1e-5)
        for state in ("h_out", "c_out"):
            np.testing.assert_allclose(one[state], together[state][:, rows], atol=1e-5)


@pytest.mark.parametrize("model", ["demo-swipe.nemo", "demo-tdt.nemo"])
def test_a_step_equals_predictor_and_joint(model: str, built: ByKind) -> None:
    out = built(str(DEMO / model))
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    step, predictor, joint = (
        session_runner(open_session(out / f"onnx/{graph}.onnx")) for graph in ("rnnt_step", "predictor", "joint")
    )
    inputs = example("rnnt_step", dims | {"B": 3})
    found = step(inputs)
    predicted = predictor({"y": inputs["y"][:, None], "h": inputs["h"], "c": inputs["c"]})
    joined = joint({"encoder_output": inputs["encoder_frame"][:, :, None], "predictor_output": predicted["g"]})
    np.testing.assert_allclose(found["logits"], joined["joint_output"][:, 0, 0], atol=1e-5)
    np.testing.assert_allclose(found["h_out"], predicted["h_out"], atol=1e-6)


def evaluate(demo: Path, some: Path, reference: Path, encoder: Path, output: Path, *more: object) -> int:
    graphs = ("--encoder", encoder, "--step", demo / "onnx/rnnt_step.onnx", "--meta", demo / "meta/model_meta.json")
    return run_worker(
        "swipe/evaluate", *graphs, *searched(some, demo), "--reference", reference, *more, "--output", output
    )


def test_graphs_read_what_the_checkpoint_reads(demo: Path, some: Path, reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "top1.check.json"
    assert evaluate(demo, some, reference, demo / "onnx/encoder.onnx", output) == 0
    found, expected = (json.loads(path.read_text()) for path in (output, reference))
    assert found["accuracy"]["all"]["top1"] == expected["accuracy"]["all"]["top1"] >= 85
    assert found["figures"]["top1_delta"] == 0 and found["bounds"]["top1_delta"] == 0.5 and found["passed"]


def test_a_broken_encoder_fails_with_figure_and_bound(
    demo: Path, some: Path, reference: Path, tmp_path: Path, capsys: Capture
) -> None:
    model = onnx.load(demo / "onnx/encoder.onnx")
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.raw_data = np.random.default_rng(0).permutation(onnx.numpy_helper.to_array(weight).ravel()).tobytes()
    onnx.save(model, tmp_path / "encoder.onnx")
    output = tmp_path / "top1.check.json"
    assert evaluate(demo, some, reference, tmp_path / "encoder.onnx", output) == 1
    assert "where MAX_TOP1_DELTA allows 0.5" in capsys.readouterr().err and not output.exists()
    assert evaluate(demo, some, reference, demo / "onnx/encoder.onnx", output, "--beam", 4) == 2
    assert "is of other traces or another search" in capsys.readouterr().err


def test_static_int8_is_calibrated_with_traces(demo: Path, some: Path, tmp_path: Path, capsys: Capture) -> None:
    quantize = ("--graph", "encoder", "--input", demo / "onnx/encoder.onnx", "--manifest", some / "m.jsonl")
    output = tmp_path / "encoder.int8-qdq.onnx"
    few = ("--batches", 4, "--batch-size", 8, "--output", output)
    assert run_worker("quantize/int8_qdq", *quantize, *few) == 0
    made = json.loads(metadata(load_graph(output))["quantization"])
    assert made["calibration"] == "Error on 4 batches of 8"
    output.unlink()
    many = ("--batches", 16, "--batch-size", 8, "--output", output)
    assert run_worker("quantize/int8_qdq", *quantize, *many) == 2
    assert "has 60 usable entries, and 16 batches of 8 need 128" in capsys.readouterr().err and not output.exists()
    (some / "bad.jsonl").write_text('{"word": "a", "points": []}\n', encoding="utf-8")
    bad = ("--graph", "encoder", "--input", demo / "onnx/encoder.onnx", "--manifest", some / "bad.jsonl")
    assert run_worker("quantize/int8_qdq", *bad, *few) == 2
    assert "has no usable trace" in capsys.readouterr().err and not output.exists()


def test_the_time_of_words(demo: Path, some: Path, tmp_path: Path, capsys: Capture) -> None:
    """A word's time is the sum of its parts', and the table has a row for each pair of graphs."""
    step, report = demo / "onnx/rnnt_step.onnx", tmp_path / "words.json"
    pairs = [f"{name}={demo / 'onnx/encoder.onnx'},{step}" for name in ("once", "again")]
    graphs = ("--pairs", *pairs, "--meta", demo / "meta/model_meta.json")
    assert run_worker("bench/swipe", *graphs, *searched(some, demo, "--words", 5), "--output", report) == 0
    found = json.loads(report.read_text())
    for row in found["models"].values():
        assert row["word"]["p95_ms"] >= row["word"]["p50_ms"] > row["encoder"]["p50_ms"] > 0
    table = report.with_suffix(".md").read_text()
    assert capsys.readouterr().out == table
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["once", "again"]
