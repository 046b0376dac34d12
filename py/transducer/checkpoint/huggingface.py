"""Read a Hugging Face folder of a transducer as the config, weights and tokenizer that NeMo would have saved.

Example:
    if is_huggingface(folder):
        config, weights, tokenizer = read_huggingface(folder)

The architecture is the same, under other names; what transformers keeps outside encoder and predictor, the two
projections, is the joint's here as in NeMo. Nothing is unpickled, and no code of the folder is run.
"""

from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.checkpoint.huggingface_tokenizer import sentencepiece_model
from transducer.checkpoint.huggingface_weights import fill_biases, nemo_name, read_json, read_safetensors
from transducer.core.cli import InputError

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"

# By model_type: the class of transformers that reads its config.
CONFIGS = {
    "parakeet_tdt": "ParakeetTDTConfig",
    "parakeet_rnnt": "ParakeetRNNTConfig",
    "nemotron_asr_streaming": "NemotronAsrStreamingConfig",
}
# Settings that NeMo's classes have no counterpart for, but in these values.
EXPORTABLE: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("relu", "tanh", "sigmoid"),
    "encoder_config.hidden_act": ("silu", "swish"),
    "encoder_config.subsampling_conv_kernel_size": (3,),
    "encoder_config.subsampling_conv_stride": (2,),
}


def is_huggingface(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def read_huggingface(folder: Path) -> "tuple[dict[str, Any], dict[str, torch.Tensor], bytes]":
    """Return a NeMo config, weights by NeMo's names (any dtype) and a serialised SentencePiece model.

    Raises: InputError for a folder of another architecture, with code of its own, or with files missing.
    """
    raw = read_json(folder / CONFIG)
    require_transducer(raw, folder)
    settings = parsed(raw, folder)
    labels = int(settings.vocab_size) - 1
    if settings.blank_token_id != labels:
        raise InputError(
            f"{folder}: its blank is token {settings.blank_token_id} of {settings.vocab_size}, and only the last can "
            "be exported; save it with the blank last."
        )
    config = nemo_config(settings, read_features(folder), read_lookaheads(folder))
    weights = {nemo_name(name): tensor for name, tensor in read_safetensors(folder).items()}
    if config["encoder"]["use_bias"]:
        fill_biases(weights)
    return config, weights, sentencepiece_model(read_json(folder / TOKENIZER), folder / TOKENIZER, labels)


def require_transducer(raw: dict[str, Any], folder: Path) -> None:
    kind = raw.get("model_type")
    if "auto_map" in raw:
        raise InputError(
            f"{folder}: its {CONFIG} names code of its own (auto_map), which is never run; bring a model of a class of "
            "transformers itself."
        )
    if isinstance(kind, str) and kind.endswith("_ctc"):
        raise InputError(f"{folder}: {kind} is a CTC model, without predictor and joint; bring an RNN-T or TDT.")
    if kind == "nemotron3_5_asr":
        raise InputError(f"{folder}: {kind} takes a language prompt, which cannot be exported yet.")
    if not isinstance(kind, str) or kind not in CONFIGS:
        raise InputError(f"{folder}: a model_type of {kind!r} is not supported; bring one of {', '.join(CONFIGS)}.")


def parsed(raw: dict[str, Any], folder: Path) -> Any:
    """Return transformers' own reading of a config, which knows the defaults of what is left out."""
    import transformers

    try:
        settings = getattr(transformers, CONFIGS[raw["model_type"]]).from_dict(raw)
        encoder = settings.encoder_config
        sizes = [settings.vocab_size, settings.decoder_hidden_size, settings.num_decoder_layers, encoder.hidden_size,
                 encoder.num_hidden_layers, encoder.num_attention_heads, encoder.intermediate_size]  # fmt: skip
        if min(sizes) < 1 or encoder.intermediate_size % encoder.hidden_size:
            raise ValueError("a size is below 1, or intermediate_size is not a multiple of hidden_size")
    except Exception as error:  # whatever strict dataclasses say of a stranger's values
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{folder}: transformers refuses its {CONFIG} ({said:.200}); correct it.") from None
    for name, values in EXPORTABLE.items():
        value = attrgetter(name)(settings)
        if value not in values:
            wanted = " or ".join(str(one) for one in values)
            raise InputError(
                f"{folder}: {name} is {value} and only {wanted} can be exported; bring a model without it."
            )
    return settings


def read_features(folder: Path) -> dict[str, Any]:
    """Return the settings of a folder's feature extractor."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            content = read_json(folder / name)
            features = content.get("feature_extractor", content)
            if isinstance(features, dict) and "feature_size" in features:
                return features
    raise InputError(f"{folder} has no preprocessor_config.json, which says how features are made; add the model's.")


def read_lookaheads(folder: Path) -> list[int]:
    """Return the look-aheads, in encoder frames, that a cache-aware model's processor lists."""
    path = folder / "processor_config.json"
    listed = read_json(path).get("supported_num_lookahead_tokens") if path.is_file() else None
    return [int(frames) for frames in listed] if isinstance(listed, list) else []


def nemo_config(settings: Any, features: Mapping[str, Any], lookaheads: list[int]) -> dict[str, Any]:
    """Return the NeMo model config of the same architecture."""
    encoder, durations = settings.encoder_config, list(getattr(settings, "durations", []))
    cache_aware = hasattr(encoder, "sliding_window")
    rate = int(features.get("sampling_rate", 16000))
    hidden = settings.decoder_hidden_size
    attention: dict[str, Any] = {"att_context_size": [-1, -1], "att_context_style": "regular"}
    if cache_aware:
        default = encoder.default_num_lookahead_tokens
        ahead = [default, *(frames for frames in lookaheads if frames != default)]
        left = encoder.sliding_window - 1
        attention = {"att_context_size": [[left, frames] for frames in ahead], "att_context_style": "chunked_limited"}
    tdt = {"durations": durations, "sigma": 0.02, "omega": 0.1}
    return {
        "target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
        "sample_rate": rate,
        "tokenizer": {"dir": ".", "type": "bpe", "model_path": "nemo:tokenizer.model"},
        "model_defaults": {
            "enc_hidden": encoder.hidden_size,
            "pred_hidden": hidden,
            "joint_hidden": hidden,
            **({"tdt_durations": durations, "num_tdt_durations": len(durations)} if durations else {}),
        },
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "sample_rate": rate,
            "normalize": "NA" if cache_aware else "per_feature",
            "window_size": features.get("win_length", 400) / rate,
            "window_stride": features.get("hop_length", 160) / rate,
            "window": "hann",
            "features": int(features["feature_size"]),
            "n_fft": int(features.get("n_fft", 512)),
            "preemph": features.get("preemphasis", 0.97),
            "dither": 0.0,
            "pad_to": 0,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConformerEncoder",
            "feat_in": encoder.num_mel_bins,
            "n_layers": encoder.num_hidden_layers,
            "d_model": encoder.hidden_size,
            "use_bias": bool(encoder.attention_bias or encoder.convolution_bias),
            "subsampling": "dw_striding",
            "subsampling_factor": encoder.subsampling_factor,
            "subsampling_conv_channels": encoder.subsampling_conv_channels,
            "causal_downsampling": cache_aware,
            "ff_expansion_factor": encoder.intermediate_size // encoder.hidden_size,
            "self_attention_model": "rel_pos",
            "n_heads": encoder.num_attention_heads,
            **attention,
            "xscaling": bool(encoder.scale_input),
            "untie_biases": True,
            "pos_emb_max_len": encoder.max_position_embeddings,
            "conv_kernel_size": encoder.conv_kernel_size,
            "conv_norm_type": "layer_norm" if cache_aware else "batch_norm",
            "conv_context_size": "causal" if cache_aware else None,
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {"pred_hidden": hidden, "pred_rnn_layers": settings.num_decoder_layers, "dropout": 0.0},
        },
        "joint": {
            "_target_": "nemo.collections.asr.modules.RNNTJoint",
            "log_softmax": None,
            "num_extra_outputs": len(durations),
            # NeMo leaves the dropout layer out where it is 0, and the weights after it would be named otherwise.
            "jointnet": {"joint_hidden": hidden, "activation": settings.hidden_act, "dropout": 0.2},
        },
        "decoding": {
            "strategy": "greedy_batch",
            "greedy": {"max_symbols": settings.max_symbols_per_step, "use_cuda_graph_decoder": False},
            **({"model_type": "tdt", "durations": durations} if durations else {}),
        },
        "loss": {"loss_name": "tdt", "tdt_kwargs": tdt} if durations else {"loss_name": "default"},
    }
