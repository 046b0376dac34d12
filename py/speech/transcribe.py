"""Transcribe audio files by a built model's ONNX graphs and print the text, or JSON with the times of all words.

Example:
    .venv/bin/python py/speech/transcribe.py --model out/demo-tdt --json models/validation/audio/00000.ogg
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import soundfile
from tqdm import tqdm

from transducer.core.cli import InputError, log, parser, run
from transducer.speech.audio import Stretch
from transducer.speech.recognizer import graph_arguments, open_recognizer
from transducer.speech.transcript import Transcript


def main() -> int:
    args = parser(__doc__)
    graph_arguments(args)
    args.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    args.add_argument("audio", type=Path, nargs="*", help="files of any format that libsndfile reads")
    options = args.parse_args()
    paths: list[Path] = options.audio
    if not paths:
        raise InputError('No audio was given; name it as in WAV="a.wav b.flac".')
    recognizer = open_recognizer(options)
    failed = 0
    with tqdm(total=round(sum(map(seconds, paths))), unit="s", desc="transcribe", delay=5, file=sys.stderr) as bar:
        for path, found in zip(paths, recognizer.transcribe_files(map(Stretch, paths), bar.update), strict=True):
            if isinstance(found, InputError):
                failed += 1
                print(f"error: {found}", file=sys.stderr)
            else:
                # With several files each line says whose it is, as grep does.
                text = (
                    as_json(path, found) if options.json else ": ".join([str(path)] * (len(paths) > 1) + [found.text])
                )
                print(text, flush=True)
    log.info(", ".join(f"{part} {spent:.2f} s" for part, spent in recognizer.seconds.items()))
    return 2 if failed else 0


def seconds(path: Path) -> float:
    """Return a file's length as its header tells it, 0 for what is no audio."""
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        return 0.0


def as_json(path: Path, transcript: Transcript) -> str:
    """Return a transcript as one line, times in seconds to the millisecond."""
    words = [
        {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(word).items()}
        for word in transcript.words
    ]
    return json.dumps({"audio": str(path), "text": transcript.text, "words": words}, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(run(main))
