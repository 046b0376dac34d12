"""Turn recorded swipes of public data sets, FUTO swipe or How-We-Swipe, into a manifest of traces.

Example:
    .venv/bin/python py/swipe/import_traces.py --format how-we-swipe --input logs --split train \
        --output out/swipe/how-we-swipe/train.jsonl.gz

FUTO's files are JSONL, one swipe a line, relative to the letter area and split already. How-We-Swipe has one log for
each person, a table with one touch event a line, in pixels of a keyboard with one row more than the letters'.
"""

import argparse
import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.core.progress import progress
from transducer.swipe.recordings import STUDY_AREA, Gestures, futo, how_we_swipe
from transducer.swipe.traces import Trace, TraceError, checked, open_text, report, trace_line
from transducer.swipe.vocabulary import read_vocabulary

# How far a finger may leave the letter area, as a share of it: its path is held to the edge there.
MARGIN = 0.15

# Fewer points are a tap, whatever word was meant.
MIN_POINTS = 4

# Percent of the people whose number falls below: train 76, validation 12, test 12.
SPLITS = {"train": (0, 76), "validation": (76, 88), "test": (88, 100), "all": (0, 100)}

ENDINGS = {"futo": (".jsonl", ".jsonl.gz"), "how-we-swipe": (".log", ".log.gz")}


def main() -> int:
    args = parse_args()
    labels = set(read_vocabulary(args.vocabulary))
    files = list(logs(args.input, ENDINGS[args.format]))
    dropped: Counter[str] = Counter()
    count = 0
    with replacing(args.output) as tmp:
        with open_text(tmp, "w") as stream:
            for path, user in progress(people(files, args), unit="file"):
                gestures = futo(path) if args.format == "futo" else how_we_swipe(path, tuple(args.letter_area))
                for line in lines(path, gestures, labels, dropped, {} if user is None else {"user": user}):
                    stream.write(line + "\n")
                    count += 1
        if not count:
            raise InputError(
                f"{args.input[0]}: no swipe was found for --split {args.split}; give more logs, or another --format."
            )
    for problem, number in dropped.most_common():
        log.info("%s: %d left out: %s", args.output, number, problem)
    log.info("%s: %d traces", args.output, count)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--format", choices=ENDINGS, required=True)
    args.add_argument("--input", type=Path, nargs="+", required=True, help="files, or folders of them; gzipped or not")
    args.add_argument("--vocabulary", type=Path, default=Path("configs/vocabularies/english.txt"))
    args.add_argument("--split", choices=SPLITS, default="all", help="of How-We-Swipe: whose swipes to take")
    args.add_argument(
        "--letter-area",
        type=float,
        nargs=4,
        default=STUDY_AREA,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="of How-We-Swipe: edges of the letter rows as shares of the keyboard (default: the study's, 0 0 1 0.811)",
    )
    args.add_argument("--output", type=Path, required=True, help="manifest, .jsonl or .jsonl.gz")
    options = args.parse_args()
    left, top, right, bottom = options.letter_area
    if not (left < right and top < bottom):
        raise InputError(f"--letter-area {left} {top} {right} {bottom} is empty; give left, top, right, bottom.")
    if options.format == "futo" and options.split != "all":
        raise InputError(
            "--split is for How-We-Swipe; FUTO's files do not say who swiped: give those of one split only."
        )
    return options


def logs(paths: list[Path], endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the given files and those of the given folders. Raises: InputError if a folder has none."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.name.endswith(endings)]
        if not inside:
            raise InputError(f"{path}: has no file that ends in {' or '.join(endings)}; give the folder of the logs.")
        yield from inside


def people(files: list[Path], args: argparse.Namespace) -> list[tuple[Path, int | None]]:
    """Return the files of the split, each with the number of its person, which does not tell its name.

    A person's number is the place of the file's hash among all hashes, and the hash says to which split the person
    belongs: so neither a file's name nor the order of files counts, and nobody changes the split when logs are added.
    """
    if args.format == "futo":
        return [(path, None) for path in files]
    hashes = {path: digest(path) for path in files}
    ranks = {value: rank for rank, value in enumerate(sorted(set(hashes.values())))}
    begin, end = SPLITS[args.split]
    owners = {value: path for path, value in sorted(hashes.items(), reverse=True)}  # a log given twice counts once
    return [(owners[value], rank) for value, rank in ranks.items() if begin <= int(value, 16) % 100 < end]


def digest(path: Path) -> str:
    """Return the SHA-256 of a log's text, packed or not. Raises: InputError if there is none to read."""
    try:
        with open_text(path) as stream:
            return hashlib.sha256(stream.read().encode()).hexdigest()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable log ({error}); fetch it again.") from None


def lines(
    path: Path, gestures: Gestures, labels: set[str], dropped: Counter[str], marks: dict[str, int]
) -> Iterator[str]:
    """Yield the manifest lines of a file's good swipes; count the others, and report rows that cannot be read."""
    broken: dict[str, list[int]] = defaultdict(list)
    for number, gesture in gestures:
        try:
            word, points = tidied(gesture, labels)
        except TraceError as problem:
            dropped[str(problem)] += 1
            if "cut" in str(problem) or "JSON" in str(problem):
                broken[str(problem)].append(number)
        else:
            yield trace_line(word, points, **marks)
    report(path, broken)


def tidied(gesture: Trace | TraceError, labels: set[str]) -> tuple[str, np.ndarray]:
    """Return a trace's word in small letters and its points, held to the letter area. Raises: TraceError."""
    if isinstance(gesture, TraceError):
        raise gesture
    word = gesture.word.lower()
    if not word or not set(word) <= labels:
        raise TraceError("the word is empty or has characters outside the vocabulary")
    if len(word) == 1 or 0 < len(gesture.points) < MIN_POINTS:
        raise TraceError(f"a tap: one letter, or fewer than {MIN_POINTS} points")
    place = gesture.points[:, :2]
    inside = np.clip(place, 0.0, 1.0)
    if (np.abs(place - inside) > MARGIN).any():
        raise TraceError(f"a point lies more than {MARGIN:.0%} outside the letter area")
    return word, checked(np.column_stack([inside, gesture.points[:, 2]]))


if __name__ == "__main__":
    sys.exit(run(main))
