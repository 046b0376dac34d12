"""The golden cases, and how far a decoder's answers are from them."""

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "decoders/golden"
# Runtimes and their kernels differ in the sixth digit of a logit.
TOLERANCE = 1e-3


SPEECH = ("demo-tdt", "demo-streaming")


@cache
def golden(name: str = "cases") -> dict[str, Any]:
    """Return the golden cases of swipes, or those of a speech model."""
    return dict(json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes())))


def words() -> list[str]:
    return gzip.decompress((FOLDER / golden()["words"]).read_bytes()).decode().split("\n")[:-1]


def bigrams() -> bytes:
    return base64.b64decode(golden()["bigrams"])


def in_context() -> list[dict[str, Any]]:
    """Return the cases that are decoded after another word too."""
    cases = [case for case in golden()["cases"] if "context" in case]
    assert len(cases) > 50
    found = [
        [[one["word"] for one in n_best] for n_best in (case["n_best"], case["context"]["n_best"])] for case in cases
    ]
    assert sum(alone != after for alone, after in found) > 20
    return cases


def unpacked(array: dict[str, Any], dtype: str = "float32") -> NDArray[np.float32]:
    values = np.frombuffer(base64.b64decode(array[dtype]), np.dtype(dtype).newbyteorder("<"))
    return values.astype(np.float32).reshape(array["shape"])


def require_same_search(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare what a search of speech went through and found: labels and times exactly, scores by the tolerance."""
    assert len(found["steps"]) == len(expected["steps"])
    for one, other in zip(found["steps"], expected["steps"], strict=True):
        assert (one["frame"], one["prefixes"]) == (other["frame"], other["prefixes"])
        np.testing.assert_allclose(one["scores"], other["scores"], 0, TOLERANCE)
    for one, other in zip(found["n_best"], expected["n_best"], strict=True):
        for name in ("labels", "frames", "durations"):
            assert one[name] == other[name]
        for name in ("confidences", "log_prob", "score"):
            np.testing.assert_allclose(one[name], other[name], 0, TOLERANCE)


def require_same_words(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare n-best lists: the same words in the same order, with the same scores."""
    assert [one["word"] for one in found] == [one["word"] for one in expected]
    for name in ("log_prob", "score"):
        np.testing.assert_allclose([one[name] for one in found], [one[name] for one in expected], 0, TOLERANCE)


def require_same_beams(found: list[dict[str, Any]], expected: list[dict[str, Any]], rank: Any) -> None:
    """Compare the beams after every frame, `rank` being what a prefix adds to its log probability.

    Where the last of a beam is not in the other, its rank must be that of the other's last.
    """
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        ours, theirs = (dict(zip(beam["prefixes"], beam["log_probs"], strict=True)) for beam in (one, other))
        assert len(ours) == len(theirs)
        for prefix in ours.keys() & theirs.keys():
            assert abs(ours[prefix] - theirs[prefix]) < TOLERANCE, prefix
        last = min(log_prob + rank(prefix) for prefix, log_prob in theirs.items())
        for beam, swapped in ((ours, ours.keys() - theirs.keys()), (theirs, theirs.keys() - ours.keys())):
            for prefix in swapped:
                assert abs(beam[prefix] + rank(prefix) - last) < TOLERANCE, prefix
