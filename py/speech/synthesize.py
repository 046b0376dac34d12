"""Synthesise one split of the demo speech corpus: audio files and a NeMo manifest.

Example:
    .venv/bin/python py/speech/synthesize.py --split train --engines kokoro:4 flite:1 --kokoro kokoro --count 3000 \
        --output out/speech/train-natural/manifest.jsonl
"""

import argparse
import json
import os
import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.core.progress import progress
from transducer.speech.augmentation import NoiseBank, band_limited, room
from transducer.speech.corpus import SPEAKERS, spoken_sentence
from transducer.speech.engines import ENGINES, SAMPLE_RATE, Engine, open_engine
from transducer.speech.ogg import set_ogg_serial

FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "OPUS")}


@dataclass(frozen=True)
class Corpus:
    """A split, what speaks it and how it is stored."""

    folder: Path
    split: str
    seed: int
    audio_format: str
    engines: dict[str, tuple[Engine, float]]  # with their shares
    noise: NoiseBank


def main() -> int:
    """Write the audio first and the manifest, which is the target, last."""
    args = parse_args()
    shares = dict(map(engine_share, args.engines))
    engines = {name: (open_engine(name, args.kokoro), share) for name, share in shares.items()}
    folder = args.output.parent
    args.output.unlink(missing_ok=True)  # from here on the folder is incomplete, and shows it
    shutil.rmtree(folder / "audio", ignore_errors=True)
    (folder / "audio").mkdir(parents=True)

    noise = NoiseBank(np.random.default_rng(args.seed))
    corpus = Corpus(folder, args.split, args.seed, args.audio_format, engines, noise)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # threads suffice: the work is done by the engines and numpy
        clips = pool.map(lambda index: synthesize(corpus, index), range(args.count))
        entries = list(progress(clips, total=args.count, desc=args.split, unit="clip"))

    with replacing(args.output) as tmp:
        tmp.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    hours = sum(entry["duration"] for entry in entries) / 3600
    log.info("%s: %d utterances, %.2f hours", args.output, len(entries), hours)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--split", choices=sorted(SPEAKERS), required=True, help="whose voices and speeds to use")
    args.add_argument("--engines", nargs="+", required=True, metavar="NAME[:SHARE]", help=f"of {', '.join(ENGINES)}")
    args.add_argument("--kokoro", type=Path, help="folder of Kokoro's model, vocabulary and voices")
    args.add_argument("--count", type=int, required=True, help="number of utterances")
    args.add_argument("--seed", type=int, default=1, help="seed of sentences, voices and noise")
    args.add_argument("--audio-format", choices=sorted(FORMATS), default="flac", help="ogg is Ogg/Opus")
    args.add_argument("--output", type=Path, required=True, help="manifest.jsonl; audio goes to audio/ beside it")
    return args.parse_args()


def engine_share(text: str) -> tuple[str, float]:
    """Read NAME or NAME:SHARE. Raises: InputError."""
    name, _, share = text.partition(":")
    try:
        value = float(share or 1)
    except ValueError:
        value = 0.0
    if name not in ENGINES or not 0 < value < float("inf"):
        raise InputError(f"--engines {text}: give NAME or NAME:SHARE with one of {', '.join(ENGINES)}.")
    return name, value


def synthesize(corpus: Corpus, index: int) -> dict[str, Any]:
    """Write utterance `index` and return its manifest entry; the same arguments give the same file."""
    rng = random.Random(f"{corpus.seed}/{corpus.split}/{index}")
    held_out = corpus.split == "validation"
    text = spoken_sentence(rng, held_out)
    names = list(corpus.engines)
    name = rng.choices(names, [share for _, share in corpus.engines.values()])[0]
    speakers = SPEAKERS[corpus.split][name]
    voice, speed, pitch = speakers.voice(rng), rng.choice(speakers.speeds), rng.choice(speakers.pitches)
    wave = corpus.engines[name][0].speak(text, voice, speed, pitch) * np.float32(10 ** (rng.uniform(-12, 0) / 20))

    entry: dict[str, Any] = {"audio_filepath": f"audio/{index:05d}.{corpus.audio_format}"}
    entry |= {"duration": round(len(wave) / SAMPLE_RATE, 3), "text": text.lower()}
    entry |= {"engine": name, "voice": voice, "speed": speed}
    if held_out:  # training keeps clean audio, since the trainer draws rooms and noise again for every use
        wave = as_heard(wave, entry, rng, corpus.noise, np.random.default_rng([corpus.seed, index]))
    container, subtype = FORMATS[corpus.audio_format]
    path = corpus.folder / entry["audio_filepath"]
    soundfile.write(path, np.clip(wave, -1, 1), SAMPLE_RATE, format=container, subtype=subtype)
    if corpus.audio_format == "ogg":
        set_ogg_serial(path, index)  # libsndfile draws one by the clock
    return entry


def as_heard(
    wave: np.ndarray, entry: dict[str, Any], rng: random.Random, noise: NoiseBank, generator: np.random.Generator
) -> np.ndarray:
    """Return some utterances in a room, by telephone or with noise, as the entry then says."""
    if rng.random() < 0.2:
        entry["room_seconds"] = rng.choice((0.2, 0.3, 0.4))
        wave = room(wave, SAMPLE_RATE, entry["room_seconds"], 0.5, generator)
    if rng.random() < 0.1:
        entry["band_hz"] = [300, 3400]
        wave = band_limited(wave, SAMPLE_RATE, 300, 3400)
    if rng.random() < 0.5:
        entry["snr_db"] = rng.randint(10, 25)
        wave = noise.mix(wave, entry["snr_db"], generator)
    return wave


if __name__ == "__main__":
    sys.exit(run(main))
