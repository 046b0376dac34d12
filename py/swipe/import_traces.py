"""Turn recorded swipes of public data sets, FUTO swipe or How-We-Swipe, into a manifest of traces.

Example:
    .venv/bin/python py/swipe/import_traces.py --format futo --input train.jsonl --output out/swipe/futo/train.jsonl.gz

FUTO's files are JSONL, one swipe a line, already relative to the letter area. How-We-Swipe's logs are tables, one
touch event a line, in pixels of a keyboard with more rows than the letters': --letter-area says where these are.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.swipe.traces import Trace, TraceError, checked, open_text, read_lines, report, trace_line
from transducer.swipe.vocabulary import read_vocabulary

# How far a finger may leave the letter area, as a share of it: its path is held to the edge there.
MARGIN = 0.15

# Of a How-We-Swipe log, separated by spaces.
HEADER = "sentence timestamp keyb_width keyb_height event x_pos y_pos x_radius y_radius angle word is_err"
COLUMNS = HEADER.split()

Found = Iterator[tuple[int, Trace | TraceError]]


def main() -> int:
    args = parse_args()
    labels = set(read_vocabulary(args.vocabulary))
    count = 0
    with replacing(args.output) as tmp:
        with open_text(tmp, "w") as stream:
            for path in tqdm(args.input, delay=5, disable=None, unit="file"):
                problems: dict[str, list[int]] = defaultdict(list)
                for number, found in futo(path) if args.format == "futo" else how_we_swipe(path, args.letter_area):
                    try:
                        word, points = tidied(found, labels)
                    except TraceError as problem:
                        problems[str(problem)].append(number)
                    else:
                        stream.write(trace_line(word, points) + "\n")
                        count += 1
                report(path, problems)
        if not count:
            raise InputError(f"{args.input[0]}: no swipe was found; is --format {args.format} right?")
    log.info("%s: %d traces", args.output, count)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--format", choices=("futo", "how-we-swipe"), required=True)
    args.add_argument("--input", type=Path, nargs="+", required=True, help=".jsonl of FUTO, .log of How-We-Swipe")
    args.add_argument("--vocabulary", type=Path, default=Path("configs/vocabularies/english.txt"))
    args.add_argument(
        "--letter-area",
        type=float,
        nargs=4,
        default=[0.0, 0.0, 1.0, 0.75],
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="of How-We-Swipe: edges of the letter rows as shares of the keyboard",
    )
    args.add_argument("--output", type=Path, required=True, help="manifest, .jsonl or .jsonl.gz")
    return args.parse_args()


def tidied(found: Trace | TraceError, labels: set[str]) -> tuple[str, np.ndarray]:
    """Return a trace's word in small letters and its points, held to the letter area. Raises: TraceError."""
    if isinstance(found, TraceError):
        raise found
    word = found.word.lower()
    if not word or not set(word) <= labels:
        raise TraceError("the word is empty or has characters outside the vocabulary")
    place = found.points[:, :2]
    held = np.clip(place, 0.0, 1.0)
    if (np.abs(place - held) > MARGIN).any():
        raise TraceError(f"a point lies more than {MARGIN:.0%} outside the letter area")
    return word, checked(np.column_stack([held, found.points[:, 2]]))


def futo(path: Path) -> Found:
    """Yield the swipes of a FUTO file by line."""
    for number, line in enumerate(read_lines(path), 1):
        try:
            entry = json.loads(line)
            data = entry["data"]
            if isinstance(data, dict):
                yield number, TraceError("the swipe was made with two fingers")
                continue
            points = np.array([(point["x"], point["y"], point["t"]) for point in data], dtype=np.float64)
            yield number, Trace(str(entry["word"]), points.reshape(-1, 3))
        except (ValueError, KeyError, TypeError):
            yield number, TraceError("not a JSON object with a word and data of x, y and t")


def how_we_swipe(path: Path, area: list[float]) -> Found:
    """Yield the swipes of a How-We-Swipe log, each by the line that ends it."""
    left, top, right, bottom = area
    points: list[tuple[float, float, float]] = []
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if fields == COLUMNS:
            continue
        row = dict(zip(COLUMNS, fields, strict=False))
        try:
            if len(fields) != len(COLUMNS):
                raise ValueError(line)
            x, y = float(row["x_pos"]) / float(row["keyb_width"]), float(row["y_pos"]) / float(row["keyb_height"])
            point = (x - left) / (right - left), (y - top) / (bottom - top), float(row["timestamp"])
        except (ValueError, ZeroDivisionError):
            yield number, TraceError("not a row of twelve columns with numbers")
            points = []
            continue
        points = [point] if row["event"] == "touchstart" else [*points, point]
        if row["event"] == "touchend":
            wrong = row["is_err"] not in ("0", "false", "False")
            yield number, TraceError("marked as an error") if wrong else Trace(row["word"], np.array(points))
            points = []


if __name__ == "__main__":
    sys.exit(run(main))
