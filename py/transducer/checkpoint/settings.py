"""Settings of a checkpoint's modules: those that cannot be exported, and those that NeMo's constructors refuse.

Example:
    require_exportable("decoder", "RNNTDecoder", config["decoder"], "demo-tdt.nemo")
    module = construct(RNNTDecoder, config["decoder"], "decoder", "demo-tdt.nemo")
"""

from collections.abc import Mapping
from typing import Any

from transducer.core.cli import InputError

# Settings by class and dotted name, the values that graphs can be made of, and why only those.
EXPORTABLE: dict[str, dict[str, tuple[tuple[Any, ...], str]]] = {
    "ConformerEncoder": {
        "self_attention_model": (
            ("rel_pos", "rel_pos_local_attn", "abs_pos"),
            "attention of other kinds has no graph yet",
        ),
    },
    "ConvASREncoder": {"frame_splicing": ((1,), "graphs take one frame of features at a time")},
    "RNNEncoder": {"rnn_type": (("lstm",), "NeMo itself has no layers of other kinds")},
    "RNNTDecoder": {
        "blank_as_pad": ((True, None), "graphs look blank up as a label"),
        "normalization_mode": ((None,), "its LSTM has no counterpart in ONNX"),
    },
    # Of a Hugging Face folder's config, whose weights become those of NeMo's classes.
    "transformers": {
        "hidden_act": (("relu", "tanh", "sigmoid"), "NeMo's joint has no other"),
        "encoder_config.hidden_act": (("silu", "swish"), "NeMo's Conformer has no other"),
        "encoder_config.subsampling_conv_kernel_size": ((3,), "NeMo's subsampling has no other"),
        "encoder_config.subsampling_conv_stride": ((2,), "NeMo's subsampling has no other"),
    },
}


def require_exportable(section: str, kind: str, settings: Mapping[str, Any], source: str) -> None:
    """Raise InputError for a setting of a class that loads but cannot be exported."""
    for name, (values, reason) in EXPORTABLE.get(kind, {}).items():
        value: Any = settings
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and value not in values:
            known = " or ".join(str(one) for one in values if one is not None) or "nothing"
            raise InputError(
                f"{source}: {section}.{name} is {value} and only {known} can be exported, as {reason}; train without "
                "it."
            )


def construct(kind: Any, settings: dict[str, Any], section: str, source: str) -> Any:
    """Return a module built from its settings. Raises: InputError that names the setting which NeMo refuses."""
    try:
        return kind(**settings)
    except MemoryError:
        raise InputError(f"{source}: its {section} does not fit into memory; correct its config.") from None
    except Exception as error:  # whatever a constructor says of settings that it was not written for
        name = _culprit(kind, settings) or section
        where = section if name == section else f"{section}.{name}"
        message = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{source}: NeMo's {kind.__name__} refuses {where} ({message}); correct its config.") from None


def _culprit(kind: Any, settings: dict[str, Any]) -> str:
    """Return the dotted name of the one setting without which the module can be built, if there is one."""
    small = settings | {"n_layers": 1} if settings.get("n_layers") else settings
    for name in settings:
        inner = settings[name]
        trials = [(name, {key: value for key, value in small.items() if key != name})]
        if isinstance(inner, dict):
            trials = [
                (f"{name}.{key}", small | {name: {k: v for k, v in inner.items() if k != key}}) for key in inner
            ] + trials
        for path, trial in trials:
            try:
                kind(**trial)
            except Exception:
                continue
            return path
    return ""


def limit_attention(encoder: dict[str, Any], context: str, source: str) -> None:
    """Give an encoder of full attention a local one, LEFT,RIGHT in its frames; the weights are the same.

    Raises: InputError for a context that is not one, or for an encoder whose attention is limited already.
    """
    try:
        left, right = (int(frames) for frames in context.split(","))
    except ValueError:
        left = right = -1
    if min(left, right) < 0 or max(left, right) < 1:
        raise InputError(f"ATT_CONTEXT is {context}; give two numbers of encoder frames, as 128,128.")
    limited = encoder.get("att_context_size") not in (None, [-1, -1]) or encoder.get("att_context_style") not in (
        None,
        "regular",
    )
    if limited or encoder.get("self_attention_model", "rel_pos") != "rel_pos":
        raise InputError(
            f"{source}: its attention is not full and relative, so ATT_CONTEXT cannot limit it; leave it out."
        )
    encoder |= {"self_attention_model": "rel_pos_local_attn", "att_context_size": [left, right]}
