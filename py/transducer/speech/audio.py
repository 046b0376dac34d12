"""Audio files and pipes as mono samples.

Example:
    wave = read_audio(Path("a.flac"), 16000)
    for piece in read_pipe(sys.stdin.buffer, 16000):
        print(len(piece))
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from transducer.core.cli import InputError

Wave = NDArray[np.float32]

# Less is no speech, and too little for the encoder's convolutions.
MIN_SECONDS = 0.1
# How WAV tells samples: (format tag, bits) to their type and what full scale is.
SAMPLES = {(1, 16): ("<i2", 2**15), (1, 32): ("<i4", 2**31), (3, 32): ("<f4", 1)}
EXTENSIBLE = 0xFFFE
# Programs that write WAV to a pipe do not know its length, and write one of these sizes or one above.
UNKNOWN_SIZE = (0, 0x7F000000)
COMPRESSED = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3"}


class Stretch(NamedTuple):
    """A part of an audio file: `duration` seconds from `offset`, or all that follows it."""

    path: Path
    offset: float = 0.0
    duration: float | None = None


def read_audio(path: Path, sample_rate: int, offset: float = 0.0, duration: float | None = None) -> Wave:
    """Return a file's samples, float32 [samples] at `sample_rate`, channels averaged.

    Args:
        offset, duration: the part to read, in seconds; a file that ends sooner is read to its end, as NeMo does.

    Raises: InputError for what is no audio, too short, or not made of numbers.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; check its name.")
    try:
        with soundfile.SoundFile(path) as stream:
            rate = stream.samplerate
            if offset:
                stream.seek(min(int(offset * rate), stream.frames))
            channels = stream.read(-1 if duration is None else int(duration * rate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise InputError(f"{path} cannot be read as audio ({reason}); convert it to WAV or FLAC.") from None
    seconds = len(channels) / rate
    if seconds < MIN_SECONDS:
        where = f" from its second {offset:g} on" if offset else ""
        raise InputError(f"{path} holds {seconds:.3g} s of audio{where}; bring at least {MIN_SECONDS} s.")
    wave = channels.mean(axis=1)
    if not np.isfinite(wave).all():
        raise InputError(f"{path} has samples that are not finite numbers; export the audio again.")
    return wave if rate == sample_rate else soxr.resample(wave, rate, sample_rate)


def read_pipe(pipe: io.BufferedReader, sample_rate: int) -> Iterator[Wave]:
    """Yield samples as they arrive, float32 [samples] at `sample_rate`, channels averaged, until the pipe closes.

    The pipe holds WAV of any rate, or samples alone: 16 bit, little-endian, mono, at `sample_rate`.
    Raises: InputError for another format, too little audio, and samples that are not numbers.
    """
    head = pipe.read(12)
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise InputError(
                f"standard input is {name}, not WAV or raw samples; pipe it through `ffmpeg -i - -f wav -`."
            )
    rate, channels, (kind, scale), left = sample_rate, 1, SAMPLES[1, 16], -1
    if head.startswith(b"RIFF") and head.endswith(b"WAVE"):
        rate, channels, (kind, scale), left = _wav_header(pipe)
        head = b""
    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    frame = channels * np.dtype(kind).itemsize
    heard, rest = 0, head
    while more := pipe.read1(1 << 16 if left < 0 else min(left, 1 << 16)):
        left -= len(more) if left > 0 else 0
        data = rest + more
        whole = len(data) // frame * frame
        rest = data[whole:]
        wave = np.frombuffer(data[:whole], kind).reshape(-1, channels).astype(np.float32).mean(axis=1) / np.float32(
            scale
        )
        if not np.isfinite(wave).all():
            raise InputError("standard input has samples that are not finite numbers; export the audio again.")
        heard += len(wave)
        yield wave if rate == sample_rate else resampler.resample_chunk(wave)
    if heard < MIN_SECONDS * rate:
        raise InputError(f"standard input holds {heard / rate:.3g} s of audio; bring at least {MIN_SECONDS} s.")
    if rate != sample_rate:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _wav_header(pipe: io.BufferedReader) -> tuple[int, int, tuple[str, int], int]:
    """Read up to the samples; return rate, channels, the samples' type and scale, and their bytes or -1 for unknown."""
    found = None
    while len(chunk := pipe.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data" and found:
            tag, channels, rate, bits = found
            if (tag, bits) not in SAMPLES or not channels or not rate:
                raise InputError(
                    f"standard input is WAV with {bits} bit samples of format {tag}; pipe it as 16 bit PCM, "
                    "as `ffmpeg -i - -f wav -` writes it."
                )
            return rate, channels, SAMPLES[tag, bits], -1 if size in UNKNOWN_SIZE or size > UNKNOWN_SIZE[1] else size
        body = pipe.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, bits = struct.unpack("<HHI6xH", body[:16])
            found = (
                struct.unpack("<H", body[24:26])[0] if tag == EXTENSIBLE and len(body) >= 26 else tag,
                channels,
                rate,
                bits,
            )
    raise InputError("standard input is WAV without a format or samples; pipe whole WAV, or raw samples.")
