"""Every command that Make would run is one that its worker understands: the seam that neither side's tests see."""

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import make

WORKER = re.compile(r"\bpy/(\w+)/(\w+)\.py (.*)")
GOALS = ("everything", "bench", "evaluate")
SPEECH = ("audit", "token-lm", "TEXT=README.md", "package-ort-genai", "package-onnx-asr", "package-sherpa-onnx")


class ParsedError(Exception):
    """Raised in place of the work that comes after the arguments."""


def commands(*arguments: object) -> list[tuple[str, str, list[str]]]:
    """Return family, worker and arguments of each command of a dry run."""
    done = make("-n", *arguments)
    assert done.returncode == 0, done.stderr
    found = []
    for line in done.stdout.replace("\\\n", " ").splitlines():
        if match := WORKER.search(line):
            words = shlex.split(match[3])
            end = next((place for place, word in enumerate(words) if word in ("&&", "||", "|", ">", ";")), len(words))
            found.append((match[1], match[2], words[:end]))
    return found


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        (("CONFIG=demo-tdt", *GOALS, *SPEECH), 100),
        (("CONFIG=demo-streaming", "STREAM=1", *GOALS, *SPEECH), 100),
        (("CONFIG=demo-swipe", *GOALS, "swipe-traces", "layout-traces", "LAYOUTS=dvorak"), 80),
        (("CONFIG=demo-tdt", "STREAM=1", "BUFFER=10 2 2", "CTC=1", "SHARDS=2", "evaluate", "audit"), 8),
        (
            ("CONFIG=demo-tdt", "BEAM=4", "SCRIPTS=Latin", "HOTWORDS=README.md", "evaluate", "transcribe", "WAV=a.wav"),
            8,
        ),
    ],
)
def test_workers_take_what_make_gives_them(
    settings: tuple[str, ...], least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *arguments: Any) -> None:
        parse(self, *arguments)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    found = commands(f"OUT={tmp_path}/out", *settings)
    assert len(found) >= least
    for family, name, words in found:
        monkeypatch.setattr(sys, "argv", [f"py/{family}/{name}.py", *words])
        with pytest.raises(ParsedError):
            importlib.import_module(f"{family}.{name}").main()
