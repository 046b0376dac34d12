"""Read a Hugging Face folder of a transducer as the config, weights and tokenizer that NeMo would have saved.

Example:
    if is_huggingface(folder):
        config, weights, tokenizer = read_huggingface(folder)

The architecture is the same, under other names; what transformers keeps outside encoder and predictor, the two
projections, is the joint's here as in NeMo. Nothing is unpickled, and no code of the folder is run.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.checkpoint.huggingface_config import nemo_config
from transducer.checkpoint.huggingface_tokenizer import sentencepiece_model
from transducer.checkpoint.huggingface_weights import (
    fill_biases,
    frontend_buffers,
    nemo_name,
    read_json,
    read_safetensors,
)
from transducer.checkpoint.settings import require_exportable
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
    "nemotron3_5_asr": "Nemotron3_5AsrConfig",
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
    if hasattr(settings, "num_prompts"):
        config["target"] = f"{config['target']}WithPrompt"
        config["model_defaults"] |= prompt_defaults(settings, folder)
    weights = {nemo_name(name): tensor for name, tensor in read_safetensors(folder).items()}
    weights |= frontend_buffers(config["preprocessor"])
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
        if getattr(settings, "prompt_intermediate_size", 2 * encoder.hidden_size) != 2 * encoder.hidden_size:
            raise ValueError("prompt_intermediate_size is not twice hidden_size")
    except Exception as error:  # whatever strict dataclasses say of a stranger's values
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{folder}: transformers refuses its {CONFIG} ({reason:.200}); correct it.") from None
    require_exportable("transformers", "transformers", settings.to_dict(), str(folder))
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


def prompt_defaults(settings: Any, folder: Path) -> dict[str, Any]:
    """Return what NeMo says of a model's prompts: their number, and their numbers by name."""
    from transformers.models.nemotron3_5_asr import processing_nemotron3_5_asr as processing

    path = folder / "processor_config.json"
    listed = read_json(path).get("prompt_dictionary") if path.is_file() else None
    names = listed or processing.DEFAULT_PROMPT_DICTIONARY
    # What transformers takes where nobody asks for another is the default here too.
    prompts = {**names, "auto": settings.default_prompt_id}
    known = {name: number for name, number in prompts.items() if number < settings.num_prompts}
    return {"initialize_prompt_feature": True, "num_prompts": settings.num_prompts, "prompt_dictionary": known}


def read_lookaheads(folder: Path) -> list[int]:
    """Return the look-aheads, in encoder frames, that a cache-aware model's processor lists."""
    path = folder / "processor_config.json"
    listed = read_json(path).get("supported_num_lookahead_tokens") if path.is_file() else None
    return [int(frames) for frames in listed] if isinstance(listed, list) else []
