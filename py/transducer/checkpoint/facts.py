"""The facts a runtime needs to use a model, from its checkpoint alone.

Example:
    facts = describe(Checkpoint(Path("out/demo-tdt/checkpoint")))
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transducer.checkpoint.architecture import class_of, prompt_ids, sizes, whole
from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.config import reading
from transducer.core.cli import InputError
from transducer.core.contracts import graph_of
from transducer.core.version import __version__

# Settings of NeMo's mel frontend that its configs leave out, as NeMo 3.0 fills them in.
FRONTEND_DEFAULTS = {
    "window_size": 0.02,
    "window_stride": 0.01,
    "window": "hann",
    "normalize": "per_feature",
    "n_fft": None,
    "preemph": 0.97,
    "features": 64,
    "lowfreq": 0,
    "highfreq": None,
    "log": True,
    "log_zero_guard_type": "add",
    "log_zero_guard_value": 2**-24,
    "mag_power": 2.0,
    "mel_norm": "slaney",
    "exact_pad": False,
    "pad_value": 0.0,
}


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the model's facts: dims, blank, durations, frontend, tokenizer, source, versions.

    Dims are named as in the graph contracts: F features, D encoder width, L LSTM layers, H predictor
    width, V labels plus blank, K durations. `blank_id` is always V - 1.
    """
    with reading(checkpoint.source):
        return _describe(checkpoint)


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    config, labels, durations = checkpoint.config, checkpoint.labels, checkpoint.durations
    if len(labels) != whole(config, "joint.num_classes"):
        raise InputError(
            f"{checkpoint.source}: the config lists {len(labels)} labels but joint.num_classes is "
            f"{config['joint']['num_classes']}; save the model again with NeMo."
        )
    greedy = (config.get("decoding") or {}).get("greedy") or {}
    big_blanks = checkpoint.big_blank_durations
    dims = sizes(config, checkpoint.source)
    factor = dims.pop("subsampling")
    dims |= {"V": len(labels) + 1, "K": len(durations or big_blanks)}
    hat = class_of(config, "joint", checkpoint.source) == "HATJoint"
    return {
        "model_class": checkpoint.manifest["model_class"],
        "model_type": "tdt" if durations else "multiblank" if big_blanks else "rnnt",
        "dims": dims,
        "blank_id": len(labels),
        "durations": durations,
        **({"big_blank_durations": big_blanks} if big_blanks else {}),
        "joint_output": "log_probs" if hat else "logits",
        **describe_prompts(config),
        "predictor_state": describe_state(dims, blank=len(labels)),
        "max_symbols": int(greedy.get("max_symbols") or greedy.get("max_symbols_per_step") or 10),
        "subsampling_factor": factor,
        **describe_attention(config["encoder"]),
        **describe_input(config),
        "tokenizer": tokenizer_kind(checkpoint),
        "source": {"file": checkpoint.source, "sha256": checkpoint.manifest["sha256"]},
        "versions": {
            "torch": version("torch").partition("+")[0],
            "nemo": version("nemo_toolkit"),
            "transducer-export": __version__,
        },
    }


def describe_prompts(config: dict[str, Any]) -> dict[str, Any]:
    """Return the prompts of a model that takes some: its numbers by name, and the default of NeMo."""
    ids = prompt_ids(config)
    default = "auto" if "auto" in ids else next(iter(ids), "")
    return {"prompts": {"ids": ids, "default": default}} if ids else {}


def describe_state(dims: dict[str, int], blank: int) -> dict[str, Any]:
    """Return shape, dtype and first value of what the predictor carries from token to token; B is the batch."""
    graph = graph_of("predictor", dims)
    return {
        name: {
            "shape": [axis if axis == "B" else dims[axis] for axis in axes],
            "dtype": "int64" if name in graph.integers else "float",
            "value": blank if name in graph.integers else 0,
        }
        for name, axes in graph.inputs.items()
        if name != "y"
    }


def describe_attention(encoder: dict[str, Any]) -> dict[str, Any]:
    """Return how many encoder frames before and after itself a frame attends to, if its attention is local."""
    local = encoder.get("self_attention_model") == "rel_pos_local_attn"
    return {"local_attention": list(encoder["att_context_size"])} if local else {}


def describe_input(config: dict[str, Any]) -> dict[str, Any]:
    """Return what features are made from: the mel frontend's settings, or a swipe model's layout and frame rate."""
    if swipe := config.get("swipe"):
        return {"swipe": swipe}
    frontend = {**FRONTEND_DEFAULTS, **{k: v for k, v in config["preprocessor"].items() if k in FRONTEND_DEFAULTS}}
    return {
        "sample_rate": whole(config, "preprocessor.sample_rate"),
        "window_stride": float(frontend["window_stride"]),
        "frontend": frontend,
    }


def tokenizer_kind(checkpoint: Checkpoint) -> str:
    """Return char, bpe (SentencePiece), wpe (word pieces) or agg (several languages)."""
    return str((checkpoint.config.get("tokenizer") or {}).get("type") or "char")


def tokenizer_file(checkpoint: Checkpoint) -> Path | None:
    """Return the SentencePiece model in the unpacked checkpoint, if it has exactly one."""
    name = str((checkpoint.config.get("tokenizer") or {}).get("model_path") or "").removeprefix("nemo:")
    path = checkpoint.folder / name
    return path if name and path.is_file() else None


def as_props(facts: dict[str, Any]) -> dict[str, str]:
    """Return facts as ONNX metadata_props, which hold strings: plain values as they are, others as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        for key, value in facts.items()
    }
