"""Swipes as public studies publish them: the line formats of FUTO swipe and How-We-Swipe.

Example:
    for number, gesture in how_we_swipe(Path("user.log"), STUDY_AREA):
        ...  # a Trace, or a TraceError that says why this is none
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from transducer.core.cli import InputError
from transducer.swipe.keyboard import Doubles
from transducer.swipe.traces import Trace, TraceError, read_lines

# A number of a line, and what it holds or ends.
Gestures = Iterator[tuple[int, Trace | TraceError]]

# Left, top, right, bottom of the letters, as shares of the keyboard: three rows above a bottom row 0.7 times as high.
STUDY_AREA = (0.0, 0.0, 1.0, 3 / 3.7)

# Of a How-We-Swipe log, separated by spaces. A word that was translated has an error flag for each language.
HEADER_LINE = "sentence timestamp keyb_width keyb_height event x_pos y_pos x_radius y_radius angle word is_err"
HEADER = HEADER_LINE.split()
TIME, WIDTH, HEIGHT, EVENT, X, Y, WORD, FLAGS = 1, 2, 3, 4, 5, 6, 10, 11
EVENTS = ("touchstart", "touchmove", "touchend", "touchcancel")

# Height over width of the keyboards that the study drew on upright phones.
ASPECTS = (0.4, 0.8)

Row = list[str]


def futo(path: Path) -> Gestures:
    """Yield the swipes of a FUTO file, one JSON object a line, by line. Raises: InputError for another format."""
    for number, line in enumerate(read_lines(path), 1):
        try:
            entry: Any = json.loads(line)
            data, word = entry["data"], str(entry["word"])
            if isinstance(data, dict):
                yield number, TraceError("the swipe was made with two fingers")
                continue
            points = np.array([(point["x"], point["y"], point["t"]) for point in data], dtype=np.float64)
            yield number, Trace(word, points.reshape(-1, 3))
        except (ValueError, KeyError, TypeError):
            if number == 1:
                raise InputError(
                    f"{path}: line 1 has no word and data of x, y and t, so this is not FUTO's format; name the right "
                    "format."
                ) from None
            yield number, TraceError("not a JSON object with a word and data of x, y and t")


def how_we_swipe(path: Path, area: tuple[float, float, float, float]) -> Gestures:
    """Yield the gestures of a How-We-Swipe log, each by the line that ends it.

    Times are in milliseconds since the epoch, x and y as shares of `area`.

    Raises: InputError if the first line is not the header of that study.
    """
    gesture: list[Row] = []
    seen: set[tuple[tuple[str, ...], ...]] = set()
    number, cut = 0, None
    for number, line in enumerate(read_lines(path), 1):
        row = line.split()
        if number == 1:
            check_header(path, row)
            continue
        if not is_row(row):
            cut = number
            yield number, TraceError("a row is cut or has other columns, and the gesture around it is incomplete")
            gesture = []
            continue
        if row[EVENT] == "touchstart":
            if gesture:
                yield number, TraceError("the gesture was interrupted: another begins before it ends")
            gesture = [row]
        elif gesture:
            gesture.append(row)
        if row[EVENT] in ("touchend", "touchcancel"):
            yield number, ended(gesture, seen, area) if gesture else TraceError("the gesture has no touchstart")
            gesture = []
    if gesture and cut != number:
        yield number, TraceError("the gesture was interrupted: the log ends before it does")


def check_header(path: Path, fields: Row) -> None:
    """Raises: InputError if these are not the columns of How-We-Swipe."""
    if fields != HEADER:
        raise InputError(
            f"{path}: line 1 is not the header of How-We-Swipe ({' '.join(HEADER[:4])} ...); give logs of that study, "
            "or name the right format."
        )


def is_row(fields: Row) -> bool:
    """Tell whether these are the columns of a touch event, with one error flag or more."""
    try:
        numbers = [float(fields[column]) for column in (TIME, WIDTH, HEIGHT, X, Y)]
    except (IndexError, ValueError):
        return False
    flags = fields[FLAGS:]
    return bool(np.isfinite(numbers).all()) and fields[EVENT] in EVENTS and bool(flags) and set(flags) <= {"0", "1"}


def ended(rows: list[Row], seen: set[tuple[tuple[str, ...], ...]], area: tuple[float, ...]) -> Trace | TraceError:
    """Return the trace of a gesture from its touchstart on, or why it is none; `seen` are those of the same log."""
    events = tuple((row[TIME], row[X], row[Y]) for row in rows)
    if rows[-1][EVENT] == "touchcancel" or len({row[WORD] for row in rows}) > 1:
        return TraceError("the gesture was interrupted: cancelled, or its word changes on the way")
    if any(flag == "1" for row in rows for flag in row[FLAGS:]):
        return TraceError("marked as an error")
    if events in seen:
        return TraceError("logged twice")
    seen.add(events)
    sizes = {(float(row[WIDTH]), float(row[HEIGHT])) for row in rows}
    width, height = next(iter(sizes))
    if len(sizes) > 1 or width <= 0 or not ASPECTS[0] < height / width < ASPECTS[1]:
        return TraceError("the keyboard changes its size, or is not that of an upright phone")
    return Trace(rows[0][WORD], relative(np.array(events, dtype=np.float64), width, height, area))


def relative(events: Doubles, width: float, height: float, area: tuple[float, ...]) -> Doubles:
    """Return points [N, 3] as shares of the letter area and milliseconds, from times and pixels [N, 3]."""
    left, top, right, bottom = area
    x, y = events[:, 1] / width, events[:, 2] / height
    return np.column_stack([(x - left) / (right - left), (y - top) / (bottom - top), events[:, 0]])
