"""Real checkpoints and what the workers make of them, built once for the whole test run."""

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx
import pytest

import checkpoints
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import log, run

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "models"
FP32_GRAPHS = ("frontend", "encoder", "predictor", "joint", "rnnt_step")

# Under `make test`, the make that a test starts would take itself for a part of that run, and workers would be quiet.
os.environ["PYTHONPATH"] = str(ROOT / "py")
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "V"):
    os.environ.pop(name, None)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip, and say so, where a program of another language is missing; continuous integration has to have it."""
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing) and "CI" not in os.environ, reason=f"not installed: {', '.join(missing)}")


def lowering_worker(form: str) -> tuple[str, ...]:
    """Return the worker that lowers an encoder to a form, with the option that names it."""
    return (f"pte/lower_{form}",) if form in ("int8", "ultra") else ("pte/lower", "--form", form)


Worker = Callable[..., int]
ByKind = Callable[[str], Path]


def run_worker(name: str, *arguments: object) -> int:
    """Run a worker, as FAMILY/NAME, in this process, which has imported NeMo already, and return its exit code."""
    before = sys.argv
    sys.argv = [f"py/{name}.py", *(str(argument) for argument in arguments)]
    try:
        return run(importlib.import_module(name.replace("/", ".")).main)
    finally:
        sys.argv = before


def make_project(folder: Path) -> Path:
    """Copy what Make reads into `folder`, so that a test may touch, change and kill there."""
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("scripts", "py", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def make(*arguments: object, cwd: Path = ROOT, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run make with this interpreter as PYTHON and return what it printed."""
    command = ["make", f"PYTHON={sys.executable}", *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def few_utterances(path: Path, count: int) -> Path:
    """Write a manifest of the first `count` utterances of the validation set, and return its path."""
    lines = (DEMO / "validation/manifest.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    entries = [json.loads(line) for line in lines]
    full = [entry | {"audio_filepath": str(DEMO / "validation" / entry["audio_filepath"])} for entry in entries]
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in full), encoding="utf-8")
    return path


# A child's peak memory begins at its parent's size, and the tests have built models: a small process stands between.
MEASURING = """
import json, resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(json.dumps([time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9]))
"""


def measured(command: Sequence[object]) -> tuple[float, float]:
    """Run a command and return its wall time in seconds and the peak memory of its largest process in GB."""
    between = [sys.executable, "-c", MEASURING, *map(str, command)]
    seconds, memory = json.loads(subprocess.run(between, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return seconds, memory


@pytest.fixture
def log_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the messages that this project logs, whatever libraries did to logging before."""
    messages: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: messages.append(record.getMessage()))
    monkeypatch.setattr(log, "disabled", False)
    log.addHandler(handler)
    yield messages
    log.removeHandler(handler)


@pytest.fixture(scope="session")
def nemo_file(tmp_path_factory: pytest.TempPathFactory) -> ByKind:
    """Return a function from a kind of tests/checkpoints.py to its .nemo file."""
    folder = tmp_path_factory.mktemp("nemo")

    def of_kind(kind: str) -> Path:
        path = folder / f"{kind}.nemo"
        return path if path.exists() else checkpoints.save(kind, path)

    return of_kind


@pytest.fixture(scope="session")
def built(nemo_file: ByKind, tmp_path_factory: pytest.TempPathFactory) -> ByKind:
    """Return a function from a kind, or the path of a checkpoint, to its model folder with graphs and metadata."""
    folder = tmp_path_factory.mktemp("out")

    def of_kind(kind: str) -> Path:
        out = folder / Path(kind).stem
        if not (out / "meta/model_meta.json").exists():
            build(Path(kind) if Path(kind).exists() else nemo_file(kind), out)
        return out

    return of_kind


@pytest.fixture(scope="session")
def streaming(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> ByKind:
    """Return a function from a kind, made lively, or a checkpoint, to its model folder with a streaming encoder."""
    folder = tmp_path_factory.mktemp("streaming")

    def of_kind(kind: str) -> Path:
        path = Path(kind)
        if path.suffix != ".nemo" and not (path := folder / f"lively-{kind}.nemo").exists():
            checkpoints.save(kind, path, lively=True)
        out = built(str(path))
        if not (out / "onnx/encoder_streaming.onnx").exists():
            build_streaming(out)
        return out

    return of_kind


def build_streaming(out: Path) -> None:
    """Add a streaming encoder to a model folder, as `make onnx meta STREAMING=1` does."""
    raw, final = (out / f"onnx/encoder_streaming{suffix}" for suffix in (".raw.onnx", ".onnx"))
    checkpoint = ("--checkpoint", out / "checkpoint")
    offline = ("--encoder", out / "onnx/encoder.raw.onnx")
    assert run_worker("export/export_streaming", *checkpoint, *offline, "--output", raw) == 0
    assert run_worker("export/simplify", "--graph", "encoder_streaming", "--input", raw, "--output", final) == 0
    graphs = [out / f"onnx/{graph}.onnx" for graph in (*FP32_GRAPHS, "encoder_streaming")]
    meta = out / "meta/model_meta.json"
    assert run_worker("export/write_meta", *checkpoint, "--graphs", *graphs, "--output", meta) == 0


def build(model: Path, out: Path) -> None:
    """Unpack a checkpoint, export and simplify its graphs, and write its metadata, as `make onnx meta` does."""
    assert run_worker("checkpoint/unpack", "--model", model, "--output", out / "checkpoint/manifest.json") == 0
    swipe = "swipe" in Checkpoint(out / "checkpoint").config
    traced = [graph for graph in FP32_GRAPHS if not (swipe and graph == "frontend")]
    for graph in traced:
        raw, final = out / f"onnx/{graph}.raw.onnx", out / f"onnx/{graph}.onnx"
        assert (
            run_worker("export/export_graph", "--graph", graph, "--checkpoint", out / "checkpoint", "--output", raw)
            == 0
        )
        assert run_worker("export/simplify", "--graph", graph, "--input", raw, "--output", final) == 0
    graphs = [out / f"onnx/{graph}.onnx" for graph in traced]
    meta = out / "meta/model_meta.json"
    assert (
        run_worker("export/write_meta", "--checkpoint", out / "checkpoint", "--graphs", *graphs, "--output", meta) == 0
    )


def with_sidecar(built: Path, copy: Path) -> Path:
    """Copy a build folder and move the encoder's weights to encoder.onnx.data, as those of large models are."""
    for part in ("onnx", "meta"):
        shutil.copytree(built / part, copy / part)
    encoder = onnx.load_model(copy / "onnx/encoder.onnx")
    path = copy / "onnx/encoder.onnx"
    onnx.save_model(encoder, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    return copy
