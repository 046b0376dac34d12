"""runtime_meta.json: all that a decoder needs to know of a model, on the device where it runs.

Example:
    meta = describe(facts, tokens, {"beam": 16, "threshold": 10.0, "prior_weight": 0.5, "length_power": 0.0})
    meta["graphs"] = describe_graphs([Path("out/demo-swipe/onnx/encoder.onnx")], root=Path("out/demo-swipe"))
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transducer.core.cli import InputError, existing, log
from transducer.core.digests import Digests
from transducer.core.onnx_files import sidecars_of
from transducer.swipe.features import FRAME_SECONDS, KINEMATICS, PROXIMITY_WIDTH, VERSION

FORMAT = 1
UNKNOWN = "<unk>"
BLANKS = ("<blank>", "<blk>")
# What model_meta.json says too, under the same names.
SHARED = ("model_type", "blank_id", "dims", "durations", "max_symbols", "subsampling_factor", "source", "versions")
SPEECH = ("tokenizer", "sample_rate", "window_stride", "frontend", "streaming")


def describe(facts: Mapping[str, Any], tokens: Sequence[str], decoding: Mapping[str, float]) -> dict[str, Any]:
    """Return a decoder's facts from those of model_meta.json, but for graphs and lexicon, which go with a folder.

    Args:
        tokens: in order of their ids, the blank last.
        decoding: what a swipe model is decoded with by default: beam, threshold, prior_weight, length_power.

    Raises: InputError for a swipe model of another frame length than the featurizer's.
    """
    labels = tokens[:-1]
    for blank in BLANKS:
        if blank in labels:
            log.warning(
                "%s: its label %d is called %s, but to NeMo that is a label like any other; the blank is label %d.",
                *(facts["source"]["file"], labels.index(blank), blank, facts["blank_id"]),
            )
    return {
        "format": FORMAT,
        "task": "swipe" if "swipe" in facts else "speech",
        **{key: facts[key] for key in SHARED},
        "tokens": list(tokens),
        "unknown_id": labels.index(UNKNOWN) if UNKNOWN in labels else None,
        "characters": _characters(labels),
        **(_swipe(facts, decoding) if "swipe" in facts else {key: facts[key] for key in SPEECH if key in facts}),
    }


def describe_graphs(paths: Iterable[Path], root: Path, digests: Digests | None = None) -> dict[str, dict[str, Any]]:
    """Return role, variant and then file, size and SHA-256 of graphs below `root`, and of their sidecars if any.

    ROLE.onnx is the variant fp32 and ROLE.VARIANT.onnx is VARIANT; of a file that is not ONNX the variant ends in its
    kind, as in int8.ort or fp32.pte.
    Raises: InputError for two files of one role and variant.
    """
    digests, graphs = digests or Digests(), dict[str, dict[str, Any]]()
    for path in sorted(paths):
        role, variant = role_and_variant(path.name)
        entry: dict[str, Any] = _file(existing(path, "build the graph first"), root, digests)
        if sidecars := sidecars_of(path):
            entry["sidecars"] = [_file(sidecar, root, digests) for sidecar in sidecars]
        if variant in graphs.setdefault(role, {}):
            raise InputError(f"{path} and {graphs[role][variant]['file']} are the same graph; give one of them.")
        graphs[role][variant] = entry
    return graphs


def role_and_variant(name: str) -> tuple[str, str]:
    """Return what a graph's file name says it is: encoder.int8.onnx is the encoder in int8."""
    stem, _, kind = name.rpartition(".")
    role, _, variant = stem.partition(".")
    return role, (variant or "fp32") + ("" if kind == "onnx" else f".{kind}")


def _file(path: Path, root: Path, digests: Digests) -> dict[str, Any]:
    return {"file": path.relative_to(root).as_posix(), "bytes": path.stat().st_size, "sha256": digests.of(path)}


def _characters(labels: Sequence[str]) -> dict[str, int] | None:
    """Return the ids of a character model's labels; None for a model of word pieces."""
    characters = {label: number for number, label in enumerate(labels) if len(label) == 1}
    named = [label for label in labels if label.startswith("<") and label.endswith(">")]
    return characters if len(characters) + len(named) == len(labels) else None


def _swipe(facts: Mapping[str, Any], decoding: Mapping[str, float]) -> dict[str, Any]:
    """Return what the features of a swipe are made from, and how they are decoded."""
    swipe = facts["swipe"]
    if swipe["frame_seconds"] != FRAME_SECONDS:
        raise InputError(
            f"{facts['source']['file']}: it was trained on frames of {swipe['frame_seconds']} s and the featurizer "
            f"makes frames of {FRAME_SECONDS} s; train it again."
        )
    return {
        "featurizer": {
            "version": VERSION,
            "frame_seconds": FRAME_SECONDS,
            "kinematics": KINEMATICS,
            "proximity_width": PROXIMITY_WIDTH,
        },
        "layout": swipe["layout"],
        "decoding": {**decoding, "max_symbols": facts["max_symbols"]},
    }
