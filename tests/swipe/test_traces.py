"""Manifests of traces: bad lines, synthesis, layouts, and the checked-in sets."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT, run_worker
from transducer.core.cli import InputError
from transducer.swipe.keyboard import Layout, read_layout
from transducer.swipe.traces import Trace, parse_trace, read_traces
from transducer.swipe.vocabulary import read_vocabulary
from transducer.swipe.words import is_held_out, ranked_words

LABELS = f"{string.ascii_lowercase}'"
QWERTY = ROOT / "configs/layouts/qwerty.json"
ENGLISH = ROOT / "configs/vocabularies/english.txt"
POINTS = [{"x": 0.1, "y": 0.2, "t": 0}, {"x": 0.3, "y": 0.2, "t": 50}]
GOOD = {"word": "ab", "points": POINTS}

BAD = {
    "not a JSON object": "{",
    "points of x, y and t": json.dumps({"word": "ab"}),
    "it has no points": json.dumps({"word": "ab", "points": []}),
    "not a finite number": json.dumps({"word": "ab", "points": [{"x": float("nan"), "y": 0.2, "t": 0}]}),
    "outside the letter area": json.dumps({"word": "ab", "points": [*POINTS, {"x": 1.2, "y": 0.2, "t": 60}]}),
    "time runs backwards": json.dumps({"word": "ab", "points": [*POINTS, {"x": 0.2, "y": 0.2, "t": 40}]}),
    "longer than 20 s": json.dumps({"word": "ab", "points": [*POINTS, {"x": 0.2, "y": 0.2, "t": 40_000_000}]}),
    "characters outside the vocabulary": json.dumps({"word": "naïve", "points": POINTS}),
    "the word is empty": json.dumps({"word": "", "points": POINTS}),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_line_is_counted_told_of_and_left_out(problem: str, tmp_path: Path, log_messages: list[str]) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join([json.dumps(GOOD), BAD[problem], json.dumps(GOOD), BAD[problem]]), encoding="utf-8")
    traces = read_traces(manifest, LABELS)
    assert [trace.word for trace in traces] == ["ab", "ab"]
    (message,) = log_messages
    assert message.startswith(f"{manifest}: left out 2 lines (2, 4): ")
    assert problem in message


def test_a_manifest_without_a_good_line_is_an_error(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(BAD["it has no points"], encoding="utf-8")
    with pytest.raises(InputError, match="no usable trace"):
        read_traces(manifest, LABELS)
    with pytest.raises(InputError, match="not a readable manifest"):
        read_traces(tmp_path / "none.jsonl.gz", LABELS)


def test_a_vocabulary_lists_its_blank_or_is_warned_of(tmp_path: Path, log_messages: list[str]) -> None:
    assert read_vocabulary(ENGLISH) == LABELS
    assert not log_messages
    path = tmp_path / "v.txt"
    path.write_text("a\nb\n", encoding="utf-8")
    assert read_vocabulary(path) == "ab"
    assert log_messages == [f"{path}: lists no <blank>; the blank is label 2, after all others."]
    log_messages.clear()
    path.write_text("<blank>\na\nb\n<unk>\n", encoding="utf-8")
    assert read_vocabulary(path) == "ab"
    assert len(log_messages) == 2
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="has no characters"):
        read_vocabulary(path)


def synthesize(split: str, output: Path, count: int = 600) -> list[dict[str, Any]]:
    arguments = ("--split", split, "--count", count, "--layout", QWERTY, "--output", output)
    assert run_worker("swipe/synthesize", *arguments) == 0
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_splits_share_no_trace_and_training_none_of_the_held_out_words(tmp_path: Path) -> None:
    train, test = (synthesize(split, tmp_path / f"{split}.jsonl") for split in ("train", "test"))
    ranks = {word: rank for rank, (word, _) in enumerate(ranked_words())}
    assert not any(is_held_out(entry["word"], ranks[entry["word"]]) for entry in train)
    assert sum(bool(entry.get("novel")) for entry in test) == 150
    for entry in test:
        assert bool(entry.get("novel")) == is_held_out(entry["word"], ranks[entry["word"]])
    assert not {json.dumps(entry["points"]) for entry in train} & {json.dumps(entry["points"]) for entry in test}
    lasting = [entry["points"][-1]["t"] for entry in test]
    assert 400 < np.mean(lasting) < 1600
    assert (tmp_path / "test.jsonl").read_bytes() == _again(tmp_path)
    for entry in test:
        parse_trace(json.dumps(entry), LABELS)


def _again(folder: Path) -> bytes:
    synthesize("test", folder / "again.jsonl")
    return (folder / "again.jsonl").read_bytes()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_checked_in_sets_are_large_enough_and_small_enough(split: str, log_messages: list[str]) -> None:
    path = ROOT / f"models/swipe-{split}/manifest.jsonl.gz"
    traces = read_traces(path, LABELS)
    assert not log_messages
    assert len(traces) >= 2000
    assert sum(trace.novel for trace in traces) >= 500
    assert path.stat().st_size < 2_500_000


@pytest.mark.parametrize("name", ["qwertz", "azerty", "dvorak", "colemak"])
def test_every_layout_has_all_letters_and_its_swipes_go_from_its_keys_to_its_keys(name: str, tmp_path: Path) -> None:
    path = ROOT / f"configs/layouts/{name}.json"
    layout, _ = read_layout(path)
    assert sorted(layout.keys) == list(string.ascii_lowercase)
    output = tmp_path / "m.jsonl"
    arguments = ("--split", "test", "--count", 200, "--layout", path, "--output", output)
    assert run_worker("swipe/synthesize", *arguments) == 0
    qwerty, _ = read_layout(QWERTY)
    own, other = ([away(trace, keys) for trace in read_traces(output, LABELS)] for keys in (layout, qwerty))
    assert np.median(own) < 0.5
    moved = [far > near for near, far in zip(own, other, strict=True) if near != far]
    assert np.mean(moved) > 0.75


def away(trace: Trace, layout: Layout) -> float:
    """Return how many key widths the first and last points lie beside their keys, on average."""
    ends = trace.points[[0, -1], :2] * layout.size - layout.centres_of(trace.word)[[0, -1]]
    return float(np.linalg.norm(ends, axis=1).mean())


def test_a_layout_without_a_letter_that_words_need_is_one_sentence(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "layout.json"
    path.write_text(QWERTY.read_text(encoding="utf-8").replace("zxcvbnm", "zxcvbn"), encoding="utf-8")
    arguments = ("--split", "test", "--count", 20, "--layout", path, "--output", tmp_path / "m.jsonl")
    assert run_worker("swipe/synthesize", *arguments) == 2
    assert "has no key 'm', which the words need; add the key." in capsys.readouterr().err
    assert not (tmp_path / "m.jsonl").exists()


def test_a_shuffled_layout_has_the_same_keys_elsewhere(tmp_path: Path) -> None:
    layouts = []
    for seed in (1, 2, 1):
        output = tmp_path / "random.json"
        assert run_worker("swipe/shuffle_layout", "--layout", QWERTY, "--seed", seed, "--output", output) == 0
        layouts.append(read_layout(output)[0])
    assert layouts[0].keys == layouts[2].keys != layouts[1].keys
    assert sorted(layouts[0].keys) == sorted(layouts[1].keys) == list(string.ascii_lowercase)
    assert layouts[0].centres.tolist() == read_layout(QWERTY)[0].centres.tolist()


def test_the_slowest_people_swipe_within_the_limit_too() -> None:
    """Traces that lasted more than 20 s at first; the readers of the training data had left them out."""
    from swipe.synthesize import draw_words
    from swipe.synthesize import synthesize as lines_of

    layout, _ = read_layout(QWERTY)
    jobs = draw_words("train", 24_000, 2.0, 1, layout)
    for line in lines_of(jobs, layout, [1, 0], [6455, 22763, 22951]):
        parse_trace(line, LABELS)
