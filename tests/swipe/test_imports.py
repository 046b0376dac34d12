"""Imports of recorded swipes: made-up logs in the form of FUTO swipe and How-We-Swipe, good and bad."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, make, run_worker
from transducer.swipe.recordings import HEADER, STUDY_AREA
from transducer.swipe.traces import read_traces

ENGLISH = ROOT / "configs/vocabularies/english.txt"
WIDTH, HEIGHT = 360, 222  # the letters are 180 high
PATH = ((90, 90), (120, 100), (150, 120), (180, 180))


def row(time: int, event: str, x: float, y: float, word: str, flags: str = "0") -> str:
    return f"the_day {time} {WIDTH} {HEIGHT} {event} {x} {y} 1 1 0 {word} {flags}"


def gesture(word: str, begin: int = 100, path: Any = PATH, flags: str = "0") -> list[str]:
    """Return the rows of a whole gesture, 16 ms between them."""
    events = ["touchstart", *["touchmove"] * (len(path) - 2), "touchend"]
    return [
        row(begin + 16 * number, event, x, y, word, flags)
        for number, (event, (x, y)) in enumerate(zip(events, path, strict=True))
    ]


def written(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join([" ".join(HEADER), *rows]) + "\n", encoding="utf-8")
    return path


def imported(output: Path, *inputs: Path, form: str = "how-we-swipe", more: tuple[str, ...] = ()) -> int:
    arguments = ("--format", form, "--input", *inputs, "--vocabulary", ENGLISH, *more, "--output", output)
    return run_worker("swipe/import_traces", *arguments)


def words(output: Path) -> list[str]:
    return [trace.word for trace in read_traces(output)]


def test_a_gesture_lies_in_the_letter_area_of_the_study(tmp_path: Path) -> None:
    assert STUDY_AREA[3] == pytest.approx(0.811, abs=2e-4)
    output = tmp_path / "m.jsonl"
    assert imported(output, written(tmp_path / "anna.log", gesture("The"))) == 0
    (entry,) = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert entry["word"] == "the"
    assert entry["user"] == 0
    assert entry["points"][0] == {"x": 0.25, "y": 0.5, "t": 0}
    assert entry["points"][-1] == {"x": 0.5, "y": 1.0, "t": 48}


LEFT_OUT = {
    "no touchstart": gesture("lost", 500)[1:],
    "logged twice": gesture("the", 100),
    "marked as an error": [*gesture("wrong", 500)[:2], row(532, "touchmove", 150, 120, "wrong", "1"),
                           row(548, "touchend", 180, 180, "wrong")],
    "marked as an error: the last of several flags": gesture("wrong", 500, flags="0 0 1"),
    "interrupted": [*gesture("half", 500)[:3], *gesture("day", 900)],
    "interrupted: the log ends": gesture("half", 500)[:3],
    "interrupted: cancelled, or its word changes": [*gesture("half", 500)[:3], gesture("other", 500)[3]],
    "a tap": gesture("a", 500),
    "a tap: one letter, or fewer than 4 points": gesture("to", 500, PATH[:3]),
    "outside the letter area": gesture("far", 500, (*PATH[:3], (180, 220))),
    "not that of an upright phone": [line.replace(f" {HEIGHT} ", " 90 ") for line in gesture("wide", 500)],
    "outside the vocabulary": gesture("naïve", 500),
}  # fmt: skip


@pytest.mark.parametrize("problem", LEFT_OUT)
def test_what_is_no_whole_right_gesture_is_dropped_and_counted(
    problem: str, tmp_path: Path, log_messages: list[str]
) -> None:
    output = tmp_path / "m.jsonl"
    rows = [*gesture("the"), *LEFT_OUT[problem], *gesture("day", 2000, flags="0 0")]
    assert imported(output, written(tmp_path / "anna.log", rows)) == 0
    assert set(words(output)) == {"the", "day"}
    assert len(words(output)) == 2 + (problem == "interrupted")
    (message,) = [message for message in log_messages if "1 left out" in message]
    assert problem.split(":")[0] in message


def test_a_log_cut_in_the_middle_of_a_row_gives_one_sentence_and_its_whole_gestures(
    tmp_path: Path, log_messages: list[str]
) -> None:
    log = written(tmp_path / "anna.log", [*gesture("the"), *gesture("day", 900)])
    log.write_text(log.read_text(encoding="utf-8")[:-30], encoding="utf-8")
    assert imported(tmp_path / "m.jsonl", log) == 0
    assert words(tmp_path / "m.jsonl") == ["the"]
    (message,) = [message for message in log_messages if message.startswith(str(log))]
    assert message.startswith(f"{log}: left out 1 line (9): a row is cut")


def test_a_log_of_another_study_is_one_sentence_and_leaves_nothing(tmp_path: Path, capsys: Any) -> None:
    other = tmp_path / "other.log"
    other.write_text("time x y\n1 2 3\n", encoding="utf-8")
    for form, name in (("how-we-swipe", "header of How-We-Swipe"), ("futo", "not FUTO's format")):
        assert imported(tmp_path / "m.jsonl", other, form=form) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith(f"error: {other}: line 1")
        assert name in error
        assert "\n" not in error
    assert not (tmp_path / "m.jsonl").exists()


def test_people_are_numbers_that_do_not_tell_the_file_and_splits_share_none(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for person in range(40):
        written(logs / f"person-{person:02}.log", gesture("the", 1000 * person))
    splits = {}
    for split in ("train", "validation", "test", "all"):
        assert imported(tmp_path / split, logs, more=("--split", split)) == 0
        entries = [json.loads(line) for line in (tmp_path / split).read_text(encoding="utf-8").splitlines()]
        splits[split] = [entry["user"] for entry in entries]
    assert sorted(splits["train"] + splits["validation"] + splits["test"]) == splits["all"] == list(range(40))
    assert len(splits["train"]) > len(splits["validation"]) + len(splits["test"])
    (logs / "person-00.log").rename(logs / "zoe.log")
    assert imported(tmp_path / "again", logs, more=("--split", "train")) == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "train").read_bytes()


def test_futo_swipes_are_imported(tmp_path: Path, log_messages: list[str]) -> None:
    """The line format of the public data set: letter area coordinates, epoch milliseconds, two-finger runs apart."""
    places = ((-0.02, 0.5), (0.1, 0.5), (0.2, 0.55), (0.4, 0.6))
    data = [{"x": x, "y": y, "t": 1_700_000_000_100 + 20 * at} for at, (x, y) in enumerate(places)]
    lines = [
        {"word": "Hello", "sentence": "Hello there", "canvas_width": 400, "canvas_height": 200, "data": data},
        {"word": "two", "data": {"L": [data], "R": [data]}},
        {"word": "far", "data": [{**point, "x": 3} for point in data]},
    ]
    source = tmp_path / "train.jsonl"
    source.write_text("\n".join([*map(json.dumps, lines), '{"word": "cut", "da']), encoding="utf-8")
    output = tmp_path / "m.jsonl.gz"
    assert imported(output, source, form="futo") == 0
    (trace,) = read_traces(output)
    assert trace.word == "hello"
    assert trace.points.tolist() == [[0.0, 0.5, 0.0], [0.1, 0.5, 20.0], [0.2, 0.55, 40.0], [0.4, 0.6, 60.0]]
    assert sum("1 left out" in message for message in log_messages) == 3
    assert sum(message.startswith(f"{source}: left out 1 line (4)") for message in log_messages) == 1


def test_an_import_of_nothing_is_an_error_and_leaves_nothing(tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "m.jsonl"
    for source, problem in (
        (written(tmp_path / "x.log", []), "no swipe was found"),
        (tmp_path / "no", "not a readable"),
    ):
        assert imported(output, source) == 2
        assert problem in capsys.readouterr().err
    assert imported(output, tmp_path, form="futo") == 2
    assert "has no file that ends in .jsonl" in capsys.readouterr().err
    assert not output.exists()


def test_make_imports_the_three_splits_and_asks_for_the_logs(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for person in range(40):
        written(logs / f"person-{person:02}.log", gesture("the", 1000 * person))
    arguments = ("import-traces", f"TRACES={tmp_path}/out", f"OUT={tmp_path}/out", "CONFIG=demo-swipe")

    def build(*more: str) -> "subprocess.CompletedProcess[str]":
        return make(*arguments, *more)

    assert build(f"LOGS={logs}").returncode == 0
    names = sorted(path.name for path in (tmp_path / "out/how-we-swipe").iterdir())
    assert names == ["test.jsonl.gz", "train.jsonl.gz", "validation.jsonl.gz"]
    assert "IMPORT" not in build(f"LOGS={logs}").stdout
    assert "Set LOGS to the folder" in build().stderr
    assert "FROM is 'x'" in build("FROM=x", f"LOGS={logs}").stderr
