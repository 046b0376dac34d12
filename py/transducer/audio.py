"""Audio files as mono samples.

Example:
    wave = read_audio(Path("a.flac"), 16000)
"""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from transducer.cli import InputError

Wave = NDArray[np.float32]

# Less is no speech, and too little for the encoder's convolutions.
MIN_SECONDS = 0.1


def read_audio(path: Path, sample_rate: int) -> Wave:
    """Return a file's samples, float32 [samples] at `sample_rate`, channels averaged.

    Raises: InputError for what is no audio, too short, or not made of numbers.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; check its name.")
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise InputError(f"{path} cannot be read as audio ({reason}); convert it to WAV or FLAC.") from None
    seconds = len(channels) / rate
    if seconds < MIN_SECONDS:
        raise InputError(f"{path} holds {seconds:.3g} s of audio; bring at least {MIN_SECONDS} s.")
    wave = channels.mean(axis=1)
    if not np.isfinite(wave).all():
        raise InputError(f"{path} has samples that are not finite numbers; export the audio again.")
    return wave if rate == sample_rate else soxr.resample(wave, rate, sample_rate)
