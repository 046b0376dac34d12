"""What a changed bound or setting reaches in every family; a stand-in for workers touches their outputs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, make_project

TOUCH = Path(__file__).with_name("touch_outputs.py")
GOALS = {
    "demo-tdt": ("all", "variants", "evaluate", "onnx-optimized", "pte-check", "package-dynamic"),
    "demo-swipe": ("all", "variants", "evaluate", "validate", "onnx-optimized", "pte-check", "runtime-meta"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which both demos count as built."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("audio"))
    for config, goals in GOALS.items():
        made = run_make(folder, config, *goals)
        assert made.returncode == 0, made.stderr
        assert would_make(folder, config) == set()
    return folder


def run_make(folder: Path, config: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", f"PYTHON={TOUCH}", f"CONFIG={config}", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def would_make(folder: Path, config: str, *flags: str) -> set[str]:
    done = run_make(folder, config, "--dry-run", *GOALS[config], *flags)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"printf '  %-9s %s\\n' [A-Z]+ out/[\w-]+/(\S+)", done.stdout))


@pytest.mark.parametrize(
    ("config", "flag", "checks"),
    [
        ("demo-tdt", "MAX_RMS.int4=0.5", {"encoder.int4.onnx", "encoder.ultra.pte"}),
        (
            "demo-tdt",
            "MAX_RMS.int8-qdq=0.5",
            {"encoder.int8-qdq.onnx", "joint.int8-qdq.onnx", "encoder.android.int8.onnx", "encoder.int8.pte"},
        ),
        ("demo-tdt", "MAX_PTE_DELTA=3", {"wer.encoder.int8.pte", "wer.encoder.ultra.pte"}),
        ("demo-tdt", "MAX_WER_DELTA.int4=3", {"wer.encoder.int4"}),
        ("demo-swipe", "MAX_TOP1_DELTA.int4=3", {"top1.encoder.int4"}),
        ("demo-swipe", "MIN_TOP1=10", {"checkpoint"}),
    ],
)
def test_a_bound_reaches_exactly_its_checks(project: Path, config: str, flag: str, checks: set[str]) -> None:
    """Checks that read another check follow it; those that the bound does not concern stay."""
    rebuilt = {Path(path).name.removesuffix(".check.json") for path in would_make(project, config, flag)}
    bounded = {name for name in rebuilt if not follows(name, checks)}
    assert bounded == checks


def follows(name: str, checks: set[str]) -> bool:
    """Return whether a product is made again only because it reads one of the checks."""
    if name in checks:
        return False
    read = {check.partition(".")[2] for check in checks if check.startswith(("wer.", "top1."))}
    accuracy = name.startswith(("wer.", "top1."))
    return (
        name.removesuffix(".onnx") in read
        or name in read
        or ("checkpoint" in checks and (accuracy or name.endswith((".onnx", ".pte", ".ort"))))
        or name in ("SHA256SUMS", "encoder.android.int8.ort")
        or name.endswith((".zip", ".tar.zst"))
    )


def test_fallback_reaches_the_files_that_may_fall_back(project: Path) -> None:
    rebuilt = would_make(project, "demo-tdt", "FALLBACK_TO_FP32=1")
    assert {path for path in rebuilt if path.startswith("pte/")} == {"pte/encoder.int8.pte", "pte/encoder.ultra.pte"}
    assert {"checks/encoder.int8.pte.check.json", "checks/encoder.ultra.pte.check.json"} <= rebuilt
    assert not [path for path in rebuilt if path.startswith("onnx/")]


def test_the_search_that_ships_is_the_one_that_is_measured(project: Path) -> None:
    """LENGTH_POWER goes into runtime_meta.json, so every figure of accuracy is measured again with it."""
    rebuilt = would_make(project, "demo-swipe", "LENGTH_POWER=0.7")
    accuracies = {
        str(path.relative_to(project / "out/demo-swipe"))
        for path in (project / "out/demo-swipe/checks").iterdir()
        if path.name.startswith(("top1.", "checkpoint."))
    }
    assert accuracies and accuracies <= rebuilt and "meta/runtime_meta.json" in rebuilt
    planned = run_make(project, "demo-swipe", "--dry-run", "evaluate", "LENGTH_POWER=0.7").stdout
    assert "--length-power 0.7" in planned


@pytest.mark.parametrize(
    ("config", "module", "rebuilds"),
    [
        ("demo-tdt", "swipe/features", False),
        ("demo-swipe", "swipe/features", True),
        ("demo-swipe", "speech/manifest", False),
        ("demo-tdt", "speech/manifest", True),
    ],
)
def test_a_model_of_one_task_does_not_depend_on_the_other(
    project: Path, config: str, module: str, rebuilds: bool
) -> None:
    path = project / f"py/transducer/{module}.py"
    before = path.stat()
    path.touch()
    try:
        assert bool(would_make(project, config)) == rebuilds
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("graph", ["onnx/encoder.onnx", "onnx/encoder.fp16.onnx"])
def test_a_lost_sidecar_is_written_again(project: Path, graph: str) -> None:
    record, data = (project / f"out/demo-tdt/{graph}{suffix}" for suffix in (".sidecar", ".data"))
    data.write_bytes(b"weights")
    record.write_text(f"{data.name}\n")
    assert would_make(project, "demo-tdt") == set()
    data.unlink()
    rebuilt = would_make(project, "demo-tdt")
    record.unlink()
    assert graph in rebuilt and "onnx/joint.onnx" not in rebuilt


def test_a_flag_stamp_without_values_is_an_error(project: Path) -> None:
    done = run_make(project, "demo-tdt", "out/demo-tdt/.flags/misspelt")
    assert done.returncode == 2 and "flags.misspelt is missing for the stamp" in done.stderr


def test_names_of_graphs_begin_with_their_role(project: Path) -> None:
    done = run_make(project, "demo-tdt", "evaluate", "ENCODER=my.onnx")
    assert done.returncode == 2 and "ENCODER is 'my.onnx'" in done.stderr and "begin with encoder" in done.stderr
