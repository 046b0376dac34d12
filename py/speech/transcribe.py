"""Transcribe audio files, or streams while they arrive, by a built model's graphs and print the text.

Example:
    .venv/bin/python py/speech/transcribe.py --model out/demo-tdt --json models/validation/audio/00000.ogg
    arecord -f S16_LE -r 16000 | .venv/bin/python py/speech/transcribe.py --model out/demo-streaming --stream -

With --json each line is an object with the times of all words; of a stream also the latency of each partial result.
"""

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import soundfile

from transducer.core.cli import InputError, log, parser, run
from transducer.core.progress import progress
from transducer.speech.audio import CutError, Stretch, Wave, read_audio, require_whole
from transducer.speech.command_line import graph_arguments, open_recognizer
from transducer.speech.hearing import hear_files
from transducer.speech.live import LiveRecognizer
from transducer.speech.partial import Partial
from transducer.speech.pipes import read_pipe
from transducer.speech.recognizer import Recognizer
from transducer.speech.transcript import Transcript

PIPE = "-"
# Characters of a long stream's text that a line shows, from its end.
LINE_CHARACTERS = 100


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    args.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    args.add_argument(
        "audio",
        nargs="*",
        help=f"files that libsndfile reads; with --stream also {PIPE} for standard input",
    )
    args.add_argument(
        "--raw",
        type=int,
        metavar="RATE",
        help="stdin is samples of 16 bit, mono, without a header, at RATE Hz",
    )
    options = args.parse_args()
    # A file's name need not be UTF-8; it is printed as it is, and in JSON its bytes as escapes.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace" if options.json else "surrogateescape")
    if not options.audio:
        also = ", or WAV=- for standard input" if options.stream else ""
        raise InputError(f'No audio was given; name it as in WAV="a.wav b.flac"{also}.')
    recognizer = open_recognizer(options)
    if isinstance(recognizer, LiveRecognizer):
        failures = transcribe_streams(recognizer, options)
    else:
        failures = transcribe_files(recognizer, options)
    log.info(", ".join(f"{part} {spent:.2f} s" for part, spent in recognizer.seconds.items()))
    return 2 if failures else 0


def transcribe_files(recognizer: Recognizer, options: argparse.Namespace) -> int:
    """Print the text of every file and return how many could not be read."""
    paths = list(map(Path, options.audio))
    failures = 0
    with progress(total=round(sum(map(duration, paths))), unit="s", desc="transcribe", file=sys.stderr) as bar:
        for path, result in zip(paths, hear_files(recognizer, map(Stretch, paths), bar.update), strict=True):
            if isinstance(result, InputError):
                failures += 1
                print(f"error: {result}", file=sys.stderr)
                continue
            words = [rounded(asdict(word)) for word in result.words]
            content = {"audio": str(path), "text": result.text, "words": words} | alternatives_of(result)
            content |= events_of(result)
            print_line(str(path), content if options.json else result.text, alone=len(paths) == 1)
            failures += is_reported_cut(path)
    return failures


def is_reported_cut(path: Path) -> bool:
    """Say so, and return True, where a file that was transcribed ends before its container does."""
    try:
        require_whole(path)
    except CutError as error:
        print(f"error: {error}", file=sys.stderr)
        return True
    return False


def transcribe_streams(recognizer: LiveRecognizer, options: argparse.Namespace) -> int:
    """Print whatever adds to the text of every stream and return how many could not be read."""
    failures = 0
    for name in options.audio:
        try:
            problems: list[CutError] = []
            for partial in recognizer.listen(pieces(name, recognizer.sample_rate, options.raw, problems)):
                line = json_of(name, partial) if options.json else text_of(partial)
                print_line(name, line, alone=len(options.audio) == 1)
            for problem in problems:
                raise problem
        except InputError as error:
            failures += 1
            print(f"error: {error}", file=sys.stderr)
    return failures


def duration(path: Path) -> float:
    """Return a file's length in seconds by its header, 0 for what is not audio."""
    try:
        return float(soundfile.info(os.fsencode(path)).duration)
    except soundfile.LibsndfileError:
        return 0.0


def pieces(name: str, sample_rate: int, raw_rate: int | None, problems: list[CutError]) -> Iterator[Wave]:
    """Yield a file's samples, or those of the pipe as they arrive, until it closes or the user interrupts.

    What ends too early is heard to its end; `problems` gets the error.
    """
    try:
        if name != PIPE:
            yield read_audio(Path(name), sample_rate)
            require_whole(Path(name))
            return
        with contextlib.suppress(KeyboardInterrupt):
            yield from read_pipe(os.fdopen(sys.stdin.fileno(), "rb", closefd=False), sample_rate, raw_rate)
    except CutError as error:
        problems.append(error)


def print_line(name: str, line: str | dict[str, Any], alone: bool) -> None:
    """Print JSON, or text after the name of its file where there are several, as grep does."""
    text = json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else ": ".join([name] * (not alone) + [line])
    print(text, flush=True)


def text_of(partial: Partial) -> str:
    """Return the final text alone, or the end of a partial one after the audio that it covers and its latency."""
    text = partial.transcript.text
    if partial.final:
        return text
    end = text if len(text) <= LINE_CHARACTERS else f"\N{HORIZONTAL ELLIPSIS}{text[-LINE_CHARACTERS:]}"
    return f"[{partial.end:.2f} s, +{partial.latency:.2f} s] {end}"


def json_of(name: str, partial: Partial) -> dict[str, Any]:
    """Return a partial or final transcript as JSON, times in seconds to the millisecond."""
    times = {"begin": partial.begin, "heard": partial.end}
    times |= {key: getattr(partial, key) for key in ("ready", "lookahead", "compute", "latency")}
    content: dict[str, Any] = {"audio": name, "final": partial.final, "text": partial.transcript.text}
    if partial.final:
        content["words"] = [rounded(asdict(word)) for word in partial.transcript.words]
        content |= alternatives_of(partial.transcript)
    else:
        content["settled"] = partial.transcript.text[: partial.settled]
    return content | events_of(partial.transcript) | rounded(times)


def events_of(transcript: Transcript) -> dict[str, Any]:
    """Return what ended and when, as an EOU model hears it; nothing of other models."""
    events = [{"event": name, "time": round(time, 3)} for name, time in transcript.events]
    return {"events": events} if events else {}


def alternatives_of(transcript: Transcript) -> dict[str, Any]:
    """Return the texts that a beam search found and their scores in nats, the best first; nothing of a greedy one."""
    alternatives = [{"text": text, "score": round(score, 3)} for text, score in transcript.alternatives]
    return {"alternatives": alternatives} if alternatives else {}


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}


if __name__ == "__main__":
    sys.exit(run(main))
