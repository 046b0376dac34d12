"""The bench: NeMo's own export, the common int8 recipe, and the measurement of encoders beside each other."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import ByKind, make, run_worker
from transducer.core.onnx_files import interface, load_graph
from transducer.quantize.audit import operators


@pytest.fixture(scope="module")
def encoders(built: ByKind, nemo_file: ByKind, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bench")
    found = {"nemo": folder / "nemo.onnx", "common-int8": folder / "common.onnx"}
    assert (
        run_worker("bench/export_nemo", "--checkpoint", built("bpe-tdt") / "checkpoint", "--output", found["nemo"]) == 0
    )
    assert run_worker("bench/quantize_common", "--input", found["nemo"], "--output", found["common-int8"]) == 0
    return found | {"fp32": built("bpe-tdt") / "onnx/encoder.onnx"}


def test_what_is_measured_against(encoders: dict[str, Path]) -> None:
    """NeMo's export has NeMo's names; the common recipe makes integer convolutions of its pointwise ones."""
    listed = interface(load_graph(encoders["nemo"]))
    assert [value["name"] for value in listed["outputs"]] == ["outputs", "encoded_lengths"]
    assert "ConvInteger" in operators(load_graph(encoders["common-int8"]))


def test_bench(encoders: dict[str, Path], tmp_path: Path) -> None:
    output, lengths = tmp_path / "bench.json", ("1", "3")
    named = [f"{name}={path}" for name, path in encoders.items()]
    arguments = ["--encoders", *named, "--seconds", *lengths, "--threads", 1, "--rounds", 1, "--output", output]
    assert run_worker("bench/encoders", *arguments) == 0
    report = json.loads(output.read_text())
    for name, row in report["encoders"].items():
        figures = [row[f"latency_{length}s_1t"] for length in lengths] + [row["load_seconds"], row["peak_bytes"]]
        assert all(math.isfinite(figure) and figure > 0 for figure in figures), name
        assert row["bytes"] == encoders[name].stat().st_size
        assert 0 < row["peak_1s"] <= row["peak_3s"] == row["peak_bytes"]
    errors = {name: max(row["relative_rms"].values()) for name, row in report["encoders"].items()}
    assert errors["fp32"] == 0 and errors["nemo"] < 1e-5 and 1e-3 < errors["common-int8"] < 0.5
    table = output.with_suffix(".md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == list(encoders)
    assert len({line.count("|") for line in table}) == 1
    drawing = ElementTree.parse(output.with_suffix(".svg")).getroot()
    words = {text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert words >= {*encoders, "1", "3", "seconds of audio", "peak memory in GB"}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--encoders", "fp32=gone.onnx"], "gone.onnx"),
        (["--encoders", "encoder.onnx"], "encoder.onnx is not an encoder to measure; give NAME=FILE"),
    ],
)
def test_refusals(flags: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_worker("bench/encoders", *flags, "--output", tmp_path / "bench.json") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and sentence in error and "\n" not in error
    assert not (tmp_path / "bench.json").exists()


def test_a_reference_that_is_not_there(
    encoders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--encoders", f"nemo={encoders['nemo']}", "--output", tmp_path / "bench.json"]
    assert run_worker("bench/encoders", *arguments) == 2
    assert "The reference fp32 is none of the encoders nemo" in capsys.readouterr().err


def test_target(tmp_path: Path) -> None:
    """make bench takes every form at every length, NeMo's and the common recipe's too."""
    done = make("-n", "bench", "CONFIG=demo-tdt", f"OUT={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    (command,) = [line for line in done.stdout.replace("\\\n", " ").splitlines() if "py/bench/encoders.py" in line]
    for name in ("nemo", "common-int8", "fp32", "fp16", "int8", "int8-qdq", "int4"):
        assert f" {name}={tmp_path}/out/" in command
    assert "--seconds 2 10 30 120 --threads 1 2" in " ".join(command.split())
    done = make("-n", "bench", "CONFIG=demo-tdt", "BENCH_FORMS=fp32 int8", f"OUT={tmp_path}/out")
    assert "nemo.onnx" not in done.stdout and f" int8={tmp_path}/out/onnx/encoder.int8.onnx" in done.stdout
