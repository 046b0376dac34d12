"""The classes of NeMo that a transducer may be made of, and the sizes of each, by its config alone.

Example:
    kind = class_of(config, "encoder", "demo-tdt.nemo")
    dims = sizes(config)  # {"F": 80, "D": 144, "L": 1, "H": 128}

What the graphs of a class are made of is in export/encoders.py, export/predictors.py and export/joints.py.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from transducer.core.cli import InputError

Settings = Mapping[str, Any]
Sizes = dict[str, int]


def whole(settings: Settings, path: str) -> int:
    """Return a setting by its dotted name. Raises: KeyError, or ValueError if it is not a whole number above 0."""
    value: Any = settings
    for key in path.split("."):
        value = value[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{path} is {value!r} where a whole number above 0 belongs")
    return value


def _feat_out(encoder: Settings) -> int:
    """Return the width of encoder frames: d_model unless another is asked for."""
    return whole(encoder, "feat_out") if (encoder.get("feat_out") or -1) > 0 else whole(encoder, "d_model")


def _conformer(encoder: Settings) -> Sizes:
    reduction = whole(encoder, "reduction_factor") if encoder.get("reduction") else 1
    factor = whole({"subsampling_factor": 4, **encoder}, "subsampling_factor") * reduction
    return {"F": whole(encoder, "feat_in"), "D": _feat_out(encoder), "subsampling": factor}


def _conv_asr(encoder: Settings) -> Sizes:
    blocks = [dict(block) for block in encoder["jasper"]]
    strides = [block["stride"] for block in blocks]
    factor = math.prod(int(stride[0] if isinstance(stride, list) else stride) for stride in strides)
    return {"F": whole(encoder, "feat_in"), "D": whole(blocks[-1], "filters"), "subsampling": factor}


def _rnn(encoder: Settings) -> Sizes:
    subsampled = bool({"subsampling": "striding", **encoder}["subsampling"])
    factor = whole({"subsampling_factor": 4, **encoder}, "subsampling_factor") if subsampled else 1
    return {"F": whole(encoder, "feat_in"), "D": whole(encoder, "proj_size"), "subsampling": factor}


def _transformer(encoder: Settings) -> Sizes:
    subsampled = bool({"subsampling": "feature_stacking", **encoder}["subsampling"])
    factor = whole({"subsampling_factor": 4, **encoder}, "subsampling_factor") if subsampled else 1
    return {"F": whole({"feat_in": 128, **encoder}, "feat_in"), "D": _feat_out(encoder), "subsampling": factor}


def _lstm(decoder: Settings) -> Sizes:
    """Return layers and width of an LSTM, and R, the width of its cells, where its output is a projection of them."""
    width, cells = whole(decoder, "prednet.pred_hidden"), decoder["prednet"].get("rnn_hidden_size") or -1
    if 0 < cells < width:
        raise ValueError(f"prednet.rnn_hidden_size is {cells} where pred_hidden or more belongs")
    projected = {"R": whole(decoder, "prednet.rnn_hidden_size")} if cells > width else {}
    return {"L": whole(decoder, "prednet.pred_rnn_layers"), "H": width, **projected}


def _stateless(decoder: Settings) -> Sizes:
    """Return the width, and how many tokens before the last one it sees."""
    context = whole({"context_size": 1, **decoder}, "context_size")
    return {"H": whole(decoder, "prednet.pred_hidden"), "history": context - 1}


def prompt_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the prompts that a model was trained with, by name; none of most models."""
    defaults = config.get("model_defaults") or {}
    if not defaults.get("initialize_prompt_feature"):
        return {}
    return {str(name): int(number) for name, number in defaults["prompt_dictionary"].items()}


def _prompts(config: Mapping[str, Any]) -> Sizes:
    """Return P, how many prompts there is room for."""
    return {"P": whole({"num_prompts": 128, **config["model_defaults"]}, "num_prompts")} if prompt_ids(config) else {}


def speaker_kernels(config: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return before which layers a multi-talker model learns who speaks, by the name of its kernels; or nothing."""
    if not (kind := config.get("spk_kernel_type")):
        return {}
    if kind != "ff":
        raise ValueError(f"spk_kernel_type is {kind!r} where ff belongs")
    layers = [int(layer) for layer in config.get("spk_kernel_layers", [0])]
    if not all(0 <= layer < whole(config, "encoder.n_layers") for layer in layers):
        raise ValueError(f"spk_kernel_layers are {layers}, which are not all among encoder.n_layers")
    return dict.fromkeys(SPEAKER_KERNELS[: 2 if config.get("add_bg_spk_kernel", True) else 1], layers)


def _none(_: Settings) -> Sizes:
    return {}


# The section of a hybrid's CTC head, which its config has under aux_ctc.
CTC_HEAD = "ctc_decoder"
# By section of a config: the classes that are ever instantiated, and the function from their settings to sizes.
CLASSES: dict[str, dict[str, Callable[[Settings], Sizes]]] = {
    "encoder": {
        "ConformerEncoder": _conformer,
        "ConvASREncoder": _conv_asr,
        "RNNEncoder": _rnn,
        "TransformerEncoder": _transformer,
    },
    "decoder": {"RNNTDecoder": _lstm, "StatelessTransducerDecoder": _stateless},
    "joint": {"RNNTJoint": _none, "HATJoint": _none, "SampledRNNTJoint": _none},
    CTC_HEAD: {"ConvASRDecoder": _none},
    "preprocessor": {"AudioToMelSpectrogramPreprocessor": _none},
}
# The sections that make a transducer.
SECTIONS = ("encoder", "decoder", "joint")
# What conditions the encoder's frames on a prompt: weights without a section of their own.
PROMPT_KERNEL = "prompt_kernel"
# What tells an encoder who speaks: the speaker who is to be heard, and all others.
SPEAKER_KERNELS = ("spk_kernels", "bg_spk_kernels")


def class_of(config: Mapping[str, Any], section: str, source: str) -> str:
    """Return the class of a config's section. Raises: InputError for one that cannot be exported."""
    name = str((config.get(section) or {}).get("_target_", "")).rpartition(".")[2]
    if name not in CLASSES[section]:
        supported = ", ".join(CLASSES[section])
        raise InputError(f"{source}: its {section} is a {name or 'nameless class'}; only {supported} can be exported.")
    return name


def peculiarity(facts: Mapping[str, Any]) -> str:
    """Return what of a model is beyond encoder, LSTM and one blank, so that not every runtime takes it; or nothing."""
    dims = facts["dims"]
    peculiarities = {
        "a predictor whose state is its last tokens": "history" in dims,
        "a predictor whose states are wider than its output": "R" in dims,
        "several blanks": bool(facts.get("big_blank_durations")),
        "an encoder that takes a prompt": "P" in dims,
        "an encoder that takes who speaks": "S" in dims,
    }
    return next((what for what, has in peculiarities.items() if has), "")


def sizes(config: Mapping[str, Any], source: str) -> Sizes:
    """Return the dims that encoder, predictor and prompts have, named as in the graph contracts, and `subsampling`.

    Raises: InputError for a class that cannot be exported; KeyError or ValueError for settings that do not say sizes.
    """
    dims: Sizes = {}
    for section in SECTIONS:
        try:
            dims |= CLASSES[section][class_of(config, section, source)](config[section])
        except KeyError as error:
            raise KeyError(f"{section}.{error.args[0]}") from None
        except ValueError as error:
            raise ValueError(f"{section}.{error}") from None
    kernels = speaker_kernels(config)
    return dims | _prompts(config) | ({"S": len(kernels)} if kernels else {})
