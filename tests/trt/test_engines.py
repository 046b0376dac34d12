"""TensorRT engines: real builds by TensorRT-RTX, and trtexec's command lines by a trtexec that records them.

No test runs an engine, because that takes a GPU; what runs one is tested with polygraphy's runner of ONNX Runtime.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from checkpoints import KINDS
from conftest import DEMO, ROOT, ByKind, make, make_project, run_worker
from transducer.core.cli import CheckError, InputError
from transducer.core.onnx_files import load_graph, metadata
from transducer.runtime.bf16 import runnable
from transducer.runtime.parity import compare_files
from transducer.runtime.sessions import open_session
from transducer.runtime.trt import EngineSession, open_engine
from transducer.runtime.trt_backend import BACKENDS, require_loadable
from transducer.trt.commands import Job, bench_command, script_command, trtexec_command
from transducer.trt.parity import TOLERANCES, cases, compared
from transducer.trt.profile import build_profile

OPTIONS = json.loads((ROOT / "tests/trt/trtexec_options.json").read_text())
# What this project's fragment needs of the others.
MAKEFILE = """
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.DELETE_ON_ERROR:
OUT := out/model
V := 0
SEGMENT_SECONDS := 3 6
GRAPHS := encoder joint
TRT_ENGINES ?= encoder joint
everything: trt-engines trt-check
include scripts/mk/lib.mk
include scripts/mk/trt.mk
"""
NVIDIA_SMI = """#!/bin/sh
[ -z "$FAKE_GPU" ] && exit 9
case "$*" in *--query-gpu*) echo "$FAKE_GPU" ;; *) echo "| NVIDIA-SMI 570.86   CUDA Version: 12.8 |" ;; esac
"""
A10, A40, L4 = (f"NVIDIA {name}, {sm}, 570.86.15" for name, sm in (("A10", "8.6"), ("A40", "8.6"), ("L4", "8.9")))
FOLDER = "out/model/trt/trtexec-10.13.0.35-sm_86"
RTX = {"tensorrt": "rtx", "version": "1.7.1.116", "arch": "any", "gpu": None, "trtexec": None}

Asked = list[dict[str, Any]]


@pytest.fixture(scope="module")
def prepared(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with prepared graphs of a small model, their checks below it."""
    folder = tmp_path_factory.mktemp("prepared")
    for graph in ("encoder", "predictor", "joint", "rnnt_step"):
        shutil.copy(built("bpe-tdt") / f"onnx/{graph}.onnx", folder)
        prepare(folder, graph)
    return folder


def prepare(folder: Path, name: str) -> None:
    source, output = folder / f"{name}.onnx", folder / f"{name}.trt.onnx"
    arguments = ("--input", source, "--check", folder / f"{name}.check.json", "--output", output)
    assert run_worker("trt/prepare_graph", "--graph", name.partition(".")[0], *arguments) == 0


def build_rtx(folder: Path, name: str, found: dict[str, Any] = RTX) -> Path:
    """Build an engine with TensorRT-RTX and return the path of its plan."""
    (folder / "trt").mkdir(exist_ok=True)
    (folder / "trt/backend.json").write_text(json.dumps(found))
    plan, profile = folder / f"trt/rtx/{name}.plan", folder / f"{name}.profile.json"
    graph = folder / f"{name}.trt.onnx"
    ranges = ("--seconds", 0.1, 1, 3, "--batch", 1, 2, 4)
    name = name.partition(".")[0]
    assert run_worker("trt/write_profile", "--graph", name, "--onnx", graph, *ranges, "--output", profile) == 0
    arguments = ("--onnx", graph, "--profile", profile, "--backend", folder / "trt/backend.json", "--output", plan)
    assert run_worker("trt/build", *arguments) == 0
    return plan


# The graphs that TensorRT gets.


def test_preparation_keeps_the_graph_and_says_what_lint_finds(prepared: Path) -> None:
    for graph in ("encoder", "predictor", "joint"):
        report = json.loads((prepared / f"{graph}.check.json").read_text())
        assert report["passed"] and report["facts"]["checker"] == "valid" and report["file"] == f"{graph}.trt.onnx"
        assert report["figures"]["max_abs"] <= report["bounds"]["max_abs"] == 1e-5
        sizes = [case["sizes"] for case in report["cases"]]
        assert {size["B"] for size in sizes} == {1, 3} and len(sizes) >= 4
        facts = report["facts"]
        assert facts["lint"]["passing"] > 0 and facts["lint"]["failing"] == []
        assert facts["nodes"] <= facts["nodes_before"] and facts["precision"] == "fp32"


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], name="quant7"), r"dynamically.* at quant7"),
        (helper.make_node("MatMulNBits", ["x"], ["y"], name="four", domain="com.microsoft"), r"MatMulNBits at four"),
        (helper.make_node("QuantizeLinear", ["x", "scale", "three"], ["y"], name="skewed"), r"zero point .* at skewed"),
        (helper.make_node("QuantizeLinear", ["x", "scale", "byte"], ["y"], name="bytes"), r"zero point .* at bytes"),
    ],
)
def test_graphs_that_no_tensorrt_takes_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], node: onnx.NodeProto, sentence: str
) -> None:
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("three", TensorProto.INT8, [], [3]),
        helper.make_tensor("byte", TensorProto.UINT8, [], [0]),
    ]
    floats = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 4])
    graph = helper.make_graph([node], "g", [floats], [], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "joint.int8.onnx")
    arguments = (
        "--input",
        tmp_path / "joint.int8.onnx",
        "--check",
        tmp_path / "c.json",
        "--output",
        tmp_path / "o.onnx",
    )
    assert run_worker("trt/prepare_graph", "--graph", "joint", *arguments) == 2
    assert_one_sentence(capfd.readouterr().err, sentence)
    assert not (tmp_path / "o.onnx").exists() and not (tmp_path / "c.json").exists()


def assert_one_sentence(error: str, sentence: str) -> None:
    lines = [line for line in error.splitlines() if not line.startswith("make: ")]
    assert len(lines) == 1 and lines[0].startswith("error: "), error
    assert re.search(sentence, lines[0]), error


def test_bf16_computes_what_fp16_does_to_bf16s_precision(prepared: Path, tmp_path: Path) -> None:
    """A graph typed in fp16 becomes valid bf16, folds, and gives fp32's results to 8 bits."""
    for graph in ("joint", "predictor"):
        fp32 = prepared / f"{graph}.onnx"
        half(fp32, tmp_path / f"{graph}.fp16.onnx")
        output = tmp_path / f"{graph}.bf16.onnx"
        assert run_worker("trt/bf16", "--input", tmp_path / f"{graph}.fp16.onnx", "--output", output) == 0
        prepare(tmp_path, f"{graph}.bf16")
        report = json.loads((tmp_path / f"{graph}.bf16.check.json").read_text())
        assert report["facts"]["precision"] == "bf16" and report["figures"]["max_abs"] == 0
        with runnable(tmp_path / f"{graph}.bf16.trt.onnx") as path:
            errors = [case.max_relative for case in compare_files(graph, fp32, path)]
        # Far from fp32's 1e-6, so it is bf16; one rounding of it is 2**-9.
        assert 2**-12 < max(errors) < 2e-2
        assert [path.name for path in tmp_path.glob(".*")] == []


def half(source: Path, output: Path) -> None:
    """Write a graph with all of its floats in fp16 but inputs and outputs."""
    model = onnx.load(source)
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    nodes = list(graph.node)
    before: list[onnx.NodeProto] = []
    after: list[onnx.NodeProto] = []
    for value, casts, to in [
        *((value, before, TensorProto.FLOAT16) for value in graph.input),
        *((value, after, TensorProto.FLOAT) for value in graph.output),
    ]:
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            continue
        inner = f"{value.name}_half"
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [inner if name == value.name else name for name in names]
        ends = (value.name, inner) if casts is before else (inner, value.name)
        casts.append(helper.make_node("Cast", [ends[0]], [ends[1]], to=to))
    del graph.node[:]
    graph.node.extend([*before, *nodes, *after])
    onnx.save(model, output)


# Profiles.


def test_profiles_come_from_the_graph(prepared: Path, built: ByKind) -> None:
    encoder = build_profile("encoder", prepared / "encoder.trt.onnx", (0.1, 10, 30), (1, 4, 16))
    assert encoder["inputs"] == {
        "audio_signal": {"min": [1, 80, 11], "opt": [4, 80, 1001], "max": [16, 80, 3001]},
        "length": {"min": [1], "opt": [4], "max": [16]},
    }
    predictor = build_profile("predictor", prepared / "predictor.trt.onnx", (), (2, 2, 8))
    assert predictor["inputs"]["h"] == {"min": [1, 2, 24], "opt": [1, 2, 24], "max": [1, 8, 24]}
    assert predictor["inputs"]["y"]["opt"] == [2, 1]


def test_a_streaming_profile_is_the_models_window_and_caches(tmp_path: Path) -> None:
    shapes: dict[str, list[int | str | None]] = {
        "audio_signal": ["B", 80, "T"],
        "length": ["B"],
        "cache_last_channel": [4, "B", 28, 144],
        "cache_last_time": [4, "B", 144, 8],
        "cache_last_channel_len": ["B"],
    }
    values = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if len(shape) == 1 else TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    model = helper.make_model(helper.make_graph([], "g", values, []))
    model.metadata_props.add(key="streaming", value=json.dumps({"window_frames": 65}))
    onnx.save(model, tmp_path / "encoder_streaming.onnx")
    found = build_profile("encoder_streaming", tmp_path / "encoder_streaming.onnx", (0.1, 10, 30), (1, 4, 16))["inputs"]
    assert found["audio_signal"] == {"min": [1, 80, 65], "opt": [4, 80, 65], "max": [16, 80, 65]}
    assert found["cache_last_channel"]["max"] == [4, 16, 28, 144] and found["cache_last_time"]["min"] == [4, 1, 144, 8]


def test_a_swipe_profile_is_in_seconds_of_trace(tmp_path: Path) -> None:
    values = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", 39, "T"]),
        helper.make_tensor_value_info("length", TensorProto.INT64, ["B"]),
    ]
    model = helper.make_model(helper.make_graph([], "g", values, []))
    model.metadata_props.add(key="swipe", value=json.dumps({"frame_seconds": 0.025}))
    onnx.save(model, tmp_path / "encoder.onnx")
    found = build_profile("encoder", tmp_path / "encoder.onnx", (0.1, 2, 10), (1, 4, 16))
    assert found["inputs"]["features"] == {"min": [1, 39, 5], "opt": [4, 39, 81], "max": [16, 39, 401]}
    assert found["axes"]["T"] == {"min": 5, "opt": 81, "max": 401}


def fixed_graph(folder: Path, frames: int) -> Path:
    """Write a graph with the encoder's inputs whose axes are all fixed."""
    signal = helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, [1, 80, frames])
    length = helper.make_tensor_value_info("length", TensorProto.INT64, [1])
    node = helper.make_node("Relu", ["audio_signal"], ["encoder_output"])
    output = helper.make_tensor_value_info("encoder_output", TensorProto.FLOAT, [1, 80, frames])
    model = helper.make_model(helper.make_graph([node], "g", [signal, length], [output]))
    model.metadata_props.add(key="window_stride", value="0.01")
    onnx.save(model, folder / "encoder.onnx")
    return folder / "encoder.onnx"


def test_a_fixed_graph_has_no_profile_and_trtexec_gets_no_shapes(tmp_path: Path) -> None:
    path = fixed_graph(tmp_path, 1001)
    profile = build_profile("encoder", path, (0.1, 10, 30), (1, 4, 16))
    assert profile["inputs"] == {} and profile["fixed"] == {"audio_signal": [1, 80, 1001], "length": [1]}
    command = trtexec_command("trtexec", Job(path, tmp_path / "p.plan", profile, 64, 3), tmp_path / "layers.json")
    assert not [word for word in command if "Shapes" in word]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--seconds", 20, 10, 30), r"TRT_MIN_S TRT_OPT_S TRT_MAX_S are 20, 10 and 30, which is not a range"),
        (("--batch", 1, 8, 4), r"TRT_MIN_B TRT_OPT_B TRT_MAX_B are 1, 8 and 4, which is not a range"),
        (("--batch", 0, 1, 4), r"the first at least 1"),
        (("--seconds", 0.1, 1, 5), r"takes T = 1001 only, but TRT_MIN_S to TRT_MAX_S asks for 11 to 501"),
        (("--batch", 2, 4, 8), r"takes B = 1 only, but TRT_MIN_B to TRT_MAX_B asks for 2 to 8"),
    ],
)
def test_profiles_that_cannot_be_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: Sequence[object], sentence: str
) -> None:
    common = ("--graph", "encoder", "--onnx", fixed_graph(tmp_path, 1001), "--output", tmp_path / "p.json")
    assert run_worker("trt/write_profile", *common, *arguments) == 2
    assert_one_sentence(capfd.readouterr().err, sentence)
    assert not (tmp_path / "p.json").exists()


def build_code(graph: Path, folder: Path) -> int:
    """Build a graph with the profile of a folder and return the exit code."""
    backend = folder / "backend.json"
    backend.write_text(json.dumps(RTX))
    files = ("--profile", folder / "p.json", "--backend", backend, "--output", folder / "e.plan")
    return run_worker("trt/build", "--onnx", graph, *files)


def test_a_profile_of_another_graph_is_refused_before_the_build(
    prepared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    profile = build_profile("encoder", prepared / "encoder.trt.onnx", (0.1, 1, 3), (1, 2, 4))
    profile["inputs"]["audio_signal"]["max"][1] = 128
    (tmp_path / "p.json").write_text(json.dumps(profile))
    assert build_code(prepared / "encoder.trt.onnx", tmp_path) == 2
    assert_one_sentence(capfd.readouterr().err, r"profile does not fit .*audio_signal has the shape \['B', 80, 'T'\]")


# Command lines.


def test_the_option_lists_are_of_two_majors() -> None:
    ten, eleven = (set(OPTIONS[version]["options"]) for version in ("10.13.0.35", "11.1.0.106"))
    assert {"--fp16", "--int8", "--best"} <= ten - eleven
    assert {"--noCudaGraph", "--includeDataTransfers"} <= eleven - ten


@pytest.mark.parametrize("version", OPTIONS)
def test_every_option_exists_in_the_sources_of_trtexec(version: str, prepared: Path, tmp_path: Path) -> None:
    profile = build_profile("encoder", prepared / "encoder.trt.onnx", (0.1, 10, 30), (1, 4, 16))
    job = Job(prepared / "encoder.trt.onnx", tmp_path / "e.plan", profile, 4096, 3, tmp_path / "timing.cache")
    shapes = {"audio_signal": [1, 80, 1001], "length": [1]}
    for command in (
        trtexec_command("trtexec", job, tmp_path / "layers.json"),
        bench_command("trtexec", job.plan, shapes, 5, tmp_path / "times.json"),
    ):
        names = [word.partition("=")[0] for word in command[1:]]
        assert set(names) <= set(OPTIONS[version]["options"]) and len(names) == len(set(names)) >= 7
    assert "--shapes=audio_signal:1x80x1001,length:1" in command


@pytest.mark.parametrize("graph", ["encoder", "predictor"])
def test_polygraphy_writes_a_script_of_the_same_shapes_and_flags(prepared: Path, tmp_path: Path, graph: str) -> None:
    path, script = prepared / f"{graph}.trt.onnx", tmp_path / "compare.py"
    profile = build_profile(graph, path, (0.1, 10, 30), (1, 4, 16))
    subprocess.run(
        script_command(Job(path, tmp_path / "e.plan", profile, 512, 4), script), check=True, capture_output=True
    )
    text = script.read_text()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = {keyword.arg: ast.unparse(keyword.value) for call in calls for keyword in call.keywords}
    assert named["strongly_typed"] == "True" and named["builder_optimization_level"] == "4"
    assert str(512 << 20) in named["memory_pool_limits"]
    adds = {
        ast.literal_eval(call.args[0]): {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add"
    }
    assert adds == profile["inputs"]
    assert "OnnxrtRunner" in text and "TrtRunner" in text


# Builds by Make with the recording trtexec.


@pytest.fixture(scope="module")
def project(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose graphs are there already, with a trtexec 10.13 and an A10 on PATH."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "out/model/onnx").mkdir(parents=True)
    for graph in ("encoder", "joint"):
        shutil.copy(built("bpe-tdt") / f"onnx/{graph}.onnx", folder / "out/model/onnx")
    (folder / "bin").mkdir()
    (folder / "bin/nvidia-smi").write_text(NVIDIA_SMI)
    recorder = ROOT / "tests/trt/recording_trtexec.py"
    (folder / "bin/trtexec").write_text(f'#!/bin/sh\nexec {sys.executable} {recorder} "$@"\n')
    for program in (folder / "bin").iterdir():
        program.chmod(0o755)
    done = engines(folder, "-j3")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def environment(project: Path, gpu: str = A10, version: str = "10.13.0.35", seconds: float = 0) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{project / 'bin'}:{os.environ['PATH']}",
        "FAKE_GPU": gpu,
        "TRTEXEC_VERSION": version,
        "TRTEXEC_RECORD": str(project / "asked.jsonl"),
        "TRTEXEC_SECONDS": str(seconds),
    }


def engines(project: Path, *arguments: str, goal: str = "trt-engines", **machine: Any) -> Any:
    return make(goal, *arguments, cwd=project, env=environment(project, **machine))


def asked(project: Path, action: Callable[[], Any]) -> Asked:
    """Return what trtexec was asked for while an action ran."""
    record = project / "asked.jsonl"
    before = len(record.read_text().splitlines())
    done = action()
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in record.read_text().splitlines()[before:]]


def test_make_builds_engines_in_the_folder_of_their_tensorrt_and_gpu(project: Path) -> None:
    plan, manifest = project / FOLDER / "encoder.plan", json.loads((project / FOLDER / "encoder.json").read_text())
    assert (project / FOLDER / "joint.plan").exists()
    assert manifest["plan_sha256"] == sha256(plan.read_bytes()).hexdigest()
    graph = project / "out/model/onnx" / manifest["onnx"]["file"]
    assert manifest["onnx"]["sha256"] == sha256(graph.read_bytes()).hexdigest()
    assert manifest["gpu"] == {"name": "NVIDIA A10", "arch": "sm_86", "driver": "570.86.15", "cuda": "12.8"}
    assert (manifest["tensorrt"], manifest["version"], manifest["arch"]) == ("trtexec", "10.13.0.35", "sm_86")
    assert manifest["profile"]["inputs"]["audio_signal"]["max"] == [16, 80, 601]
    # Where the parity figures are when there are any.
    assert manifest["check"] == "../../checks/trtexec-10.13.0.35-sm_86.encoder.plan.check.json"
    assert f"--saveEngine={FOLDER}/encoder.plan" in manifest["command"] and "--stronglyTyped" in manifest["command"]
    cache = project / FOLDER / "timing.NVIDIA-A10.cache"
    # Builds come one after the other, and the second goes on with what the first has timed.
    assert cache.read_text() == "timed\n" * 2
    assert (project / FOLDER / "encoder.log").exists() and (project / FOLDER / "encoder.layers.json").exists()


def test_one_build_at_a_time_under_j(project: Path) -> None:
    first, second = asked(project, lambda: engines(project, "-j3", "TRT_LEVEL=2", version="10.14.1.48", seconds=0.5))
    assert first["ended"] <= second["began"] + 0.1


def test_nothing_is_built_twice(project: Path) -> None:
    assert asked(project, lambda: engines(project)) == []
    began = time.monotonic()
    assert "Nothing to be done" in engines(project).stdout
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("arguments", "machine", "rebuilt", "folder"),
    [
        (["TRT_MAX_S=5"], {}, {"encoder"}, "trtexec-10.13.0.35-sm_86"),
        (["TRT_MAX_B=8"], {}, {"encoder", "joint"}, "trtexec-10.13.0.35-sm_86"),
        (["TRT_LEVEL=5"], {}, {"encoder", "joint"}, "trtexec-10.13.0.35-sm_86"),
        ([], {"gpu": A40}, {"encoder", "joint"}, "trtexec-10.13.0.35-sm_86"),
        ([], {"gpu": L4}, {"encoder", "joint"}, "trtexec-10.13.0.35-sm_89"),
        ([], {"version": "11.1.0.106"}, {"encoder", "joint"}, "trtexec-11.1.0.106-sm_86"),
    ],
)
def test_engines_are_rebuilt_when_what_they_are_of_changes(
    project: Path, arguments: list[str], machine: dict[str, str], rebuilt: set[str], folder: str
) -> None:
    done = engines(project, "--dry-run", *arguments, **machine)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"BUILD out/model/trt/(\S+)\.plan", done.stdout)) == {f"{folder}/{name}" for name in rebuilt}
    assert engines(project).returncode == 0


def test_a_changed_graph_rebuilds_its_engine(project: Path) -> None:
    (project / "out/model/onnx/joint.trt.onnx").touch()
    (only,) = asked(project, lambda: engines(project))
    assert only["options"]["--onnx"].endswith("joint.trt.onnx")


def test_tensorrt_11_gets_the_same_command_line(project: Path) -> None:
    """The recorder knows no option that is not in the sources of 11.1, and it fails without a fitting profile."""
    ten = [json.loads(line) for line in (project / "asked.jsonl").read_text().splitlines()][:2]
    eleven = asked(project, lambda: engines(project, version="11.1.0.106"))
    assert [set(call["options"]) for call in eleven] == [set(call["options"]) for call in ten]
    assert (project / "out/model/trt/trtexec-11.1.0.106-sm_86/encoder.plan").exists()


def test_a_killed_build_leaves_no_plan(project: Path) -> None:
    place = project / "out/model/trt/trtexec-10.12.0.36-sm_86"
    command = ["make", f"PYTHON={sys.executable}", "trt-engines", "TRT_ENGINES=joint"]
    slow = environment(project, version="10.12.0.36", seconds=30)
    build = subprocess.Popen(
        command, cwd=project, env=slow, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    # Until the tool has begun to write.
    while not list(place.glob(".*.plan")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(place.glob(".*.plan"))
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    assert not (place / "joint.plan").exists() and not (place / "joint.json").exists()
    assert engines(project, "TRT_ENGINES=joint", version="10.12.0.36").returncode == 0
    assert len((place / "joint.plan").read_bytes()) == 32 and not list(place.glob(".*.plan"))


def test_an_operator_that_trtexec_refuses_is_named(project: Path) -> None:
    graph = project / "out/model/onnx/joint.odd.trt.onnx"
    model = onnx.load(project / "out/model/onnx/joint.trt.onnx")
    model.graph.node.append(helper.make_node("NonZero", ["joint_output"], ["found"], name="find_speech"))
    onnx.save(model, graph)
    shutil.copy(graph, project / "out/model/onnx/joint.odd.onnx")
    (project / "out/model/checks/joint.odd.trt.onnx.check.json").write_text("{}")
    graph.touch()
    done = engines(project, "TRT_ENGINES=joint.odd")
    assert done.returncode == 2
    assert_one_sentence(done.stderr, r"joint.odd.trt.onnx: TensorRT cannot take NonZero at node found")
    assert not (project / FOLDER / "joint.odd.plan").exists() and (project / FOLDER / "joint.odd.log").exists()


def test_without_a_gpu_checks_are_skipped_and_none_is_written(project: Path) -> None:
    """Asked for by name, a skipped check does not exit as a passed one; as a part of everything, it stops nothing."""
    for goal in ("trt-check", "trt-bench"):
        done = engines(project, goal=goal, gpu="")
        assert done.returncode == 2 and f"SKIPPED   {goal}: nothing was done" in done.stdout
        assert "Error 77" in done.stderr and "PASSED" not in done.stdout
    done = engines(project, goal="everything", gpu="")
    assert done.returncode == 0 and "SKIPPED   trt-check: nothing was done" in done.stdout
    assert not list((project / "out/model/checks").glob("*.plan.check.json"))


def test_bench_times_every_engine_alike(project: Path) -> None:
    calls = asked(project, lambda: engines(project, goal="trt-bench"))
    assert len(calls) == 6
    report = json.loads((project / FOLDER / "encoder.bench.json").read_text())
    middle = report["rows"][1]
    assert middle["batch"] == 4 and middle["median_ms"] == 2.0 and middle["audio_seconds"] == pytest.approx(12)
    assert middle["times_real_time"] == pytest.approx(6000)


# What a machine has.


@pytest.mark.parametrize(
    ("machine", "arguments", "sentence"),
    [
        ({"gpu": A10, "version": "10.9.0.34"}, ["TRT_BACKEND=trtexec"], r"TensorRT 10.9.0.34 is older than 10.12"),
        ({"gpu": ""}, ["TRT_BACKEND=trtexec"], r"builds only on a GPU, and nvidia-smi finds none"),
        ({"gpu": A10}, ["TRT_BACKEND=polygraphy"], r"the Python package tensorrt cannot be imported"),
        ({"gpu": A10}, ["TRT_ARCH=sm_120"], r"TRT_ARCH=sm_120 is not that of this GPU, sm_86"),
        ({"gpu": A10}, ["TRT_BACKEND=rtx", "TRT_ARCH=ada"], r"TRT_ARCH=ada is not an architecture"),
    ],
)
def test_what_is_missing_is_one_sentence(
    project: Path, machine: dict[str, str], arguments: list[str], sentence: str
) -> None:
    done = engines(project, *arguments, **machine)
    assert done.returncode == 2
    assert_one_sentence(done.stderr, sentence)


def test_no_tensorrt_at_all_names_the_three_ways_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BACKENDS, "polygraphy", "no_tensorrt")
    monkeypatch.setitem(BACKENDS, "rtx", "no_rtx")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_worker("trt/find", "--tell", "--output", tmp_path / "backend.mk") == 0
    complaint = re.search(r"^TRT_MISSING := (.*)$", (tmp_path / "backend.mk").read_text(), re.MULTILINE)
    assert complaint and all(way in complaint[1] for way in ("trtexec", "package tensorrt", "requirements-rtx.txt"))
    assert complaint[1].count(". ") == 0 and "TRT_ID :=\n" in (tmp_path / "backend.mk").read_text()
    assert capfd.readouterr().out.count("missing: ") == 3


# Real builds.


@pytest.mark.parametrize("graph", ["encoder", "predictor", "joint", "rnnt_step"])
def test_tensorrt_rtx_builds(prepared: Path, graph: str) -> None:
    plan = build_rtx(prepared, graph)
    manifest = json.loads(plan.with_suffix(".json").read_text())
    # How plans begin: ftrt, or vtrt for TensorRT-RTX.
    assert plan.read_bytes()[1:4] == b"trt" and manifest["plan_bytes"] == plan.stat().st_size > 10_000
    assert manifest["plan_sha256"] == sha256(plan.read_bytes()).hexdigest()
    assert manifest["seconds"] > 0 and manifest["peak_memory_mib"] > 50
    assert "fully supported" in plan.with_suffix(".capability.txt").read_text()
    ast.parse(plan.with_suffix(".compare.py").read_text())


@pytest.mark.parametrize(
    ("kind", "graph"),
    [
        ("context-net", "encoder"),
        ("lstm", "encoder"),
        ("transformer-tdt", "encoder"),
        ("global-tokens-rnnt", "encoder"),
        ("prompt-rnnt", "encoder"),
        ("multi-talker-rnnt", "encoder"),
        ("lstm", "rnnt_step"),
        ("stateless-tdt", "rnnt_step"),
        ("hat", "rnnt_step"),
        ("multi-blank", "rnnt_step"),
    ],
)
def test_tensorrt_rtx_takes_every_class(kind: str, graph: str, built: ByKind, tmp_path: Path) -> None:
    shutil.copy(built(kind) / f"onnx/{graph}.onnx", tmp_path)
    prepare(tmp_path, graph)
    assert build_rtx(tmp_path, graph).stat().st_size > 10_000


def test_an_operator_that_tensorrt_refuses_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = fixed_graph(tmp_path, 11)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("NonZero", ["encoder_output"], ["found"], name="find_speech"))
    model.graph.output.append(helper.make_tensor_value_info("found", TensorProto.INT64, [3, "N"]))
    model.graph.node.append(helper.make_node("Identity", ["length"], ["encoded_lengths"]))
    model.graph.output.append(helper.make_tensor_value_info("encoded_lengths", TensorProto.INT64, [1]))
    onnx.save(model, path)
    (tmp_path / "p.json").write_text(json.dumps(build_profile("encoder", path, (0.1, 0.1, 0.1), (1, 1, 1))))
    assert build_code(path, tmp_path) == 2
    assert_one_sentence(capfd.readouterr().err, r"TensorRT cannot take NonZero at node find_speech")
    assert not (tmp_path / "e.plan").exists()


# Running engines, with ONNX Runtime in the place of TensorRT.


def onnxruntime_engine(path: Path, graph: str, plan: str = "x.plan") -> tuple[EngineSession, dict[str, Any]]:
    """Return an engine session on polygraphy's runner of ONNX Runtime, and its manifest."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    from transducer.core.onnx_files import interface

    profile = build_profile(graph, path, (0.1, 0.5, 1), (1, 2, 3))
    manifest = {"plan": plan, "profile": profile, "precision": "fp32", **interface(load_graph(path))}
    runner = OnnxrtRunner(open_session(path))
    runner.activate()
    return EngineSession(runner, manifest), manifest


@pytest.mark.parametrize("graph", ["encoder", "predictor", "joint", "rnnt_step"])
def test_an_engine_is_compared_over_lengths_and_batches(prepared: Path, graph: str) -> None:
    """By polygraphy's comparator: the same graph agrees everywhere, one a percent off fails within fp32's bound."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    path = prepared / f"{graph}.trt.onnx"
    profile, facts = build_profile(graph, path, (0.1, 0.5, 1), (1, 2, 3)), metadata(load_graph(path))
    same, wrong = (OnnxrtRunner(open_session(other), name="engine") for other in (path, perturbed(path)))
    found, differing = (
        compared(OnnxrtRunner(open_session(path), name="ONNX Runtime"), engine, profile, facts, TOLERANCES["fp32"])
        for engine in (same, wrong)
    )
    sizes = list(cases(profile))
    assert [case.sizes for case in found if case.sizes] == [case for case in sizes for _ in range(steps_of(graph))]
    assert {case["B"] for case in sizes} == {1, 2, 3} and len(sizes) >= 3
    assert all(case.max_relative == case.relative_rms == 0 for case in found)
    assert not any(case.max_relative <= TOLERANCES["fp32"] for case in differing)
    assert 1e-3 < max(case.max_relative for case in differing) < 0.5


def steps_of(graph: str) -> int:
    return 2 if graph in ("predictor", "rnnt_step") else 1


def test_the_check_of_an_engine_names_its_plan_and_fails_with_the_figure(prepared: Path) -> None:
    from polygraphy.backend.onnxrt import OnnxrtRunner

    from trt.check import checked

    path = prepared / "joint.trt.onnx"
    profile = build_profile("joint", path, (0.1, 0.5, 1), (1, 2, 3))
    manifest = {**RTX, "plan": "joint.plan", "plan_sha256": "1", "precision": "fp32", "profile": profile}
    report = checked(OnnxrtRunner(open_session(path), name="engine"), path, manifest, 1e-3)
    assert report.passed and report.file == "joint.plan" and report.figures["max_relative"] == 0
    with pytest.raises(CheckError, match=r"joint.plan of rtx .* differs from ONNX Runtime by 0\.0\d+ .* is 0\.001"):
        checked(OnnxrtRunner(open_session(perturbed(path)), name="engine"), path, manifest, 1e-3)


def perturbed(path: Path) -> Path:
    """Write a graph whose largest weights are a percent off."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name)
            )
    output = path.with_name(f"{path.stem}.wrong.onnx")
    onnx.save(model, output)
    return output


def test_an_engine_says_which_shapes_it_was_built_for(prepared: Path) -> None:
    engine, _ = onnxruntime_engine(prepared / "encoder.trt.onnx", "encoder")
    long = {"audio_signal": np.zeros((1, 80, 500), np.float32), "length": np.array([500])}
    with pytest.raises(InputError, match=r"audio_signal of \[1, 80, 11\] to \[3, 80, 101\], not \[1, 80, 500\]"):
        engine.run(None, long)


def test_the_pipeline_runs_on_engines(built: ByKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every graph but the frontend by an engine session gives what ONNX Runtime gives, in batches it was built for."""
    from transducer.runtime import loader
    from transducer.speech.recognizer import Recognizer

    folder = built("bpe-tdt")
    opened: list[str] = []

    def opens(path: Path) -> EngineSession:
        opened.append(path.stem)
        return onnxruntime_engine(folder / f"onnx/{path.stem}.onnx", path.stem, path.name)[0]

    monkeypatch.setattr(loader, "open_engine", opens)
    encoder, predictor, joint = (folder / f"trt/x/{graph}.plan" for graph in ("encoder", "predictor", "joint"))
    waves = [np.random.default_rng(n).standard_normal(15000 - 500 * n, dtype=np.float32) * 0.1 for n in range(5)]
    by_engine = Recognizer(folder, folder / "onnx/frontend.onnx", encoder, predictor, joint).transcribe(waves)
    assert opened == ["encoder", "predictor", "joint"]
    assert [found.text for found in by_engine] == [found.text for found in Recognizer(folder).transcribe(waves)]


def test_a_plan_of_another_tensorrt_or_gpu_is_not_loaded(tmp_path: Path) -> None:
    plan = tmp_path / "trt/x/joint.plan"
    plan.parent.mkdir(parents=True)
    plan.write_bytes(b"ftrt")
    manifest = {"tensorrt": "trtexec", "version": "10.13.0.35", "arch": "sm_86"}
    plan.with_suffix(".json").write_text(json.dumps(manifest))
    for other in ({"version": "11.1.0.106"}, {"arch": "sm_89"}, {"tensorrt": "rtx"}):
        (tmp_path / "trt/backend.json").write_text(json.dumps(manifest | other | {"gpu": None}))
        with pytest.raises(InputError, match=r"was built by trtexec 10\.13\.0\.35 for sm_86, but this machine has"):
            open_engine(plan)
    (tmp_path / "trt/backend.json").write_text(json.dumps(manifest | {"gpu": None}))
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        open_engine(plan)
    require_loadable(manifest, manifest, plan)


# Everything that this machine can build.


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "parakeet" not in kind])
def test_every_model_class_builds(kind: str, built: ByKind, tmp_path: Path) -> None:
    for graph in ("encoder", "predictor", "joint", "rnnt_step"):
        shutil.copy(built(kind) / f"onnx/{graph}.onnx", tmp_path)
        prepare(tmp_path, graph)
        assert build_rtx(tmp_path, graph).stat().st_size > 10_000


@pytest.mark.slow
def test_make_builds_the_demo_model_in_every_precision(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    shutil.copytree(DEMO, folder / "models")
    parts = ("encoder", "predictor", "joint", "rnnt_step")
    precisions = {f"{part}{suffix}": name for part in parts for suffix, name in (("", "fp32"), (".fp16", "fp16"))}
    precisions |= {"encoder.bf16": "bf16"}
    precisions |= {f"{part}.int8-qdq": "int8-qdq" for part in ("encoder", "joint", "rnnt_step")}
    precisions |= {"encoder_streaming": "fp32", "encoder_streaming.fp16": "fp16"}
    done = make("trt-engines", "TRT_BACKEND=rtx", f"TRT_ENGINES={' '.join(precisions)}", cwd=folder)
    assert done.returncode == 0, done.stderr
    (place,) = (folder / "out/demo-tdt/trt").glob("rtx-*-any")
    built = {plan.stem: json.loads(plan.with_suffix(".json").read_text()) for plan in place.glob("*.plan")}
    assert {name: manifest["precision"] for name, manifest in built.items()} == precisions
