"""Synthesise one split of the demo speech corpus with espeak-ng: audio files and a NeMo manifest.

Example:
    .venv/bin/python py/speech/synthesize.py --split train --count 16000 --output out/speech/train/manifest.jsonl
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

from transducer.core.cli import InputError, log, parser, replacing, run
from transducer.speech.corpus import SPEAKERS, NoiseBank, spoken_sentence

SAMPLE_RATE = 16_000
FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "OPUS")}


def main() -> int:
    """Write the audio first and the manifest, which is the target, last."""
    args = parse_args()
    require_espeak()
    folder = args.output.parent
    args.output.unlink(missing_ok=True)  # from here on the folder is incomplete, and shows it
    shutil.rmtree(folder / "audio", ignore_errors=True)
    (folder / "audio").mkdir(parents=True)

    noise = NoiseBank(np.random.default_rng(args.seed))

    def one(index: int) -> dict[str, Any]:
        return synthesize(folder, args.split, index, args.seed, args.audio_format, noise)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # threads suffice: the work is done by espeak-ng and numpy
        progress = tqdm(pool.map(one, range(args.count)), total=args.count, desc=args.split, delay=5, unit="clip")
        entries = list(progress)

    with replacing(args.output) as tmp:
        tmp.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    hours = sum(entry["duration"] for entry in entries) / 3600
    log.info("%s: %d utterances, %.2f hours", args.output, len(entries), hours)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--split", choices=sorted(SPEAKERS), required=True, help="whose voices and speeds to use")
    args.add_argument("--count", type=int, required=True, help="number of utterances")
    args.add_argument("--seed", type=int, default=1, help="seed of sentences, voices and noise")
    args.add_argument("--audio-format", choices=sorted(FORMATS), default="flac", help="ogg is Ogg/Opus")
    args.add_argument("--output", type=Path, required=True, help="manifest.jsonl; audio goes to audio/ beside it")
    return args.parse_args()


def require_espeak() -> None:
    """Raise InputError where espeak-ng is not installed."""
    if shutil.which("espeak-ng") is None:
        raise InputError("espeak-ng was not found on PATH; install it (Debian and Ubuntu: the package espeak-ng).")


def synthesize(folder: Path, split: str, index: int, seed: int, audio_format: str, noise: NoiseBank) -> dict[str, Any]:
    """Write utterance `index` and return its manifest entry; the same arguments give the same audio."""
    rng = random.Random(f"{seed}/{split}/{index}")
    speakers = SPEAKERS[split]
    text = spoken_sentence(rng, speakers.held_out)
    voice = f"{rng.choice(speakers.accents)}+{rng.choice(speakers.variants)}"
    speed, pitch = rng.choice(speakers.speeds), rng.choice(speakers.pitches)
    wave = speak(text, voice, speed, pitch, amplitude=rng.choice((60, 80, 100, 120)))

    entry: dict[str, Any] = {"audio_filepath": f"audio/{index:05d}.{audio_format}"}
    entry |= {"duration": round(len(wave) / SAMPLE_RATE, 3), "text": text, "voice": voice, "speed": speed}
    if rng.random() < speakers.noisy_share:
        entry["snr_db"] = rng.randint(10, 25)
        wave = noise.mix(wave, entry["snr_db"], np.random.default_rng([seed, index]))
    container, subtype = FORMATS[audio_format]
    path = folder / entry["audio_filepath"]
    soundfile.write(path, np.clip(wave, -1, 1), SAMPLE_RATE, format=container, subtype=subtype)
    return entry


def speak(text: str, voice: str, speed: int, pitch: int, amplitude: int) -> np.ndarray:
    """Return `text` spoken by espeak-ng: float32 [samples] at 16 kHz.

    Args:
        voice: accent+variant, for example en-us+f2.
        speed: words a minute.
        pitch: 0 to 99.
        amplitude: 0 to 200.
    Raises:
        InputError: espeak-ng does not know the voice.
    """
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-a", str(amplitude), "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=False)
    wav = done.stdout
    if done.returncode or len(wav) <= 44:
        reason = done.stderr.decode(errors="replace").strip() or "it wrote no audio"
        raise InputError(f"espeak-ng failed for voice {voice}: {reason}; version 1.51 is known to work.")
    # The sizes in the header of a streamed WAV are placeholders, so the 44 byte header is read by hand.
    rate = int.from_bytes(wav[24:28], "little")
    samples = np.frombuffer(wav[44:], dtype="<i2").astype(np.float32) / 32768
    divisor = int(np.gcd(SAMPLE_RATE, rate))
    return np.asarray(resample_poly(samples, SAMPLE_RATE // divisor, rate // divisor), dtype=np.float32)


if __name__ == "__main__":
    sys.exit(run(main))
