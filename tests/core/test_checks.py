"""Check files: they name the bytes that were checked, and a figure beyond its bound never becomes one that passed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from transducer.core.cases import Case
from transducer.core.checks import FORMAT, Check, passed_check
from transducer.core.cli import CheckError, InputError
from transducer.core.digests import Digests

CASES = (
    Case({"B": 1, "T": 9}, {"encoder_output": [1, 8, 2]}, 1e-6, 1e-7, 2e-7),
    Case({"B": 3, "T": 160}, {"encoder_output": [3, 8, 20]}, 3e-4, 2e-4, 1e-4),
)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.pte"
    path.write_bytes(b"weights")
    return path


def written(graph: Path) -> Path:
    """Write the check of a graph that passes, and return its path."""
    path = graph.parent / f"checks/{graph.name}.check.json"
    check = Check.of(graph, "PyTorch", cases=CASES, bounds={"max_abs": 1e-3, "relative_rms": None}, facts={"nodes": 7})
    check.judged(str(graph)).write(path)
    return path


def test_a_check_is_read_as_it_was_written(graph: Path) -> None:
    path = written(graph)
    check = passed_check(graph, path.parent)
    assert check == Check.read(path) and check.passed and check.cases == CASES and check.facts == {"nodes": 7}
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == FORMAT
    # A bound is under the name of its figure; one that was not given is left out.
    assert content["bounds"] == {"max_abs": 1e-3} and content["figures"]["max_abs"] == 3e-4


@pytest.mark.parametrize("number", [None, 1, FORMAT + 1])
def test_another_format_is_refused(number: int | None, graph: Path) -> None:
    path = written(graph)
    content = json.loads(path.read_text(encoding="utf-8")) | {"format": number}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=rf"check.json is a check file of format {number} where {FORMAT} is read"):
        passed_check(graph, path.parent)


@pytest.mark.parametrize("content", ["", "[]", f'{{"format": {FORMAT}}}', f'{{"format": {FORMAT}, "cases": [1]}}'])
def test_what_is_not_a_check_is_refused(content: str, graph: Path) -> None:
    path = written(graph)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"check.json .* remove it and run `make \S+`\.$"):
        passed_check(graph, path.parent)


def test_other_bytes_are_refused(graph: Path) -> None:
    checks = written(graph).parent
    graph.write_bytes(b"Weights")
    with pytest.raises(InputError, match=r"is of another encoder.pte than there is now"):
        passed_check(graph, checks)


def test_a_check_that_failed_or_is_missing_is_refused(graph: Path) -> None:
    path = written(graph)
    replace(Check.read(path), passed=False).write(path)
    with pytest.raises(InputError, match="has not passed its check"):
        passed_check(graph, path.parent)
    path.unlink()
    with pytest.raises(InputError, match="is not checked"):
        passed_check(graph, path.parent)


@pytest.mark.parametrize(
    ("name", "bound", "sentence"),
    [
        ("max_abs", 1e-4, r"joint differs from PyTorch by 0\.0003 \(max_abs\) at .*'T': 160.*; the bound is 0\.0001\."),
        ("relative_rms", 5e-5, r"by 0\.01% \(relative_rms\) at .*'T': 160.*; the bound is 0\.01%\."),
        ("quantized_share", 0.75, r"by 50% \(quantized_share\); the bound is 75%\."),
        ("wer_delta", 0.5, r"by nan \(wer_delta\); the bound is 0\.5\."),
    ],
)
def test_the_error_names_figure_and_bound(name: str, bound: float, sentence: str, graph: Path) -> None:
    figures = {"quantized_share": 0.5, "wer_delta": float("nan")}
    check = Check.of(graph, "PyTorch", cases=CASES, figures=figures, bounds={name: bound})
    with pytest.raises(CheckError, match=sentence):
        check.judged("joint")


def test_a_figure_may_be_its_bound(graph: Path) -> None:
    bounds = {"max_abs": 3e-4, "quantized_share": 0.5}
    check = Check.of(graph, "PyTorch", cases=CASES, figures={"quantized_share": 0.5}, bounds=bounds)
    assert not check.passed and check.judged("joint").passed


def test_a_file_is_read_once_until_it_changes(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def content_of(path: Path) -> str:
        reads.append(path.name)
        return path.read_text(encoding="utf-8")

    monkeypatch.setattr("transducer.core.digests.sha256_of", content_of)
    digests, copy = Digests(), graph.with_name("copy.pte")
    copy.write_bytes(graph.read_bytes())
    first = digests.of(graph)
    digests.copied(graph, copy)
    assert digests.of(graph) == digests.of(copy) == first == "weights" and reads == ["encoder.pte"]
    graph.write_bytes(b"other")
    assert digests.of(graph) == "other" and reads == ["encoder.pte"] * 2
