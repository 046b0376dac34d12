"""Audio files as mono samples.

Example:
    wave = read_audio(Path("a.flac"), 16000)
"""

import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from transducer.core.cli import InputError
from transducer.speech.containers import HEAD_BYTES, HEADERS_BYTES, MP3, container, is_cut, samples_chunk, with_size

Wave = NDArray[np.float32]

# Less is not speech, and too little for the encoder's convolutions.
MIN_SECONDS = 0.1
# Headers that say less or more in Hz are wrong, and resampling by them would take hours and all memory.
RATES = (1000, 768_000)
# Samples that differ by no more than one step of 16 bit, about -90 dB of full scale, hold no signal: a constant, the
# zeros of a muted microphone, or a converter's last bit. Speech at -60 dB differs by 30 times that.
NO_SIGNAL = 2.0**-15


class CutError(InputError):
    """Audio that ends before its container does; what there is of it has been heard."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} ends too early, so its text may lack the end; copy or download the whole of it.")


class Stretch(NamedTuple):
    """A part of an audio file: `duration` seconds from `offset`, or all that follows it."""

    path: Path
    offset: float = 0.0
    duration: float | None = None


def read_audio(path: Path, sample_rate: int, offset: float = 0.0, duration: float | None = None) -> Wave:
    """Return a file's samples, float32 [samples] at `sample_rate`, channels averaged.

    Args:
        offset, duration: the part to read, in seconds; a file that ends sooner is read to its end, as NeMo does.

    Raises: InputError for what is not audio, too short, or not made of numbers.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; check its name (in a list, write a space as `\\ `).")
    return resample(*decode(_opened(path), str(path), offset, duration), sample_rate)


def _opened(path: Path) -> bytes | io.BytesIO:
    """Return a file's name as libsndfile takes it, or its content where its header may not say its length."""
    with path.open("rb") as stream:
        head = stream.read(HEADERS_BYTES)
        if head[:4] in (b"RIFF", b"RIFX"):
            begin, _ = samples_chunk(head)
            if head[max(begin - 4, 0) : max(begin, 0)] == bytes(4):
                return io.BytesIO(head + stream.read())
        if container(head[:HEAD_BYTES]) == MP3:
            return io.BytesIO(head + stream.read())
    # As bytes a name need not be UTF-8.
    return os.fsencode(path)


def decode(
    source: bytes | io.BytesIO, name: str, offset: float = 0.0, duration: float | None = None
) -> tuple[Wave, int]:
    """Return the samples of a file or of its content, float32 [samples], channels averaged, and their rate in Hz."""
    if isinstance(source, io.BytesIO):
        source = io.BytesIO(with_size(source.getvalue()))
    try:
        with soundfile.SoundFile(source) as stream:
            rate = require_rate(stream.samplerate, name)
            if offset:
                stream.seek(min(int(offset * rate), stream.frames))
            channels = stream.read(-1 if duration is None else int(duration * rate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".") or "its data are damaged"
        raise InputError(f"{name} cannot be read as audio ({reason}); convert it to WAV or FLAC.") from None
    seconds = len(channels) / rate
    if seconds < MIN_SECONDS:
        where = f" from its second {offset:g} on" if offset else ""
        raise InputError(f"{name} holds {seconds:.3g} s of audio{where}; bring at least {MIN_SECONDS} s.")
    return require_finite(channels.mean(axis=1), name), rate


def resample(wave: Wave, rate: int, sample_rate: int) -> Wave:
    """Return samples of a rate at another, both in Hz."""
    return wave if rate == sample_rate else soxr.resample(wave, rate, sample_rate)


def require_rate(rate: int, name: str) -> int:
    """Return a sample rate in Hz, or refuse one that no recording has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{name} says {rate} samples a second, which no recording has; give {RATES[0]} to {RATES[1]}.")
    return rate


def require_finite(wave: Wave, name: str) -> Wave:
    """Return samples, or refuse those that are not numbers."""
    if not np.isfinite(wave).all():
        raise InputError(f"{name} has samples that are not finite numbers; export the audio again.")
    return wave


def has_signal(wave: Wave) -> bool:
    """Return whether samples differ by more than NO_SIGNAL; what does not has no words."""
    return bool(len(wave)) and float(np.ptp(wave)) > NO_SIGNAL


def require_whole(path: Path) -> None:
    """Raise CutError for a file that ends before its container does."""
    with path.open("rb") as stream:
        if is_cut(stream):
            raise CutError(str(path))
