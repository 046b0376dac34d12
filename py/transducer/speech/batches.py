"""Batches of real speech as features, to calibrate and compare encoders with.

Example:
    batches = speech_batches(manifest, frontend, count=16, size=8, sample_rate=16000)
"""

from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

from transducer.core.cli import InputError, log
from transducer.core.contracts import Batches
from transducer.core.sampling import evenly_spaced_batches
from transducer.speech.audio import read_audio
from transducer.speech.manifest import read_lines


def speech_batches(manifest: Path, frontend: InferenceSession, count: int, size: int, sample_rate: int) -> Batches:
    """Yield the features [B,F,T] and lengths [B] of `count` batches of a manifest's utterances, evenly chosen.

    Raises: InputError if the manifest has too few usable utterances, or one without finite features.
    """
    utterances, problems = read_lines(manifest)
    for problem in problems:
        log.warning("calibration leaves out: %s", problem)
    if not utterances:
        raise InputError(f"{manifest} has no usable entry to calibrate with; the first problem: {problems[0]}")
    for rows in evenly_spaced_batches(manifest, len(utterances), count, size):
        waves = [read_audio(utterances[row]["audio_filepath"], sample_rate) for row in rows]
        lengths = np.array([len(wave) for wave in waves])
        padded = np.zeros((size, lengths.max()), np.float32)
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = wave
        features, frames = frontend.run(None, {"waveform": padded, "length": lengths})
        if not np.isfinite(features).all():
            names = ", ".join(utterances[row]["audio_filepath"].name for row in rows)
            raise InputError(f"{manifest}: the features of {names} are not all finite; leave out what is not speech.")
        yield features, frames
