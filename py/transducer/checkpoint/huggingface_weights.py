"""Weights of a Hugging Face folder, and what NeMo calls them.

Example:
    weights = {nemo_name(name): tensor for name, tensor in read_safetensors(folder).items()}
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transducer.core.cli import InputError

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

SUBSAMPLING = r"encoder\.subsampling\.layers\."
# transformers' names of weights, and NeMo's.
NAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"encoder\.subsampling\.linear\.", "encoder.pre_encode.out."),
    (r"encoder\.subsampling\.conv_in\.", "encoder.pre_encode.conv.0."),
    # A cache-aware model numbers its pairs of convolutions, from 0 on, where NeMo counts activations too.
    (rf"{SUBSAMPLING}(\d+)\.depthwise_conv\.", lambda m: f"encoder.pre_encode.conv.{2 + 3 * int(m[1])}."),
    (rf"{SUBSAMPLING}(\d+)\.pointwise_conv\.", lambda m: f"encoder.pre_encode.conv.{3 + 3 * int(m[1])}."),
    (SUBSAMPLING, "encoder.pre_encode.conv."),
    (r"(encoder\.layers\.\d+\.self_attn\.)([qkv])_proj\.", r"\1linear_\2."),
    (r"(encoder\.layers\.\d+\.self_attn\.)o_proj\.", r"\1linear_out."),
    (r"(encoder\.layers\.\d+\.self_attn\.)relative_k_proj\.", r"\1linear_pos."),
    (r"(encoder\.layers\.\d+\.self_attn\.)bias_([uv])$", r"\1pos_bias_\2"),
    (r"(encoder\.layers\.\d+\.conv\.)norm\.", r"\1batch_norm."),
    (r"decoder\.embedding\.", "decoder.prediction.embed."),
    (r"decoder\.lstm\.", "decoder.prediction.dec_rnn.lstm."),
    (r"encoder_projector\.", "joint.enc."),
    (r"decoder\.decoder_projector\.", "joint.pred."),
    (r"joint\.head\.", "joint.joint_net.2."),
    (r"prompt_projector\.linear_1\.", "prompt_kernel.0."),
    (r"prompt_projector\.linear_2\.", "prompt_kernel.2."),
]  # fmt: skip
# A layer has biases in NeMo everywhere or nowhere; these are without one either way.
UNBIASED = re.compile(r"encoder\.layers\.\d+\.(self_attn\.linear_pos|.*norm.*)\.weight")


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent} has no {path.name}; copy or download the whole folder.") from None
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path} is damaged; copy or download it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a file of settings; copy or download it again.")
    return content


def nemo_name(name: str) -> str:
    """Return NeMo's name of a weight of transformers."""
    for pattern, replacement in NAMES:
        renamed, count = re.subn(rf"^{pattern}", replacement, name)
        if count:
            return renamed
    return name


def read_safetensors(folder: Path) -> "dict[str, torch.Tensor]":
    """Return the tensors of one safetensors file, or of the files that an index lists."""
    from safetensors import SafetensorError, safe_open

    if (folder / INDEX).is_file():
        listed = read_json(folder / INDEX).get("weight_map")
        files = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
        if not files or any(Path(name).name != name for name in files):
            raise InputError(f"{folder / INDEX} does not list files of its own folder; download it again.")
    else:
        files = [WEIGHTS]
    weights: dict[str, torch.Tensor] = {}
    for name in files:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} has no {name}; copy or download the whole folder, with weights as safetensors, not pickled."
            )
        try:
            with safe_open(folder / name, framework="pt") as stored:
                weights |= {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118  # no mapping
        except (SafetensorError, OSError, ValueError):
            raise InputError(f"{folder / name} is damaged; copy or download it again.") from None
    return weights


def fill_biases(weights: "dict[str, torch.Tensor]") -> None:
    """Add zeros where a Conformer layer has a weight but no bias; NeMo has one setting for all of a layer's."""
    for name in list(weights):
        bias = re.sub(r"weight$", "bias", name)
        if re.match(r"encoder\.layers\.", name) and name.endswith(".weight") and not UNBIASED.fullmatch(name):
            weights.setdefault(bias, weights[name].new_zeros(len(weights[name])))


def frontend_buffers(preprocessor: Mapping[str, Any]) -> "dict[str, torch.Tensor]":
    """Return the window [samples] and mel filters [1,F,n_fft/2+1] that NeMo keeps among a checkpoint's weights."""
    import librosa
    import torch

    rate, fft = preprocessor["sample_rate"], preprocessor["n_fft"]
    filters = librosa.filters.mel(sr=rate, n_fft=fft, n_mels=preprocessor["features"], fmin=0, fmax=rate / 2)
    return {
        "preprocessor.featurizer.window": torch.hann_window(round(preprocessor["window_size"] * rate), periodic=False),
        "preprocessor.featurizer.fb": torch.tensor(filters, dtype=torch.float32)[None],
    }
