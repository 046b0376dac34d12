"""Manifests of swipe traces: one JSON object a line, with a word and its points, gzipped if the name says so.

Example:
    traces = read_traces(Path("models/swipe-test/manifest.jsonl.gz"), labels)
"""

import gzip
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from transducer.core.cli import InputError, log
from transducer.swipe.keyboard import Doubles

MAX_SECONDS = 20.0


class TraceError(Exception):
    """Why a line is not a trace, as the end of a sentence about it."""


@dataclass(frozen=True)
class Trace:
    """A word and the points of its swipe, float64 [N, 3]: x and y in [0, 1] of the letter area, milliseconds.

    novel: whether the trace is marked as one of a word that training never had.
    rivals: words that a decoder takes it for, and what it adds to their log probability beyond the word's.
    """

    word: str
    points: Doubles
    novel: bool = False
    rivals: Mapping[str, float] = field(default_factory=dict)


def read_traces(path: Path, labels: str | None = None) -> list[Trace]:
    """Return a manifest's good traces; the others are counted by what is wrong with them, and logged.

    `labels` are the letters that words may have; where none are given, any.

    Raises: InputError if the manifest cannot be read or has no good trace.
    """
    traces, problems = [], defaultdict(list)
    for number, line in enumerate(read_lines(path), 1):
        try:
            traces.append(parse_trace(line, labels))
        except TraceError as problem:
            problems[str(problem)].append(number)
    report(path, problems)
    if not traces:
        raise InputError(f"{path}: has no usable trace; give a JSONL manifest of words and points.")
    return traces


def read_lines(path: Path) -> Iterator[str]:
    """Yield a text file's lines, unpacked if its name ends in .gz."""
    try:
        with open_text(path) as stream:
            yield from stream
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path}: not a readable manifest ({error}); give a JSONL file, gzipped or not.") from None


def open_text(path: Path, mode: str = "r") -> IO[str]:
    """Open a text file for reading or writing, gzipped if its name ends in .gz, without a time stamp inside."""
    if path.suffix != ".gz":
        return path.open(mode, encoding="utf-8")
    return io.TextIOWrapper(gzip.GzipFile(path, f"{mode}b", mtime=0), encoding="utf-8")


def report(path: Path, problems: dict[str, list[int]]) -> None:
    """Tell of lines left out: one sentence for each kind of problem, with the count and the first lines."""
    for problem, lines in problems.items():
        some = ", ".join(str(number) for number in lines[:5]) + (", ..." if len(lines) > 5 else "")
        log.warning("%s: left out %d line%s (%s): %s.", path, len(lines), "s" * (len(lines) > 1), some, problem)


def parse_trace(line: str, labels: str | None) -> Trace:
    """Return a manifest line's trace. Raises: TraceError."""
    try:
        entry: Any = json.loads(line)
        word = entry["word"]
        reports = entry["points"]
        points = np.array([(point["x"], point["y"], point["t"]) for point in reports], dtype=np.float64)
    except (ValueError, KeyError, TypeError):
        raise TraceError("not a JSON object with a word and points of x, y and t") from None
    if not isinstance(word, str) or not word:
        raise TraceError("the word is empty")
    if labels is not None and not set(word) <= set(labels):
        raise TraceError("the word has characters outside the vocabulary")
    return Trace(word, checked(points), bool(entry.get("novel")), _rivals(entry, word, labels))


def _rivals(entry: Mapping[str, Any], word: str, labels: str | None) -> dict[str, float]:
    """Return the rivals of a manifest line, those in the vocabulary. Raises: TraceError."""
    try:
        rivals = {str(rival): float(advantage) for rival, advantage in entry.get("rivals", {}).items()}
    except (AttributeError, ValueError, TypeError):
        raise TraceError("its rivals are not words with numbers") from None
    if not all(map(math.isfinite, rivals.values())) or word in rivals or "" in rivals:
        raise TraceError("its rivals are the word itself, empty, or have numbers that are not finite")
    return {rival: advantage for rival, advantage in rivals.items() if labels is None or set(rival) <= set(labels)}


def checked(points: Doubles) -> Doubles:
    """Return points [N, 3] that make a trace. Raises: TraceError."""
    if points.size == 0:
        raise TraceError("it has no points")
    if not np.isfinite(points).all():
        raise TraceError("a coordinate or time is not a finite number")
    if points[:, :2].min() < 0 or points[:, :2].max() > 1:
        raise TraceError("a point lies outside the letter area, whose x and y go from 0 to 1")
    if (np.diff(points[:, 2]) < 0).any():
        raise TraceError("time runs backwards")
    if points[-1, 2] - points[0, 2] > MAX_SECONDS * 1000:
        raise TraceError(f"the trace lasts longer than {MAX_SECONDS:.0f} s (t is in milliseconds)")
    return points


def trace_line(word: str, points: Doubles, **more: Any) -> str:
    """Return the manifest line of a trace, coordinates rounded to 1/10,000 of the letter area and time to 1 ms."""
    begin = points[0, 2]
    listed = [{"x": round(x, 4), "y": round(y, 4), "t": math.floor(t - begin + 0.5)} for x, y, t in points.tolist()]
    return json.dumps({"word": word, "points": listed, **more}, separators=(",", ":"))
