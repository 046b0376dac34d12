"""What happens to speech between mouth and file: speed, rooms, telephones, codecs, noise, silence, other recordings.

Example:
    augmentation = Augmentation(config.augmentation, sample_rate=16000, seed=1)
    rng = np.random.default_rng(7)
    plan = augmentation.plan(0, [len(wave)], np.ones(1), epoch=0, rng=rng)
    wave = augmentation(plan, [wave], rng)
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.random import Generator
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

CODECS = ("mu-law", "opus")


class NoiseBank:
    """Looped white, pink and brown noise, all of unit power, cut at random places.

    Generating coloured noise once and cutting it is some fifty times cheaper than shaping it per utterance.
    """

    def __init__(self, rng: Generator, samples: int = 480_000):
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        # The floor keeps brown noise from being nothing but a drift that no microphone would pass.
        frequency = np.maximum(np.arange(len(spectrum)), 60 * samples / 16_000)
        shaped = (np.fft.irfft(spectrum / frequency**slope, samples) for slope in (0.0, 0.5, 1.0))
        self._noises = [(noise / noise.std()).astype(np.float32) for noise in shaped]

    def draw(self, samples: int, rng: Generator) -> np.ndarray:
        """Return noise of a random colour and of unit power, float32 [samples]."""
        noise = self._noises[rng.integers(len(self._noises))]
        return np.take(noise, np.arange(samples) + rng.integers(len(noise)), mode="wrap")

    def mix(self, wave: np.ndarray, snr_db: float, rng: Generator) -> np.ndarray:
        """Return `wave` (float32 [samples]) with noise of a random colour at `snr_db` below its power."""
        level = np.float32(np.sqrt(np.mean(wave**2)) * 10 ** (-snr_db / 20))
        return wave + self.draw(len(wave), rng) * level


def room(wave: np.ndarray, sample_rate: int, decay: float, distance: float, rng: Generator) -> np.ndarray:
    """Return `wave` as a microphone in a room hears it, of the same length and power.

    The impulse response is the direct sound, and noise that decays exponentially.

    Args:
        decay: seconds in which the echo falls by 60 dB.
        distance: power of the echo relative to the direct sound, 0 to about 2.
    """
    samples = int(decay * sample_rate)
    echo = rng.standard_normal(samples) * 10 ** (-3 * np.arange(samples) / samples)
    echo[: int(0.002 * sample_rate)] = 0
    echo *= np.sqrt(distance / np.sum(echo**2))
    echo[0] = 1
    reverberant = fftconvolve(wave, echo)[: len(wave)]
    return np.asarray(reverberant * np.sqrt(np.mean(wave**2) / max(np.mean(reverberant**2), 1e-12)), np.float32)


def band_limited(wave: np.ndarray, sample_rate: int, low: float, high: float) -> np.ndarray:
    """Return `wave` between two frequencies in Hz, for example those of a telephone, 300 and 3400."""
    return np.asarray(sosfilt(butter(4, (low, high), "bandpass", fs=sample_rate, output="sos"), wave), np.float32)


def coded(wave: np.ndarray, sample_rate: int, codec: str) -> np.ndarray:
    """Return `wave` after a codec: mu-law's 8 bits a sample, opus, or mp3, whose delay it has then."""
    formats = {"mu-law": ("WAV", "ULAW"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
    container, subtype = formats[codec]
    file = io.BytesIO()
    # Once an Opus file came back a second short; with a second of silence behind it the length holds.
    longer = np.pad(np.clip(wave, -1, 1), (0, sample_rate))
    soundfile.write(file, longer, sample_rate, format=container, subtype=subtype)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0][: len(wave)])


def resampled(wave: np.ndarray, factor: float) -> np.ndarray:
    """Return `wave` played `factor` times as fast, a number of two decimals, which raises its pitch by as much."""
    return np.asarray(resample_poly(wave, 100, round(100 * factor)), np.float32)


def melody(samples: int, sample_rate: int, rng: Generator) -> np.ndarray:
    """Return chords with overtones, one after another, float32 [samples], of unit power."""
    wave = np.zeros(samples)
    note = int(rng.uniform(0.1, 0.8) * sample_rate)
    for start in range(0, samples, note):
        time = np.arange(min(note, samples - start)) / sample_rate
        for pitch in 110 * 2 ** (rng.integers(0, 36, rng.integers(1, 4)) / 12):
            for overtone in range(1, int(rng.integers(2, 8))):
                sound = np.sin(2 * np.pi * overtone * pitch * time + rng.uniform(0, 6.28)) / overtone
                wave[start : start + note] += sound * np.exp(-time * rng.uniform(0, 8))
    return np.asarray(wave / max(wave.std(), 1e-6), np.float32)


@dataclass(frozen=True)
class Plan:
    """What a recording holds, drawn before any audio is touched, so that batches can be of one length.

    Attributes:
        members: utterances in order; none is a recording without speech.
        speed: factor at which they are played.
        gaps: samples of silence before, between and after them.
    """

    members: list[int]
    speed: float
    gaps: list[int]

    def samples(self, lengths: Sequence[int]) -> int:
        """Return the recording's length to within a sample for each utterance, given those of all utterances."""
        return sum(round(lengths[member] / self.speed) for member in self.members) + sum(self.gaps)


class Augmentation:
    """Draws all of it, as the `augmentation` part of a config says; a part that is left out is not drawn."""

    def __init__(self, config: Any, sample_rate: int, seed: int):
        self._config = config
        self._sample_rate = sample_rate
        self._noise = NoiseBank(np.random.default_rng(seed))

    def plan(self, utterance: int, lengths: Sequence[int], weights: np.ndarray, epoch: int, rng: Generator) -> "Plan":
        """Return what one recording holds; with `joined`, others of the utterances follow, drawn by `weights`."""
        config = self._config
        if rng.random() < config.get("empty_share", 0.0):
            return Plan([], 1.0, [lengths[utterance]])
        members = [utterance, *self._companions(epoch, weights, rng)]
        factor = round(rng.uniform(*config.speed), 2) if rng.random() < config.get("speed_share", 0.0) else 1.0
        seconds = config.silence_seconds if len(members) == 1 else config.joined.silence_seconds
        silent = len(members) > 1 or rng.random() < config.silent_share
        most = seconds * self._sample_rate if silent else 0.0
        return Plan(members, factor, [int(gap) for gap in rng.uniform(0, most, len(members) + 1)])

    def _companions(self, epoch: int, weights: np.ndarray, rng: Generator) -> list[int]:
        """Return which utterances follow one, drawn by `weights`, so that recordings hold several too."""
        settings = self._config.get("joined")
        if settings is None or epoch < settings.from_epoch or rng.random() >= settings.share:
            return []
        members = rng.random(rng.integers(1, settings.most))
        return [int(member) for member in np.searchsorted(np.cumsum(weights)[:-1], members)]

    def __call__(self, plan: "Plan", waves: list[np.ndarray], rng: Generator) -> np.ndarray:
        """Return the recording of a plan and the utterances that it names, float32 [samples]."""
        if not waves:
            return self._empty(plan.samples([]), rng)
        config, rate = self._config, self._sample_rate
        if plan.speed != 1.0:
            waves = [resampled(wave, plan.speed) for wave in waves]
        wave = np.pad(waves[0], (plan.gaps[0], plan.gaps[1]))
        for following, gap in zip(waves[1:], plan.gaps[2:], strict=True):
            wave = np.concatenate([wave, following, np.zeros(gap, np.float32)])
        if rng.random() < config.get("room_share", 0.0):
            wave = room(wave, rate, rng.uniform(*config.room_decay), rng.uniform(0, 1.5), rng)
        if rng.random() < config.noisy_share:
            wave = self._noise.mix(wave, rng.uniform(*config.snr_db), rng)
        if rng.random() < config.get("band_share", 0.0):
            wave = band_limited(wave, rate, rng.uniform(60, 400), rng.uniform(3000, 7000))
        wave = np.asarray(wave * 10 ** (rng.uniform(*config.gain_db) / 20), np.float32)
        if rng.random() < config.get("codec_share", 0.0):
            wave = coded(wave, rate, CODECS[rng.integers(len(CODECS))])
        return wave

    def _empty(self, samples: int, rng: Generator) -> np.ndarray:
        """Return silence, noise or tones at some level, float32 [samples]."""
        kind = rng.integers(4)
        if kind == 0:
            wave = np.zeros(samples, np.float32)
        elif kind == 1:
            wave = self._noise.draw(samples, rng)
        else:
            wave = melody(samples, self._sample_rate, rng)
            if kind == 3:
                wave = self._noise.mix(wave, rng.uniform(0, 30), rng)
        return np.asarray(wave * 10 ** (rng.uniform(-75, -12) / 20), np.float32)
