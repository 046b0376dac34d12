"""How synthetic swipes are compared with people's: the statistics, the distances, the picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT, run_worker
from transducer.swipe.keyboard import read_layout
from transducer.swipe.realism import aligned, compared, statistics
from transducer.swipe.synthesis import User
from transducer.swipe.traces import Trace, trace_line

QWERTY = ROOT / "configs/layouts/qwerty.json"
LAYOUT, _ = read_layout(QWERTY)
WORDS = ("people", "the", "swipe", "hello", "keyboards", "was", "letter", "to")


def straight(word: str, milliseconds: float, shift: float = 0.0) -> Trace:
    """Return a swipe that passes every key at an even time, each `shift` key widths too far down."""
    keys = LAYOUT.centres_of(word) + np.array([0.0, shift])
    at = np.linspace(0, len(keys) - 1, 40 * len(keys))
    path = np.column_stack([np.interp(at, np.arange(len(keys)), keys[:, axis]) for axis in (0, 1)])
    return Trace(word, np.column_stack([path / LAYOUT.size, at * milliseconds]))


def synthetic(seed: int) -> list[Trace]:
    traces = []
    for number in range(320):
        rng = np.random.default_rng([seed, number])
        traces.append(Trace(WORDS[number % 8], User.draw(rng).swipe(WORDS[number % 8], LAYOUT, rng)))
    return traces


def test_statistics_are_those_of_a_swipe_made_by_hand() -> None:
    measured = statistics([straight("swipe", 200.0), straight("was", 200.0, shift=0.3)], LAYOUT)
    assert measured["seconds a letter, short words"] == pytest.approx([0.2], abs=1e-6)
    assert measured["seconds a letter, middling words"] == pytest.approx([0.2], abs=1e-6)
    assert measured["distance of the farthest letter"] == pytest.approx([0.0, 0.3], abs=0.05)
    assert measured["first point downwards"] == pytest.approx([0.0, 0.3], abs=1e-6)
    assert measured["way over straight way"] == pytest.approx([1.0, 1.0], abs=0.02)
    assert measured["share of time standing"].max() == 0.0


def test_keys_are_aligned_in_order_even_where_the_path_comes_back() -> None:
    path = np.array([(0.0, 0), (1, 0), (2, 0), (1, 0), (0, 0)])
    assert aligned(path, np.array([(0.0, 0), (2, 0), (0, 0)])).tolist() == [0, 2, 4]
    assert aligned(path, np.array([(0.0, 0), (1, 0), (2, 0), (0, 0)])).tolist() == [0, 1, 2, 4]


def test_distances_are_near_zero_for_the_same_hands_and_grow_when_one_is_slower() -> None:
    one, other = statistics(synthetic(1), LAYOUT), statistics(synthetic(2), LAYOUT)
    assert max(compared(one[name], other[name])["ks"] for name in one) < 0.3
    slow = statistics([Trace(t.word, t.points * (1, 1, 3)) for t in synthetic(2)], LAYOUT)
    for name in ("seconds from key to key", "median speed", "share of time standing"):
        assert compared(one[name], slow[name])["ks"] > compared(one[name], other[name])["ks"] + 0.2
    entry = compared(one["median speed"], slow["median speed"])
    assert sum(entry["people"]) == pytest.approx(1, abs=1e-3)
    assert entry["wasserstein"] > 0.1


def test_the_workers_write_distances_and_a_picture_and_refuse_other_files(tmp_path: Path, capsys: Any) -> None:
    manifest = tmp_path / "real.jsonl"
    manifest.write_text("".join(trace_line(t.word, t.points) + "\n" for t in synthetic(3)), encoding="utf-8")
    figures, drawing = tmp_path / "realism.json", tmp_path / "realism.svg"
    arguments = ("--real", manifest, "--layout", QWERTY, "--count", 200, "--output", figures)
    assert run_worker("swipe/compare", *arguments) == 0
    content = json.loads(figures.read_text(encoding="utf-8"))
    assert content["swipes"] == 200
    assert content["mean"]["ks"] < 0.2
    assert run_worker("swipe/draw_realism", "--input", figures, "--output", drawing) == 0
    text = drawing.read_text(encoding="utf-8")
    assert all(name in text for name in content["statistics"])
    assert text.count("<polygon") == 2 * len(content["statistics"])
    assert run_worker("swipe/draw_realism", "--input", manifest, "--output", tmp_path / "no.svg") == 2
    assert "not a file of swipe/compare" in capsys.readouterr().err
