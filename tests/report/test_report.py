"""The report: what it shows is what checks and manifests say, in one page that needs nothing else."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conftest import DEMO, ByKind, few_utterances, make, run_worker
from transducer.report.charts import size_and_accuracy
from transducer.report.costs import costs
from transducer.report.speeds import Speed, speeds
from transducer.report.tables import Accuracy, File, accuracies, files, packages


class Tables(HTMLParser):
    """Collects the cells of a page's tables, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def model(built: ByKind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the demo's graphs, an int8 encoder that was checked on some speech, and a bench."""
    out = built(str(DEMO / "demo-tdt.nemo"))
    checks, encoder = out / "checks", out / "onnx/encoder.onnx"
    checkpoint, int8 = out / "checkpoint", out / "onnx/encoder.int8.onnx"
    some = few_utterances(tmp_path_factory.mktemp("some") / "manifest.jsonl", 12)
    reference, wer = checks / "checkpoint.check.json", checks / "wer.encoder.int8.check.json"
    graphs = ("--graph", "encoder", "--onnx", encoder, "--checkpoint", checkpoint)
    assert run_worker("export/check", *graphs, "--output", checks / "encoder.onnx.check.json") == 0
    assert run_worker("quantize/int8", "--input", encoder, "--output", int8) == 0
    on = ("--manifest", some)
    assert run_worker("speech/evaluate_checkpoint", "--checkpoint", out / "checkpoint", *on, "--output", reference) == 0
    judged = (*on, "--reference", reference, "--max-wer-delta", 20, "--output", wer)
    assert run_worker("speech/evaluate", "--model", out, "--encoder", int8, *judged) == 0
    variant = ("--graph", "encoder", "--variant", "int8", "--onnx", int8, "--base", encoder, "--accuracy", wer)
    shown = ("--manifest", some, "--frontend", out / "onnx/frontend.onnx")
    bound = (*shown, "--max-relative-rms", 0.05, "--output", checks / "encoder.int8.onnx.check.json")
    assert run_worker("quantize/check", *variant, *bound) == 0
    timed = ("--encoders", f"fp32={encoder}", f"int8={int8}", "--seconds", 1, "--threads", 1, "--rounds", 1)
    assert run_worker("bench/encoders", *timed, "--output", out / "bench/bench.json") == 0
    return out


def test_the_page_shows_what_was_measured(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run_worker("report/write", "--model", model, "--output", page) == 0
    text = page.read_text(encoding="utf-8")
    (tables := Tables()).feed(text)
    rows = {(row[0], len(row)): row for row in tables.rows}
    check = json.loads((model / "checks/encoder.int8.onnx.check.json").read_text())
    file = rows["encoder.int8.onnx", 8]
    size, base = ((model / f"onnx/{name}").stat().st_size for name in ("encoder.int8.onnx", "encoder.onnx"))
    assert file[2:5] == [f"{size / 1e6:.2f}", f"{size / base:.2f}", f"{check['facts']['deflated_bytes'] / 1e6:.2f}"]
    assert file[5].startswith(f"{check['figures']['relative_rms']:.2%} rms") and file[6] == "5.00%"
    assert f"{check['facts']['compute']['shares']['int8']:.0%} int8" in file[7]
    assert "The encoder by length" in text and ">peak memory in GB</text>" in text
    accuracy = rows["encoder.int8", 8]
    wer = check["accuracy"]
    low, high = wer["wer_delta"]["interval"]
    assert accuracy[2] == f"{wer['onnx']['wer']['points']:.2f}"
    assert accuracy[4:6] == [f"{wer['wer_delta']['points']:+.2f}", f"{low:+.2f} to {high:+.2f}"]
    bench = json.loads((model / "bench/bench.json").read_text())["encoders"]["int8"]
    assert rows["int8", 2][1] == f"{1000 * bench['latency_1s_1t']:.1f}"
    # Nothing is fetched: no script, no address.
    assert not re.search(r"<script|<link|<img|https?://", text)


def test_a_chart_of_size_and_accuracy_takes_the_colours_of_the_page() -> None:
    lost = [("fp32", 0.0), ("encoder.int8", 0.31), ("encoder.int4", 0.9)]
    measured = [
        Accuracy(name, "WER", 10 + points, None, points, (points - 0.2, points + 0.2), 1.0) for name, points in lost
    ]
    sizes = {"encoder.onnx": 8_000_000, "encoder.int8.onnx": 2_100_000, "encoder.int4.onnx": 1_500_000}
    built = [File(name, "ONNX", size, None, None, "", "", "") for name, size in sizes.items()]
    timed = [Speed("encoder", ["10 s, 1 thread"], {"fp32": [30.0], "int8": [12.0]})]
    svg = size_and_accuracy(measured, built, timed)
    for label in ("fp32, 30 ms", "int8, 12 ms", "int4", "size in MB"):
        assert f">{label}</text>" in svg
    assert "currentColor" in svg and not re.search(r"https?://|#010203", svg)
    assert size_and_accuracy(measured, built, timed) == svg
    assert size_and_accuracy(measured[:1], built, timed) == ""


def test_what_a_file_took_is_on_the_page(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under make, which names the folder."""
    out, page = tmp_path / "out", tmp_path / "page.html"
    shutil.copytree(model, out)
    monkeypatch.setenv("COSTS", str(out / ".costs"))
    encoder = out / "onnx/encoder.onnx"
    assert run_worker("quantize/int8", "--input", encoder, "--output", out / "onnx/encoder.int8.onnx") == 0
    [cost] = costs(out)
    assert cost.file == "onnx/encoder.int8.onnx" and cost.seconds > 0.05 and cost.peak_bytes > 50e6
    assert run_worker("report/write", "--model", out, "--output", page) == 0
    (tables := Tables()).feed(page.read_text(encoding="utf-8"))
    assert [row[:2] for row in tables.rows if row[0] == cost.file] == [[cost.file, f"{cost.seconds:.1f}"]]
    (out / "onnx/encoder.int8.onnx").unlink()
    assert cost not in costs(out), "what is gone took nothing"


def test_what_was_not_made_is_not_shown(built: ByKind, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "report.html"
    shutil.copytree(built("bpe-tdt") / "meta", out / "meta")
    assert not (accuracies(out) or speeds(out) or packages(out / "package"))
    (out / "bench").mkdir()
    older = {"encoders": {"fp32": {"latency_2s_1t": 0.1, "peak_bytes": 1e8}}}
    (out / "bench/bench.json").write_text(json.dumps(older))
    assert run_worker("report/write", "--model", out, "--output", page) == 0
    assert "by length" not in page.read_text()
    assert "Packages" not in page.read_text() and files(out) == []


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_worker("report/write", "--model", tmp_path, "--output", tmp_path / "report.html") == 2
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("error: ") and "model_meta.json" in sentence and "\n" not in sentence
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("config", ["demo-tdt", "demo-swipe", "demo-streaming"])
def test_everything_is_every_family(config: str, tmp_path: Path) -> None:
    done = make("-n", "everything", f"CONFIG={config}", f"OUT={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    workers = set(re.findall(r"py/(\w+/\w+)\.py", done.stdout))
    families = {
        "export/export_graph",
        "export/check",
        "quantize/check",
        "ort/optimize",
        "pte/lower_ultra",
        "pte/check",
        "package/bundle",
    }
    speech = {"package/for_onnx_asr", "speech/evaluate"} if config != "demo-swipe" else {"swipe/evaluate"}
    assert families | speech | {"package/archive", "trt/build", "report/write"} <= workers
