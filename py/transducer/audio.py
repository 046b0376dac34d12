"""Audio files as mono samples.

Example:
    wave = read_audio(Path("a.flac"), 16000)
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from transducer.cli import InputError

Wave = NDArray[np.float32]

# Less is no speech, and too little for the encoder's convolutions.
MIN_SECONDS = 0.1


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
