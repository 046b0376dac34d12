"""What a variant of an encoder does to each layer, by the length of the input and in a batch, and what may cause it.

Example:
    facts["harm"] = harm(Path("encoder.onnx"), Path("encoder.int8.onnx"), features)
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from transducer.core.contracts import GRAPHS, Floats, default_conditions
from transducer.core.onnx_files import load_graph
from transducer.quantize.calibration import observed_session
from transducer.quantize.source import Source
from transducer.runtime.parity import relative_rms
from transducer.runtime.sessions import open_session

# Feature frames: of speech 2, 10, 30 and 60 s, of a swipe half a second to 8 s.
LENGTHS = {"speech": (200, 1000, 3000, 6000), "swipe": (20, 80, 160, 320)}
WORST = 10
# A batch holds this many, one of them louder by a factor (20 dB), one longer by another.
BATCH, LOUDER, LONGER = 8, 10.0, 10


def harm(base: Path, variant: Path, features: Floats, lengths: tuple[int, ...]) -> dict[str, Any]:
    """Return the figures that a check records of an encoder's variant; docs/checks.md describes them.

    Args:
        features: float32 [F, T] of real speech or swipes; repeated where they are too short.
        lengths: of inputs, in feature frames; layers are compared at the second.
    """
    row = np.tile(features, (1, -(-max(lengths) // features.shape[1])))
    graph = Source(base)
    matrices = [node for node in graph.nodes if graph.is_matrix(node)]
    here = {name for node in load_graph(variant).graph.node for name in node.output}
    products = [node.output[0] for node in matrices if node.output[0] in here]
    activations = sorted({node.input[0] for node in matrices} & here)
    names = [*products, *activations]
    example = _inputs([row[:, : lengths[1]]])
    expected, actual = (_values(observed_session(path, names), names, example) for path in (base, variant))
    errors = {name: relative_rms(expected[name], actual[name]) for name in products}
    sessions = [open_session(path, optimize=True) for path in (base, variant)]
    return {
        "layers": dict(sorted(errors.items(), key=lambda item: -item[1])[:WORST]),
        "channels": _extremes(expected, actual, activations, axis=-2),
        "rows": _extremes(expected, actual, activations, axis=-1),
        "by_frames": {
            str(count): relative_rms(*(_run(session, [row[:, :count]])[0] for session in sessions)) for count in lengths
        },
        "in_batch": _in_batch(sessions, row, lengths[0]),
    }


def _in_batch(sessions: list[InferenceSession], row: Floats, frames: int) -> dict[str, float]:
    """Return how far the frames of an input move when it is one of a batch with a loud and a long one, by graph."""
    alone = row[:, :frames]
    others = [alone] * (BATCH - 3)
    batch = [alone, alone * LOUDER, row[:, : min(LONGER * frames, row.shape[1])], *others]
    fp32, variant = (relative_rms(_run(session, [alone])[0], _run(session, batch)[0]) for session in sessions)
    return {"fp32": fp32, "variant": variant}


def _extremes(before: dict[str, Any], after: dict[str, Any], names: list[str], axis: int) -> dict[str, float]:
    """Return the largest ratio of a channel's or row's magnitude to the median one, in fp32 and in the variant."""

    def largest(values: dict[str, Any]) -> float:
        return max((_ratio(np.abs(values[name]).max(axis=axis)) for name in names), default=1.0)

    return {"fp32": largest(before), "variant": largest(after)}


def _ratio(magnitudes: NDArray[Any]) -> float:
    return float(magnitudes.max() / max(float(np.median(magnitudes)), 1e-12))


def _inputs(rows: list[Floats]) -> dict[str, NDArray[Any]]:
    """Return rows [F, T] as the inputs of an encoder."""
    count = max(row.shape[1] for row in rows)
    padded = np.stack([np.pad(row, ((0, 0), (0, count - row.shape[1]))) for row in rows]).astype(np.float32)
    lengths = np.array([row.shape[1] for row in rows])
    return dict(zip(GRAPHS["encoder"].inputs, (padded, lengths), strict=True))


def _named(session: InferenceSession, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return an encoder's inputs by the names of its graph, with what conditions it."""
    conditions = default_conditions(session.get_modelmeta().custom_metadata_map, len(inputs["length"]))
    return dict(zip([value.name for value in session.get_inputs()], (inputs | conditions).values(), strict=True))


def _run(session: InferenceSession, rows: list[Floats]) -> list[Floats]:
    """Return each row's encoder frames [D, T_enc]."""
    feed = _named(session, _inputs(rows))
    frames, counts = session.run(None, feed)[:2]
    return [frames[index, :, :count] for index, count in enumerate(counts)]


def _values(session: InferenceSession, names: list[str], inputs: dict[str, Any]) -> dict[str, Any]:
    feed = _named(session, inputs)
    return dict(zip(names, session.run(names, feed), strict=True))
