"""Batches of swipes as features, to calibrate and compare encoders with.

Example:
    batches = trace_batches(manifest, layout, count=16, size=8)
"""

from pathlib import Path

import numpy as np

from transducer.core.contracts import Batches
from transducer.core.sampling import evenly_spaced_batches
from transducer.swipe.features import swipe_features
from transducer.swipe.keyboard import Layout
from transducer.swipe.traces import read_traces


def trace_batches(manifest: Path, layout: Layout, count: int, size: int) -> Batches:
    """Yield the features [B,F,T] and lengths [B] of `count` batches of a manifest's swipes, evenly chosen.

    Raises: InputError if the manifest has too few usable traces.
    """
    traces = read_traces(manifest)
    for rows in evenly_spaced_batches(manifest, len(traces), count, size):
        features = [swipe_features(traces[row].points, layout) for row in rows]
        lengths = np.array([len(frames) for frames in features])
        padded = np.zeros((size, features[0].shape[1], lengths.max()), np.float32)
        for row, frames in zip(padded, features, strict=True):
            row[:, : len(frames)] = frames.T
        yield padded, lengths
