"""Many models by one command, and workers started by launchers of their own.

Example:
    .venv/bin/python -m pytest tests/build/test_fleet.py
"""

import re
import shutil
import time
from pathlib import Path

import pytest

from conftest import DEMO, ByKind, make


def fleet(models: list[Path], out: Path, *arguments: object) -> tuple[int, dict[str, str]]:
    """Build one small graph of each model; return the exit code and the table's row of each."""
    done = make("fleet", f"MODELS={' '.join(map(str, models))}", "GOALS=predictor.onnx", f"OUT={out}", *arguments)
    rows = re.findall(r"^(\S+) +(built|failed) +\d+(.*)$", done.stdout, re.MULTILINE)
    return done.returncode, {name: result + reason for name, result, reason in rows}


def test_one_that_fails_stops_no_other(nemo_file: ByKind, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nemo"
    broken.write_bytes(b"not a model")
    models = [broken, nemo_file("bpe-tdt")]
    code, rows = fleet(models, tmp_path / "out")
    assert code == 2
    assert rows["broken"].startswith("failed  error: ") and "is not a .nemo archive" in rows["broken"]
    assert rows["bpe-tdt"] == "built"
    graph = tmp_path / "out/bpe-tdt/onnx/predictor.onnx"
    made = graph.stat().st_mtime_ns
    shutil.copy(nemo_file("char-rnnt"), broken)  # mended
    code, rows = fleet(models, tmp_path / "out")
    assert (code, rows) == (0, {"broken": "built", "bpe-tdt": "built"})
    assert graph.stat().st_mtime_ns == made, "what was built stays built"


@pytest.mark.slow
def test_ten_models_of_which_two_are_broken(nemo_file: ByKind, tmp_path: Path) -> None:
    models = []
    for number in range(10):
        models.append(tmp_path / f"model{number}.nemo")
        content = nemo_file("char-rnnt").read_bytes()
        models[-1].write_bytes(content[: len(content) // 2] if number in (3, 7) else content)
    code, rows = fleet(models, tmp_path / "out", "-j2")
    assert code == 2
    assert [name for name, row in rows.items() if row != "built"] == ["model3", "model7"]
    assert "truncated" in rows["model3"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["MODELS="], "MODELS is empty"),
        ([f"MODELS={DEMO}/demo-tdt.nemo {DEMO}/demo-tdt.nemo"], "MODELS has demo-tdt twice"),
        (["MODELS=$(shell touch x)"], "rename it or link to it"),
    ],
)
def test_models_that_are_none(arguments: list[str], sentence: str) -> None:
    done = make("fleet", *arguments)
    assert done.returncode == 2 and sentence in done.stderr


def test_many_models_and_shards_take_no_time_to_plan(tmp_path: Path) -> None:
    names = tmp_path / "models.txt"
    names.write_text("# ours\n" + "".join(f"/models/model{number}.nemo\n" for number in range(200)))
    began = time.monotonic()
    done = make("-n", "fleet-none", f"MODELS_FILE={names}", "SHARDS=64")
    assert "No rule to make target 'fleet-none'" in done.stderr
    assert time.monotonic() - began < 2


def test_a_launcher_by_worker_or_family_or_all() -> None:
    plan = make(
        "-n", "-W", "py/checkpoint/unpack.py", "all", "LAUNCH=one", "LAUNCH.export=two", "LAUNCH.export/check=three"
    ).stdout
    launched = set(re.findall(r"py +(\w+) +\S+python py/(\w+/\w+)\.py", plan))
    assert ("one", "checkpoint/unpack") in launched
    assert ("two", "export/simplify") in launched
    assert ("three", "export/check") in launched


def test_a_cluster_that_is_not_here(tmp_path: Path) -> None:
    done = make("all", "CLUSTER=none")
    assert (
        done.returncode == 2 and "configs/clusters/none.mk does not exist: set CLUSTER to one of slurm" in done.stderr
    )
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "make", "seq", "sed", "uname"):
        (programs / name).symlink_to(shutil.which(name) or "")
    done = make("all", "CLUSTER=slurm", env={"PATH": str(programs)})
    assert done.returncode == 2 and "CLUSTER=slurm needs srun, which is not on PATH" in done.stderr
