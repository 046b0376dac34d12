"""Two builds in one folder: the second waits for the first, whatever becomes of it, and both results are right."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import ROOT, make_project
from transducer.core.cli import replacing

PYTHON = Path(__file__).with_name("recording_python.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = make_project(tmp_path)
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("audio"))
    return folder


def start(project: Path, *arguments: str, slow: str = "0") -> "subprocess.Popen[str]":
    command = ["make", f"PYTHON={PYTHON}", "CONFIG=demo-tdt", *arguments]
    environment = os.environ | {"SECONDS_EACH": slow, "PYTHONPATH": "", "ARGUMENTS": str(project / "arguments")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=project, env=environment, start_new_session=True, text=True, **pipes)  # type: ignore[call-overload]


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.02)


def test_a_second_build_waits_and_has_nothing_to_do(project: Path) -> None:
    first = start(project, "onnx", slow="0.3")
    wait_for(project / "out/demo-tdt/checkpoint/manifest.json")
    second = start(project, "onnx")
    out, err = second.communicate(timeout=60)
    assert first.poll() is not None, "the second did not wait"
    assert first.wait() == 0 and second.returncode == 0
    assert err == f"waiting for make {first.pid}, which builds in out/demo-tdt\n"
    assert "Nothing to be done" in out
    first.communicate()
    assert start(project, "onnx").communicate(timeout=30)[1] == ""


@pytest.mark.parametrize("group", [True, False])
def test_a_killed_build_is_not_waited_for(project: Path, group: bool) -> None:
    first = start(project, "onnx", slow="0.3")
    wait_for(project / "out/demo-tdt/checkpoint/manifest.json")
    second = start(project, "onnx")
    time.sleep(0.5)
    assert second.poll() is None
    (os.killpg if group else os.kill)(first.pid, signal.SIGKILL)
    first.wait()
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert err.startswith(f"waiting for make {first.pid}")
    if not group:
        os.killpg(first.pid, signal.SIGKILL)


def test_nothing_is_locked_to_look_or_by_other_folders(project: Path) -> None:
    first = start(project, "onnx", slow="0.5")
    wait_for(project / "out/demo-tdt/checkpoint/manifest.json")
    for arguments in (("help",), ("-n", "onnx"), ("-q", "onnx"), ("OUT=out/other", "checkpoint")):
        other = start(project, *arguments)
        _, err = other.communicate(timeout=30)
        assert "waiting" not in err and first.poll() is None
    first.communicate()


def test_a_name_of_another_process_is_not_an_owner(project: Path) -> None:
    """The number of a process that was killed may be another's now."""
    (project / "out/demo-tdt").mkdir(parents=True)
    world = (
        Path("/proc/sys/kernel/random/boot_id").read_text().strip() + ":" + str(Path("/proc/self/ns/pid").readlink())
    )
    for owner in (f"{os.getpid()} 1 {world}", f"{os.getpid()} 1 elsewhere", "", "x", "99999999 5 " + world):
        (project / "out/demo-tdt/.lock").write_text(owner)
        assert start(project, "checkpoint").communicate(timeout=30)[1] == ""


def test_a_transcriber_lets_others_build(project: Path) -> None:
    assert start(project, "meta").wait(timeout=60) == 0
    listening = start(project, "transcribe", "WAV=-", slow="2")
    wait_for(project / "arguments")
    time.sleep(0.7)
    other = start(project, "encoder.int8.onnx")
    _, err = other.communicate(timeout=60)
    assert "waiting" not in err
    listening.communicate()


def test_temporaries_of_two_processes_do_not_collide(tmp_path: Path) -> None:
    """A product that another process writes at the same time stays, and what a killed one left goes."""
    path = tmp_path / "encoder.int8.onnx"
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    ended = tmp_path / f".encoder.int8.{zombie.pid}.tmp.onnx"
    alive = tmp_path / f".encoder.int8.{os.getppid()}.tmp.onnx"
    dead = tmp_path / ".encoder.int8.99999999.tmp.onnx"
    others = [tmp_path / ".encoder.99999999.tmp.onnx", tmp_path / ".encoder.int8.tmp.onnx"]
    for other in (alive, dead, ended, *others):
        other.write_bytes(b"part")
    with replacing(path) as tmp:
        assert tmp != alive and tmp.suffix == ".onnx"
        tmp.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    zombie.wait()
    assert alive.exists() and not dead.exists() and not ended.exists() and not tmp.exists() and others[0].exists()
