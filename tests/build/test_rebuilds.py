"""The build: what is rebuilt, and why."""

import os
import re
import time
from pathlib import Path

import pytest

from conftest import ByKind, make, make_project

GRAPHS = {"frontend", "encoder", "predictor", "joint", "rnnt_step"}
RAW = {f"onnx/{graph}.raw.onnx" for graph in GRAPHS}
FINAL = {f"onnx/{graph}.onnx" for graph in GRAPHS}
CHECKS = {f"checks/{graph}.onnx.check.json" for graph in GRAPHS}
META = {"meta/model_meta.json"}
FRONTEND_CHECK = "checks/frontend.onnx.check.json"
EVERYTHING = {"checkpoint/manifest.json"} | RAW | FINAL | CHECKS | META


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, nemo_file: ByKind) -> Path:
    """Return a copy of the project with a small model built in out/model."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    (folder / "model.nemo").write_bytes(nemo_file("bpe-tdt").read_bytes())
    done = make("all", "MODEL=model.nemo", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {artefact for _, artefact in lines_of(done.stdout)} == EVERYTHING
    return folder


def lines_of(output: str) -> list[tuple[str, str]]:
    """Return (verb, artefact below the model folder) for each line that names one."""
    return [(verb, path) for verb, path in re.findall(r"^  (\w+) +out/\w+/(\S+)$", output, re.MULTILINE)]


def would_make(project: Path, *flags: str) -> set[str]:
    """Return what make would make now, without making it."""
    done = make("--dry-run", "all", "MODEL=model.nemo", *flags, cwd=project)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"printf '  %-9s %s\\n' [A-Z]+ out/\w+/(\S+)", done.stdout))


def test_second_run_makes_nothing_and_is_quick(project: Path) -> None:
    began = time.monotonic()
    done = make("all", "MODEL=model.nemo", cwd=project)
    assert time.monotonic() - began < 0.5
    assert done.stdout.strip() == "make: Nothing to be done for 'all'."


@pytest.mark.parametrize(
    ("file", "rebuilt"),
    [
        ("py/export/export_graph.py", RAW | FINAL | CHECKS | META),
        ("py/export/simplify.py", FINAL | CHECKS | META),
        ("py/export/check.py", CHECKS),
        ("py/export/write_meta.py", META),
        ("py/transducer/export/patches.py", RAW | FINAL | CHECKS | META),
        ("py/transducer/checkpoint/facts.py", RAW | FINAL | CHECKS | META),
        ("py/transducer/core/cli.py", EVERYTHING),
        ("py/checkpoint/unpack.py", EVERYTHING),
        ("model.nemo", EVERYTHING),
        ("py/transducer/train/losses.py", set()),
        ("py/transducer/core/version.py", RAW | FINAL | CHECKS | META),
        # Which GPU is there concerns engines alone, and swipes concern no model of speech.
        ("py/transducer/runtime/trt_backend.py", set()),
        ("py/transducer/swipe/features.py", set()),
    ],
)
def test_touching_one_file_rebuilds_what_reads_it(project: Path, file: str, rebuilt: set[str]) -> None:
    before = (project / file).stat()
    (project / file).touch()
    try:
        assert would_make(project) == rebuilt
    finally:
        os.utime(project / file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert would_make(project) == set()


@pytest.mark.parametrize(
    ("flag", "rebuilt"),
    [
        ("OPSET=18", RAW | FINAL | CHECKS | META),
        ("PARITY_MAX_ABS=1e-5", CHECKS - {FRONTEND_CHECK}),
        ("FRONTEND_MAX_ABS=1e-3", {FRONTEND_CHECK}),
        ("V=1", set()),
    ],
)
def test_changing_one_flag_rebuilds_what_uses_it(project: Path, flag: str, rebuilt: set[str]) -> None:
    assert would_make(project, flag) == rebuilt


def test_a_checkpoint_with_a_time_in_the_future_is_built_once(project: Path) -> None:
    model = project / "model.nemo"
    before = model.stat()
    out = "OUT=out/future"
    try:
        os.utime(model, (time.time() + 10_000, time.time() + 10_000))
        assert make("checkpoint", "MODEL=model.nemo", out, cwd=project).returncode == 0
        again = make("checkpoint", "MODEL=model.nemo", out, cwd=project)
        assert "Nothing to be done" in again.stdout and not again.stderr
        # An older file under the same name is another one.
        os.utime(model, (time.time() - 10_000, time.time() - 10_000))
        changed = make("checkpoint", "MODEL=model.nemo", out, cwd=project)
        assert ("UNPACK", "checkpoint/manifest.json") in lines_of(changed.stdout)
    finally:
        os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_rebuild_says_why(project: Path) -> None:
    changed = make("check", "MODEL=model.nemo", "PARITY_MAX_ABS=2e-4", cwd=project)
    assert "FLAGS     check: PARITY_MAX_ABS=2e-4, was PARITY_MAX_ABS=1e-4" in changed.stdout
    assert {path for _, path in lines_of(changed.stdout)} == CHECKS - {FRONTEND_CHECK}
    (project / "py/export/check.py").touch()
    traced = make("--trace", "--dry-run", "check", "MODEL=model.nemo", "PARITY_MAX_ABS=2e-4", cwd=project)
    assert re.search(r"update target 'out/model/checks/joint\S*' due to: \S*py/export/check.py", traced.stdout)


def test_one_artefact_by_its_name(project: Path) -> None:
    (project / "out/model/onnx/joint.onnx").unlink()
    done = make("joint.onnx", "MODEL=model.nemo", cwd=project)
    assert lines_of(done.stdout) == [("SIMPLIFY", "onnx/joint.onnx"), ("CHECK", "checks/joint.onnx.check.json")]


def test_launcher_starts_every_worker(project: Path) -> None:
    (project / "py/export/write_meta.py").touch()
    log = project / "launched.txt"
    launcher = project / "launch.sh"
    launcher.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec "$@"\n')
    launcher.chmod(0o755)
    done = make("meta", "MODEL=model.nemo", f"LAUNCH={launcher}", cwd=project)
    assert done.returncode == 0 and "py/export/write_meta.py" in log.read_text()
