"""The encoder for web and android: recipes, optimised forms, flatbuffers, and onnxruntime-web itself."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

from conftest import DEMO, ROOT, ByKind, make, run_worker
from transducer.core.contracts import example
from transducer.core.onnx_files import load_graph, metadata
from transducer.core.operators import Runtime
from transducer.decoding.greedy import Decoder
from transducer.ort.flatbuffer import in_fixed_order
from transducer.quantize.audit import operators
from transducer.runtime.parity import compare_files
from transducer.runtime.sessions import open_session
from transducer.speech.recognizer import Recognizer

MANIFEST = DEMO / "validation/manifest.jsonl"
WEB = ROOT / "tests/decoders/web"


@pytest.fixture(scope="module")
def model(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the built demo model with the encoders for web and android in ort/."""
    out = tmp_path_factory.mktemp("ort") / "demo-tdt"
    shutil.copytree(built(str(DEMO / "demo-tdt.nemo")), out, ignore=shutil.ignore_patterns("checkpoint"))
    base = ("--input", out / "onnx/encoder.onnx")
    web, android = (out / f"ort/encoder.{target}.int8.onnx" for target in ("web", "android"))
    assert run_worker("quantize/int8", *base, "--reduce-range", "--output", web) == 0
    speech = ("--frontend", out / "onnx/frontend.onnx", "--manifest", MANIFEST, "--batches", 4)
    recipe = ("--graph", "encoder", "--convolutions", "--exclude", "^/pre_encode/conv")
    assert run_worker("quantize/int8_qdq", *base, *speech, *recipe, "--output", android) == 0
    return out


def optimise(source: Path, target: str, output: Path, runtime: Path | None = None) -> int:
    arguments = ["--graph", "encoder", "--target", target, "--input", source, "--output", output]
    runtime = runtime or ROOT / f"configs/runtimes/{target}.json"
    return run_worker("ort/optimize", *arguments, "--runtime", runtime)


@pytest.mark.parametrize(("target", "mode"), [("web", 1), ("android", 0)])
def test_optimised_forms(target: str, mode: int, model: Path, tmp_path: Path) -> None:
    """Both forms run in ONNX Runtime and compute what their source does, without layouts of one machine."""
    source = model / f"ort/encoder.{target}.int8.onnx"
    graph, flat = tmp_path / f"encoder.{target}.int8_ort.onnx", tmp_path / f"encoder.{target}.int8.ort"
    assert optimise(source, target, graph) == optimise(source, target, flat) == 0
    found = load_graph(graph)
    assert len(found.graph.node) < len(load_graph(source).graph.node)
    assert not any("nchwc" in operator for operator in operators(found))
    settings = json.loads(metadata(found)["ort_config"])["session_options"]
    assert settings["execution_mode"] == mode
    assert flat.read_bytes()[4:8] == b"ORTM"
    for path in (graph, flat):
        assert max(case.relative_rms for case in compare_files("encoder", source, path)) < 0.05


def test_flatbuffers_do_not_hang_on_where_memory_lies(model: Path, tmp_path: Path) -> None:
    """Operators' types are written one after another by the operators' ids, which ONNX Runtime leaves to a hash."""
    source, flat = model / "ort/encoder.web.int8.onnx", tmp_path / "encoder.web.int8.ort"
    assert optimise(source, "web", flat) == 0
    content = flat.read_bytes()
    resolver = InferenceSession.GetRootAs(content, 0).KernelTypeStrResolver()
    entries = [resolver.OpKernelTypeStrArgs(index) for index in range(resolver.OpKernelTypeStrArgsLength())]
    assert len(entries) > 20
    ids, places = [entry.OpId() for entry in entries], [entry._tab.Pos for entry in entries]
    assert ids == sorted(ids)
    # A flatbuffer grows from its end.
    assert places == sorted(places, reverse=True)
    assert in_fixed_order(content) == content


def inner_tensors(path: Path, names: list[str]) -> dict[str, NDArray[Any]]:
    """Run a graph as it is on 4 s of features and return tensors within it."""
    model = load_graph(path)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    features = example("encoder", {"B": 1, "F": 80, "T": 400})
    return dict(zip(names, session.run(names, features), strict=True))


def test_optimised_static_int8_differs_by_ties_only(model: Path, tmp_path: Path) -> None:
    """Integer kernels sum exactly where the source sums floats, so a value in the middle of two steps may round
    to the other: nothing else differs, and what follows from the first such value is all of the difference."""
    source, graph = model / "ort/encoder.android.int8.onnx", tmp_path / "encoder.android.int8_ort.onnx"
    assert optimise(source, "android", graph) == 0
    weights = {tensor.name: tensor for tensor in load_graph(source).graph.initializer}
    pairs = [node for node in load_graph(source).graph.node if node.op_type == "QuantizeLinear"]
    quantized = {name for node in load_graph(graph).graph.node for name in node.output}
    assert all(node.output[0] in quantized for node in pairs)
    names = [name for node in pairs for name in (node.input[0], node.output[0])]
    expected = inner_tensors(source, list(dict.fromkeys(names)))
    found = inner_tensors(graph, [node.output[0] for node in pairs])
    readers = {name: node.op_type for node in load_graph(source).graph.node for name in node.input}
    passed: set[str] = set()
    for node in pairs:
        activation, output = node.input[0], node.output[0]
        other = expected[output] != found[output]
        if other.any():
            steps = expected[activation] / numpy_helper.to_array(weights[node.input[1]]).astype(np.float64)
            from_tie = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
            assert other.mean() < 1e-3 and from_tie[other].max() < 1e-4
            break
        pair = next(one for one in load_graph(source).graph.node if node.output[0] in one.input)
        passed.add(readers[pair.output[0]])
    # Every kind of node that is quantized was passed by then.
    assert {"MatMul", "Conv"} <= passed, passed


def test_an_operator_that_the_runtime_lacks(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both the graph's check and its optimised form fail, and name node and operator."""
    runtime = json.loads((ROOT / "configs/runtimes/web.json").read_text())
    runtime["operators"] = [name for name in runtime["operators"] if name != "Softmax"]
    (tmp_path / "web.json").write_text(json.dumps(runtime))
    source, output = model / "ort/encoder.web.int8.onnx", tmp_path / "encoder.web.int8_ort.onnx"
    assert optimise(source, "web", output, tmp_path / "web.json") == 1
    sentences = [capsys.readouterr().err]
    arguments = ["--graph", "encoder", "--variant", "int8", "--onnx", source, "--base", model / "onnx/encoder.onnx"]
    arguments += ["--output", tmp_path / "check.json", "--runtime", tmp_path / "web.json"]
    assert run_worker("quantize/check", *arguments) == 1
    sentences.append(capsys.readouterr().err)
    for sentence in sentences:
        assert "/layers.0/self_attn/Softmax is of the operator Softmax, which ONNX Runtime Web" in sentence
    assert not output.exists() and not (tmp_path / "check.json").exists()


@pytest.mark.parametrize(("target", "accelerator"), [("web", "WebGPU"), ("android", "XNNPACK")])
def test_what_runtimes_leave_to_the_cpu(target: str, accelerator: str, model: Path) -> None:
    path = model / f"ort/encoder.{target}.int8.onnx"
    found = Runtime.read(ROOT / f"configs/runtimes/{target}.json").check(load_graph(path), path)
    assert found["accelerator"] == accelerator and "Conv" not in found["left_to_cpu"]
    assert found["left_to_cpu"]["LayerNormalization" if target == "android" else "MatMulInteger"] > 0


def test_recipes_differ_as_the_runtimes_do(model: Path) -> None:
    web, android = (load_graph(model / f"ort/encoder.{target}.int8.onnx") for target in ("web", "android"))
    # Browsers run on CPUs whose dot products overflow with 8 bits: weights have 7.
    weights = [tensor for tensor in web.graph.initializer if tensor.name.endswith("weight_int8")]
    assert weights and all(np.abs(np.frombuffer(tensor.raw_data, np.int8)).max() <= 63 for tensor in weights)
    assert "DynamicQuantizeLinear" in operators(web) and "QuantizeLinear" not in operators(web)
    # Phones have static ranges, and convolutions in int8 but for the subsampling's.
    assert "QuantizeLinear" in operators(android) and "DynamicQuantizeLinear" not in operators(android)
    inputs = {node.name: node.input[1] for node in android.graph.node if node.op_type == "Conv"}
    assert {name for name, weight in inputs.items() if weight.endswith("_float")} == {
        name for name in inputs if name.startswith("/layers.")
    }


def test_skip_quantization(tmp_path: Path) -> None:
    done = make("-n", "onnx-optimized", "SKIP_QUANTIZATION=1", "CONFIG=demo-tdt", f"OUT={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    assert "ort/encoder.fp32_ort.onnx" in done.stdout and "ort/encoder.fp16.ort" in done.stdout
    assert "int8" not in done.stdout


@pytest.mark.slow
def test_onnxruntime_web_hears_the_same(model: Path, tmp_path: Path) -> None:
    """The web encoder in onnxruntime-web (WASM), under Node, gives Python's transcripts on 50 clips."""
    subprocess.run(["npm", "ci", "--silent"], cwd=WEB, check=True)
    recognizer = Recognizer(model)
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(DEMO.glob("validation/audio/*.ogg"))[:50]]
    inputs = []
    for number, wave in enumerate(waves):
        features, _ = recognizer.features([wave])
        features.astype(np.float32).tofile(tmp_path / f"{number}.f32")
        inputs.append({"name": str(number), "shape": list(features.shape)})
    (tmp_path / "inputs.json").write_text(json.dumps(inputs))
    path = model / "ort/encoder.web.int8.onnx"
    subprocess.run(["node", WEB / "encode.mjs", path, tmp_path], cwd=WEB, check=True)
    facts = json.loads((model / "meta/model_meta.json").read_text())
    decoder = Decoder(
        facts, *(open_session(model / f"onnx/{graph}.onnx", threads=1) for graph in ("predictor", "joint"))
    )
    session = open_session(path)
    same = 0
    for found, given in zip(json.loads((tmp_path / "outputs.json").read_text()), inputs, strict=True):
        encoded = np.fromfile(tmp_path / f"{found['name']}.out.f32", np.float32).reshape(found["shape"])
        features = np.fromfile(tmp_path / f"{given['name']}.f32", np.float32).reshape(given["shape"])
        expected = session.run(None, {"audio_signal": features, "length": np.array([features.shape[2]])})
        lengths = np.array([found["length"]])
        assert np.array_equal(lengths, expected[1])
        ours, theirs = (decoder.decode(frames, lengths)[0][0] for frames in (expected[0], encoded))
        same += ours.tokens == theirs.tokens
    assert same == 50
