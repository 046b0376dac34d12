"""Graphs in another process, and the comparison of processors: pipes to real runtimes, natively and under QEMU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import executorch
import numpy as np
import pytest

from conftest import DEMO, ROOT, ByKind, make, needs, run_worker
from transducer.core.cli import InputError
from transducer.core.contracts import example
from transducer.core.shards import Shard
from transducer.runtime.loader import open_graph
from transducer.runtime.parity import case_errors
from transducer.runtime.sessions import session_runner
from transducer.speech.manifest import read_lines

MANIFEST = DEMO / "validation/manifest.jsonl"
SERVE = [sys.executable, str(ROOT / "py/arm64/serve_graph.py")]


def remote(path: Path, graph: Path, command: list[str] = SERVE) -> Path:
    """Write a .remote file."""
    path.write_text(json.dumps({"file": str(graph), "command": command}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["encoder", "predictor", "rnnt_step", "frontend"])
def test_a_graph_in_another_process_is_the_same(name: str, built: ByKind, tmp_path: Path) -> None:
    """Whatever dtypes and shapes it has, and call after call."""
    out = built("bpe-tdt")
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    graph = out / f"onnx/{name}.onnx"
    here, there = open_graph(graph), open_graph(remote(tmp_path / f"{name}.onnx.remote", graph))
    for kind in ("get_inputs", "get_outputs"):
        values, others = (getattr(session, kind)() for session in (here, there))
        assert [(value.name, list(value.shape)) for value in values] == [(one.name, one.shape) for one in others]
    for size in (1, 3):
        inputs = example(name, {**dims, "B": size, "T": 50 * size, "U": size, "samples": 4000 * size})
        assert case_errors(session_runner(here)(inputs), session_runner(there)(inputs)) == (0, 0, 0)


@needs("g++")
def test_a_program_in_another_process_is_the_same(built: ByKind, tmp_path: Path) -> None:
    out = built("bpe-tdt")
    program, pte = tmp_path / "serve_program", tmp_path / "rnnt_step.pte"
    sources = [ROOT / f"decoders/cpp/src/{name}.cpp" for name in ("serve_program", "program")]
    compiled = ["g++", sys.executable, executorch.__path__[0], program, *sources]
    subprocess.run([ROOT / "scripts/compile_cpp.sh", *compiled], check=True)
    assert run_worker("pte/lower", "--graph", "rnnt_step", "--checkpoint", out / "checkpoint", "--output", pte) == 0
    here, there = open_graph(pte), open_graph(remote(tmp_path / "rnnt_step.pte.remote", pte, [str(program)]))
    dims = json.loads((out / "meta/model_meta.json").read_text())["dims"]
    for size in (1, 4):
        inputs = example("rnnt_step", {**dims, "B": size})
        assert case_errors(session_runner(here)(inputs), session_runner(there)(inputs))[0] <= 1e-6
    pte.write_bytes(b"x" * pte.stat().st_size)
    with pytest.raises(InputError, match=r"serve_program \S+ failed: \S+ cannot be loaded"):
        open_graph(remote(tmp_path / "rnnt_step.pte.remote", pte, [str(program)]))


def test_bad_input_of_a_remote_graph(built: ByKind, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = built("bpe-tdt") / "onnx/joint.onnx"
    with pytest.raises(InputError, match=r"missing\.remote.*make arm64-check"):
        open_graph(tmp_path / "missing.remote")
    with pytest.raises(InputError, match=r"nothing\.onnx"):
        open_graph(remote(tmp_path / "a.remote", tmp_path / "nothing.onnx"))
    with pytest.raises(InputError, match="failed: it ended with exit code 1; see above"):
        open_graph(remote(tmp_path / "b.remote", MANIFEST))
    with pytest.raises(InputError, match=r"nothing cannot be started \(No such file or directory\)"):
        open_graph(remote(tmp_path / "d.remote", graph, [str(tmp_path / "nothing")]))
    session = open_graph(remote(tmp_path / "c.remote", graph))
    wrong = {value.name: np.zeros((1, 3, 1), np.float32) for value in session.get_inputs()}
    with pytest.raises(InputError, match="failed: it ended with exit code 1; see above"):
        session.run(None, wrong)


@pytest.fixture
def found(built: ByKind, tmp_path: Path) -> list[object]:
    """Return the options of a check of an encoder that is the same in both places, where the same was heard."""
    out = built(str(DEMO / "demo-tdt.nemo"))
    graph = out / "onnx/encoder.onnx"
    utterances, _ = read_lines(MANIFEST)
    texts = [utterance["text"] for utterance in utterances]
    for place in ("here", "there"):
        Shard(1, 1).write(tmp_path / f"{place}.json", texts, len(texts))
    places = ("--here", graph, "--there", remote(tmp_path / "encoder.onnx.remote", graph))
    heard = ("--found-here", tmp_path / "here.json", "--found-there", tmp_path / "there.json")
    return [*places, *heard, "--manifest", MANIFEST, "--meta", out / "meta/model_meta.json"]


def test_the_check_counts_what_differs(found: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "arm64.encoder.onnx.check.json"
    assert run_worker("arm64/check", *found, "--max-abs", 1e-4, "--output", output) == 0
    check = json.loads(output.read_text())
    assert check["passed"] and check["figures"] == {"delta": 0, "max_abs": 0, "max_relative": 0, "relative_rms": 0}
    assert (check["accuracy"]["here"], check["accuracy"]["different"]) == (0, 0)

    content = json.loads((tmp_path / "there.json").read_text())
    content["items"][:20] = ["something else"] * 20
    (tmp_path / "there.json").write_text(json.dumps(content))
    output.unlink()
    assert run_worker("arm64/check", *found, "--output", output) == 1
    said = capsys.readouterr().err
    assert "20 of 480 differ" in said and "where MAX_ARM64_DELTA allows 0.3" in said
    assert not output.exists()


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("make_arm64.sh", ["arm64", sys.executable], "error: qemu-aarch64-static is missing; install it"),
        (
            "compile_cpp.sh",
            ["no-compiler", sys.executable, "executorch", "program", "a.cpp"],
            "error: the com",
        ),
    ],
)
def test_a_missing_tool_is_named(tmp_path: Path, script: str, arguments: list[str], sentence: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mkdir", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    environment = {**os.environ, "PATH": str(tools)}
    done = subprocess.run(
        [ROOT / "scripts" / script, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [tools]


@pytest.mark.slow
@needs("qemu-aarch64-static", "debootstrap", "aarch64-linux-gnu-g++")
def test_forms_of_swipes_on_arm64(tmp_path: Path) -> None:
    """The real emulator, by make: both runtimes, the forms that phones get."""
    forms = "encoder.onnx encoder.android.int8.onnx encoder.xnnpack.pte"
    done = make("CONFIG=demo-swipe", f"OUT={tmp_path}", f"ARM64_ENCODERS={forms}", "arm64-check")
    assert done.returncode == 0, done.stderr
    for form in forms.split():
        check = json.loads((tmp_path / f"checks/arm64.{form}.check.json").read_text())
        assert check["accuracy"]["delta"]["points"] <= 0.3
