"""What graphs are given on real speech or swipes, to calibrate them by.

Example:
    batches = speech_batches(manifest, frontend, count=16, size=8, sample_rate=16000)
    inputs = step_inputs(encoder, rnnt_step, batches)
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from transducer.core.cli import InputError, log
from transducer.core.contracts import GRAPHS, Arrays
from transducer.export.streaming import Streaming
from transducer.runtime.parity import FED_BACK
from transducer.speech.audio import read_audio
from transducer.speech.manifest import read_lines
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout
from transducer.swipe.traces import read_traces

Batches = Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]


def speech_batches(manifest: Path, frontend: InferenceSession, count: int, size: int, sample_rate: int) -> Batches:
    """Yield the features [B,F,T] and lengths [B] of `count` batches of a manifest's utterances, evenly chosen.

    Raises: InputError if the manifest has too few usable utterances, or one without finite features.
    """
    utterances, problems = read_lines(manifest)
    for problem in problems:
        log.warning("calibration leaves out: %s", problem)
    if not utterances:
        raise InputError(f"{manifest} has no usable entry to calibrate with; the first problem: {problems[0]}")
    for rows in _evenly(manifest, len(utterances), count, size):
        waves = [read_audio(utterances[row]["audio_filepath"], sample_rate) for row in rows]
        lengths = np.array([len(wave) for wave in waves])
        padded = np.zeros((size, lengths.max()), np.float32)
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = wave
        features, frames = frontend.run(None, {"waveform": padded, "length": lengths})
        if not np.isfinite(features).all():
            names = ", ".join(utterances[row]["audio_filepath"].name for row in rows)
            raise InputError(f"{manifest}: the features of {names} are not all finite; leave out what is no speech.")
        yield features, frames


def trace_batches(manifest: Path, layout: Layout, count: int, size: int) -> Batches:
    """Yield the features [B,F,T] and lengths [B] of `count` batches of a manifest's swipes, evenly chosen.

    Raises: InputError if the manifest has too few usable traces.
    """
    traces = read_traces(manifest)
    for rows in _evenly(manifest, len(traces), count, size):
        features = [swipe_features(traces[row].points, layout) for row in rows]
        lengths = np.array([len(frames) for frames in features])
        padded = np.zeros((size, features[0].shape[1], lengths.max()), np.float32)
        for row, frames in zip(padded, features, strict=True):
            row[:, : len(frames)] = frames.T
        yield padded, lengths


def _evenly(manifest: Path, usable: int, count: int, size: int) -> list[NDArray[np.int64]]:
    """Return the entries [size] of each of `count` batches. Raises: InputError if there are not so many."""
    wanted = count * size
    if not 0 < wanted <= usable:
        raise InputError(
            f"{manifest} has {usable} usable entries, and {count} batches of {size} need {wanted}; "
            "set CALIB_BATCHES and CALIB_BATCH_SIZE to what it has, or CALIB_MANIFEST to a larger one."
        )
    return np.split(np.linspace(0, usable - 1, wanted).round().astype(np.int64), count)


def encoder_inputs(batches: Batches) -> Iterator[Arrays]:
    """Yield batches as the inputs of an encoder."""
    for batch in batches:
        yield dict(zip(GRAPHS["encoder"].inputs, batch, strict=True))


def window_inputs(session: InferenceSession, batches: Batches) -> Iterator[Arrays]:
    """Yield the inputs of every step of a streaming encoder over batches of features, caches fed back."""
    streaming = Streaming.from_facts(json.loads(session.get_modelmeta().custom_metadata_map["streaming"]))
    names = [value.name for value in session.get_outputs()]
    for features, lengths in batches:
        caches = streaming.initial_state(len(lengths))
        rows = [[window for window, _ in streaming.windows(row)] for row in features]
        for step, signal in enumerate(zip(*rows, strict=True)):
            left = lengths + streaming.padding_frames - step * streaming.shift_frames
            inputs = {
                "audio_signal": np.stack(signal),
                "length": np.clip(left, 0, streaming.window_frames),
                **caches,
            }
            yield inputs
            found = dict(zip(names, session.run(None, inputs), strict=True))
            caches = {into: found[out] for out, into in FED_BACK["encoder_streaming"].items()}


def step_inputs(encoder: InferenceSession, step: InferenceSession, batches: Batches) -> Iterator[Arrays]:
    """Yield the inputs of every rnnt_step call of greedy decoding, in which streams that have ended take no part.

    It is the search of decoder.Decoder, with this one graph in the place of predictor and joint.
    """
    facts = step.get_modelmeta().custom_metadata_map
    dims, durations, blank, most = (json.loads(facts[key]) for key in ("dims", "durations", "blank_id", "max_symbols"))
    names = [value.name for value in encoder.get_inputs()]
    for batch in batches:
        encoded, ends = encoder.run(None, dict(zip(names, batch, strict=True)))
        y, time, repeats = np.full(len(ends), blank), np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
        h, c = (np.zeros((dims["L"], len(ends), dims["H"]), np.float32) for _ in range(2))
        while len(rows := np.flatnonzero(time < ends)):
            inputs = {"encoder_frame": encoded[rows, :, time[rows]], "y": y[rows], "h": h[:, rows], "c": c[:, rows]}
            yield inputs
            logits, h_out, c_out = step.run(None, inputs)
            label, jump = logits[:, : dims["V"]].argmax(1), np.zeros(len(rows), np.int64)
            if durations:
                jump = np.array(durations)[logits[:, dims["V"] :].argmax(1)]
            spoken = label != blank
            into = rows[spoken]
            y[into], h[:, into], c[:, into] = label[spoken], h_out[:, spoken], c_out[:, spoken]
            advance = np.maximum(jump, ~spoken)
            # Label after label may fall on one frame, but not without end.
            repeats[rows] = np.where(advance == 0, repeats[rows] + 1, 0)
            time[rows] += np.where(repeats[rows] == most, 1, advance)
            repeats[rows] %= most


def joint_inputs(predictor: InferenceSession, steps: Iterable[Arrays]) -> Iterator[Arrays]:
    """Yield the inputs of the joint for the inputs of rnnt_step."""
    for step in steps:
        g, _, _ = predictor.run(None, {"y": step["y"][:, None], "h": step["h"], "c": step["c"]})
        yield {"encoder_output": step["encoder_frame"][:, :, None], "predictor_output": g}
