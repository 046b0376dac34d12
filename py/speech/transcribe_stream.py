"""Transcribe audio as a stream, from files or a pipe, and print what is heard with the latency of each partial result.

Example:
    arecord -f S16_LE -r 16000 | .venv/bin/python py/speech/transcribe_stream.py --model out/demo-streaming -
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, log, parser, run
from transducer.speech.audio import Wave, read_audio, read_pipe
from transducer.speech.live import LiveRecognizer, open_live_recognizer
from transducer.speech.recognizer import graph_arguments
from transducer.speech.streams import Partial

PIPE = "-"
# Of a long stream, a line of text shows the end.
SHOWN = 100


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    args.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    args.add_argument(
        "audio", nargs="*", help=f"files that libsndfile reads, or {PIPE} for WAV or raw samples on stdin"
    )
    options = args.parse_args()
    if not options.audio:
        raise InputError('No audio was given; name it as in WAV="a.wav b.flac", or WAV=- for standard input.')
    recognizer = open_live_recognizer(options)
    failed = 0
    for name in options.audio:
        try:
            listen(recognizer, name, options.json, alone=len(options.audio) == 1)
        except InputError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    log.info(", ".join(f"{part} {spent:.2f} s" for part, spent in recognizer.seconds.items()))
    return 2 if failed else 0


def listen(recognizer: LiveRecognizer, name: str, as_json: bool, alone: bool) -> None:
    """Transcribe one file or the pipe, printing whatever adds to its text, and at last the whole of it."""
    for partial in recognizer.listen(pieces(name, recognizer.sample_rate)):
        # With several files each line says whose it is, as grep does.
        told = as_line(name, partial) if as_json else ": ".join([name] * (not alone) + [as_text(partial)])
        print(told, flush=True)


def pieces(name: str, sample_rate: int) -> Iterator[Wave]:
    """Yield a file's samples, or those of the pipe as they arrive, until it closes or the user has enough."""
    if name != PIPE:
        yield read_audio(Path(name), sample_rate)
        return
    with contextlib.suppress(KeyboardInterrupt):
        yield from read_pipe(os.fdopen(sys.stdin.fileno(), "rb", closefd=False), sample_rate)


def as_text(partial: Partial) -> str:
    """Return the final text alone, or the end of a partial one after the audio that it covers and its latency."""
    text = partial.transcript.text
    if partial.final:
        return text
    shown = text if len(text) <= SHOWN else f"\N{HORIZONTAL ELLIPSIS}{text[-SHOWN:]}"
    return f"[{partial.heard:.2f} s, +{partial.latency:.2f} s] {shown}"


def as_line(name: str, partial: Partial) -> str:
    """Return a partial or final transcript as one line of JSON, times in seconds to the millisecond."""
    times = {key: getattr(partial, key) for key in ("begin", "heard", "ready", "lookahead", "compute", "latency")}
    content: dict[str, Any] = {"audio": name, "final": partial.final, "text": partial.transcript.text}
    if partial.final:
        content["words"] = [rounded(asdict(word)) for word in partial.transcript.words]
    return json.dumps(content | rounded(times), ensure_ascii=False)


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}


if __name__ == "__main__":
    sys.exit(run(main))
