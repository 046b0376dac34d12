"""A graph that differs from PyTorch is not delivered: whatever names or uses one fails with its check."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from conftest import ROOT, make, make_project

PYTHON = Path(__file__).with_name("recording_python.py")
VARIANTS = ("fp16", "int8", "int8-qdq", "int4")
# Goals by the graph that they name or use.
ENCODER = [
    "encoder.onnx",
    "onnx",
    "meta",
    "all",
    "check",
    "transcribe WAV=a.wav",
    "runtime-meta",
    "evaluate",
    "variants",
    *(f"encoder.{variant}.onnx" for variant in VARIANTS),
    "joint.int8-qdq.onnx",
    "onnx-optimized",
    "onnx-optimized SKIP_QUANTIZATION=1",
    "bench",
    "package-onnx-asr",
    "package-ort-genai",
    "package-sherpa-onnx",
    "package-dynamic",
    "package-bundled",
    "report",
    "trt-engines TRT_ID=rtx",
    "encoder.fp16.plan TRT_ID=rtx",
]
GOALS = [
    *(("encoder.onnx", goal) for goal in ENCODER),
    ("joint.onnx", "joint.onnx"),
    ("joint.onnx", "joint.fp16.onnx"),
    ("joint.onnx", "transcribe WAV=a.wav"),
    ("frontend.onnx", "encoder.int8-qdq.onnx"),
    ("frontend.onnx", "encoder.int8.pte"),
    ("encoder_streaming.onnx", "encoder_streaming.onnx"),
    ("encoder_streaming.onnx", "encoder_streaming.int8.onnx"),
    ("encoder_streaming.onnx", "transcribe STREAM=1 STREAMING=1 WAV=a.wav"),
    ("encoder.int8.onnx", "encoder.int8.onnx"),
    ("encoder.int8.onnx", "transcribe ENCODER=encoder.int8.onnx WAV=a.wav"),
    ("encoder.fp16.onnx", "onnx-optimized SKIP_QUANTIZATION=1"),
    ("encoder.fp32.pte", "encoder.fp32.pte"),
    ("encoder.fp32.pte", "pte"),
    ("rnnt_step.pte", "pte"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("audio"))
    return folder


def run(project: Path, goal: str, fail: str = "") -> "subprocess.CompletedProcess[str]":
    command = ["make", f"PYTHON={PYTHON}", "CONFIG=demo-tdt", *goal.split()]
    environment = os.environ | {"FAIL": fail or "none", "PYTHONPATH": ""}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("graph", "goal"), GOALS)
def test_a_failed_check_fails_what_names_or_uses_its_graph(project: Path, graph: str, goal: str) -> None:
    shutil.rmtree(project / "out", ignore_errors=True)
    done = run(project, goal, f"{graph}.check.json")
    assert done.returncode == 2 and f"check failed: {graph}.check.json" in done.stderr, done.stdout + done.stderr
    again = run(project, goal, f"{graph}.check.json")
    assert again.returncode == 2, "the second time it is delivered"
    assert run(project, goal).returncode == 0
    if "transcribe" not in goal and "TRT_ID" not in goal:
        settled = run(project, goal)
        assert settled.returncode == 0 and "Nothing to be done" in settled.stdout, settled.stdout


def test_one_graph_needs_its_own_check_alone(project: Path) -> None:
    shutil.rmtree(project / "out", ignore_errors=True)
    assert run(project, "joint.onnx").returncode == 0
    made = {path.name for path in (project / "out/demo-tdt").rglob("*.*") if path.is_file()}
    assert {name for name in made if "onnx" in name} == {"joint.raw.onnx", "joint.onnx", "joint.onnx.check.json"}


def test_goals_of_a_checkpoint_without_validation_set_are_checked_too(project: Path) -> None:
    shutil.rmtree(project / "out", ignore_errors=True)
    (project / "model.nemo").write_bytes(b"")
    for graph in ("encoder.onnx", "encoder.int8.onnx"):
        done = run(project, "CONFIG= MODEL=model.nemo encoder.int8.onnx", f"{graph}.check.json")
        assert done.returncode == 2 and f"check failed: {graph}.check.json" in done.stderr
    assert run(project, "CONFIG= MODEL=model.nemo encoder.int8.onnx").returncode == 0


@pytest.mark.parametrize("attention", ["rel_pos_local_attn", "abs_pos"])
def test_an_encoder_is_delivered_only_if_it_equals_pytorch(
    attention: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of kinds of attention that exported graphs once differed in by 2.1 and 4.5."""
    project = make_project(tmp_path)
    context: dict[str, Any] = {"att_context_size": [8, 8]} if attention == "rel_pos_local_attn" else {}
    checkpoints.save("bpe-tdt", project / "model.nemo", self_attention_model=attention, **context)
    for goal in ("encoder.onnx", "meta", "encoder.int8.onnx"):
        done = make(goal, "MODEL=model.nemo", cwd=project)
        if done.returncode:
            assert "encoder.onnx differs from PyTorch by" in done.stderr or "error: " in done.stderr
        else:
            assert (project / "out/model/checks/encoder.onnx.check.json").exists()
