"""What may be done to a recording without changing what is said in it.

Example:
    for name, change in TRANSFORMATIONS["leading_silence"].items():
        heard = change(wave, 16000)
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import soxr

from transducer.speech.audio import Wave
from transducer.speech.augmentation import coded

# Samples float32 [samples] and their rate in Hz, to samples.
Transformation = Callable[[Wave, int], Wave]

SILENCES = [tenth / 10 for tenth in range(1, 21)]
GAINS = (-40, -30, -20, -10, 6)
OFFSETS = (-0.1, -0.01, 0.01, 0.1)
SHIFTS = (1, 2, 5, 13, 31, 64, 80, 97, 128, 159)
RATES = (8_000, 22_050, 44_100, 48_000)


def silence_before(wave: Wave, rate: int, seconds: float) -> Wave:
    """Return a recording that begins earlier."""
    return np.pad(wave, (round(seconds * rate), 0))


def silence_after(wave: Wave, rate: int, seconds: float) -> Wave:
    """Return a recording that ends later."""
    return np.pad(wave, (0, round(seconds * rate)))


def amplified(wave: Wave, rate: int, decibels: float) -> Wave:
    """Return a recording louder or softer; what exceeds full scale is cut, as a file would."""
    return np.clip(wave * np.float32(10 ** (decibels / 20)), -1, 1)


def displaced(wave: Wave, rate: int, offset: float) -> Wave:
    """Return a recording with a constant added, as cheap sound cards do."""
    return wave + np.float32(offset)


def shifted(wave: Wave, rate: int, samples: int) -> Wave:
    """Return a recording without its first samples, so that windows of features fall elsewhere."""
    return wave[samples:]


def inverted(wave: Wave, rate: int) -> Wave:
    """Return a recording of the other polarity."""
    return -wave


def resampled(wave: Wave, rate: int, other: int) -> Wave:
    """Return a recording that was kept at another rate."""
    return np.asarray(soxr.resample(soxr.resample(wave, rate, other), other, rate), np.float32)


TRANSFORMATIONS: dict[str, dict[str, Transformation]] = {
    "leading_silence": {f"{seconds} s": partial(silence_before, seconds=seconds) for seconds in SILENCES},
    "trailing_silence": {f"{seconds} s": partial(silence_after, seconds=seconds) for seconds in SILENCES},
    "gain": {f"{decibels:+d} dB": partial(amplified, decibels=decibels) for decibels in GAINS},
    "dc_offset": {f"{offset:+}": partial(displaced, offset=offset) for offset in OFFSETS},
    "sample_shift": {f"{samples} samples": partial(shifted, samples=samples) for samples in SHIFTS},
    "polarity": {"inverted": inverted},
    "resampling": {f"{rate} Hz": partial(resampled, other=rate) for rate in RATES},
    "codec": {codec: partial(coded, codec=codec) for codec in ("mp3", "opus", "mu-law")},
}
