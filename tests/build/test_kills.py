"""Builds that are killed, interrupted, or run out of disk at any moment: what is there next time is right."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from conftest import DEMO, make, make_project

GOALS = ("-j2", "all", "encoder.int8.onnx", "package-onnx-asr", "MODEL=model.nemo")
MOST_SECONDS = 25.0
Project = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project, and the digests of an undisturbed build of the demo."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    shutil.copy(DEMO / "demo-tdt.nemo", folder / "model.nemo")
    done = make(*GOALS, "OUT=out/right/model", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, digests(folder / "out/right/model")


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every product in a model folder."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def disturbed(project: Path, out: str, signals: list[signal.Signals], seed: int) -> int:
    """Build, with a signal to make and its children at a random moment, once for each; return how many were in time."""
    moments = random.Random(seed)
    hits = 0
    for number in signals:
        build = subprocess.Popen(
            ["make", f"PYTHON={sys.executable}", *GOALS, f"OUT={out}"],
            cwd=project,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )
        try:
            _, printed = build.communicate(timeout=moments.uniform(0.2, MOST_SECONDS))
            assert build.returncode == 0, printed
        except subprocess.TimeoutExpired:
            os.killpg(build.pid, number)
            _, printed = build.communicate()
            hits += 1
            if number == signal.SIGINT:
                assert build.returncode == -signal.SIGINT
                assert_quiet(printed)
        if hits and build.returncode == 0:
            # All was done before the next signal: again from a place that the next moments can hit.
            shutil.rmtree(project / out / moments.choice(["onnx", "checks", "checkpoint", "meta"]))
    return hits


def assert_quiet(printed: str) -> None:
    """Assert that an interrupt shows what make says of it, one line for each job, and no traceback."""
    others = [line for line in printed.splitlines() if not line.startswith("make: ***")]
    assert not others, printed
    assert len(printed.splitlines()) <= 3, printed


def finish(project: Path, out: str, right: dict[str, str]) -> None:
    """Assert that make now makes what an undisturbed build makes, and leaves nothing else."""
    done = make(*GOALS, f"OUT={out}", cwd=project)
    assert done.returncode == 0, done.stderr
    assert digests(project / out) == right
    assert not list((project / out).rglob(".*.tmp*"))
    assert "Nothing to be done" in make(*GOALS, f"OUT={out}", cwd=project).stdout


@pytest.mark.parametrize(("kills", "interrupts"), [(8, 3), pytest.param(100, 20, marks=pytest.mark.slow)])
def test_signals_at_random_moments(project: Project, kills: int, interrupts: int) -> None:
    folder, right = project
    signals = [signal.SIGKILL] * kills + [signal.SIGINT] * interrupts
    random.Random(2).shuffle(signals)
    hits = disturbed(folder, "out/signals/model", signals, seed=kills)
    assert hits >= (kills + interrupts) // 2
    finish(folder, "out/signals/model", right)


def test_an_interrupted_worker_says_so_in_one_line() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    environment = {name: value for name, value in os.environ.items() if name != "MAKELEVEL"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


INTERRUPTED = """
import os, signal, sys, time
from transducer.core.cli import run

def main():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run(main))
"""


@pytest.mark.parametrize("when", ["importing", "working"])
def test_an_interrupted_make_shows_no_traceback(project: Project, when: str) -> None:
    folder, _ = project
    out = folder / "out/interrupted/model"
    shutil.rmtree(out, ignore_errors=True)
    build = subprocess.Popen(
        ["make", f"PYTHON={sys.executable}", "MODEL=model.nemo", f"OUT={out}", "joint.onnx"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    assert build.stdout
    for line in build.stdout:
        if line.split()[0] == "EXPORT":
            break
    with pytest.raises(subprocess.TimeoutExpired):
        build.wait(timeout=1.5 if when == "importing" else 5)
    os.killpg(build.pid, signal.SIGINT)
    _, printed = build.communicate()
    assert build.returncode == -signal.SIGINT
    assert_quiet(printed)
    assert not list(out.rglob(".*.tmp*")) and not (out / "onnx/joint.raw.onnx").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of an empty disk of 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("points", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_full_disk_gives_one_sentence_and_then_what_is_right(project: Project, disk: Path, points: int) -> None:
    folder, right = project
    size = sum(path.stat().st_size for path in (folder / "out/right/model").rglob("*") if path.is_file())
    filler, out = disk / "filler", disk / "model"
    failures = 0
    for point in range(points):
        filler.unlink(missing_ok=True)
        used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*") if path.is_file())
        left = max(0, int(size * point / points) - used)
        with filler.open("wb") as stream:
            stream.truncate(0)
            os.posix_fallocate(stream.fileno(), 0, (64 << 20) - used - left - (1 << 16))
        done = make(*GOALS[1:], f"OUT={out}", cwd=folder)
        if done.returncode == 0:
            break
        failures += 1
        said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
        # What a build without calibration data logs anyway.
        said = [line for line in said if not line.endswith("equalized by their weights alone")]
        assert len(said) == 1 and re.fullmatch(r"error: [^\n]*free some space[^\n]*\.", said[0]), done.stderr
    assert failures >= points / 2
    filler.unlink()
    finish(folder, str(out), right)
