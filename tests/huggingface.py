"""Write Hugging Face folders of transducers by transformers' own classes, at random or of a NeMo checkpoint.

Example:
    model = model_of("parakeet_tdt", vocabulary=129)
    write_folder(model, tokenizer_model, Path("/tmp/parakeet-tdt"))
"""

import json
import re
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.huggingface_weights import nemo_name

ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "subsampling_conv_channels": 16,
    "num_mel_bins": 80,
}
CACHE_AWARE = {"sliding_window": 29, "default_num_lookahead_tokens": 3}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "parakeet_tdt": ("Parakeet", {"attention_bias": False, "convolution_bias": False, "scale_input": False}),
    "parakeet_rnnt": ("Parakeet", {"convolution_bias": False}),
    "nemotron_asr_streaming": ("NemotronAsrStreaming", CACHE_AWARE),
    "nemotron3_5_asr": ("Nemotron3_5Asr", CACHE_AWARE),
}
SUFFIX = {"parakeet_tdt": "TDT", "parakeet_rnnt": "RNNT", "nemotron_asr_streaming": "RNNT", "nemotron3_5_asr": "RNNT"}


def model_of(kind: str, vocabulary: int, hidden: int = 24, layers: int = 1, **encoder: Any) -> Any:
    """Return a model of transformers in eval mode with lively random weights; `vocabulary` counts blank."""
    import torch
    import transformers

    family, settings = CONFIGS[kind]
    suffix = "TDT" if kind == "parakeet_tdt" else "RNNT" if family == "Parakeet" else ""
    config = getattr(transformers, f"{family}{suffix}Config")(
        vocab_size=vocabulary,
        blank_token_id=vocabulary - 1,
        decoder_hidden_size=hidden,
        num_decoder_layers=layers,
        **({"prompt_intermediate_size": 64, "num_prompts": 6, "default_prompt_id": 5} if "3_5" in kind else {}),
        encoder_config={**ENCODER, **settings, **encoder, "model_type": f"{family_type(kind)}_encoder"},
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{family}For{SUFFIX[kind]}")(config).eval()
    model.generation_config.decoder_start_token_id = vocabulary - 1
    if kind == "parakeet_tdt":
        # As in the published folders: generate() takes the best of all logits for the next token.
        model.generation_config.suppress_tokens = list(range(vocabulary, vocabulary + len(config.durations)))
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.5 if tensor.dim() < 2 else 1.5 / tensor[0].numel() ** 0.5)
        model.joint.head.bias[vocabulary - 1] = 3  # else most frames have as many tokens as they may
        if kind == "parakeet_tdt":
            model.joint.head.bias[vocabulary] = -9  # generate() does not bound the tokens of one frame
        if kind.startswith("nemotron"):
            attune(model)
    return model


def attune(model: Any) -> None:
    """Show the joint how encoder frames differ, which random ones do little beside all that they share."""
    import torch

    features, mask = torch.randn(1, 800, 80) * 1.7 - 6.4, torch.ones(1, 800, dtype=torch.bool)
    frames = model.encoder(features, attention_mask=mask).last_hidden_state
    if hasattr(model, "prompt_projector"):
        chosen = torch.eye(model.config.num_prompts)[model.config.default_prompt_id].expand(*frames.shape[:2], -1)
        frames = model.prompt_projector(torch.cat([frames, chosen], dim=-1))
    model.encoder_projector.weight *= 6
    model.encoder_projector.bias.copy_(-model.encoder_projector.weight @ frames.mean(dim=(0, 1)))


def family_type(kind: str) -> str:
    return "parakeet" if kind.startswith("parakeet") else "nemotron_asr_streaming"


def demo_model(checkpoint: Checkpoint) -> Any:
    """Return a model of transformers with the weights of a NeMo checkpoint, of demo-tdt's architecture."""
    config = checkpoint.config
    encoder, layers = config["encoder"], config["decoder"]["prednet"]["pred_rnn_layers"]
    model = model_of(
        "parakeet_tdt",
        len(checkpoint.labels) + 1,
        config["joint"]["jointnet"]["joint_hidden"],
        layers,
        hidden_size=encoder["d_model"],
        num_hidden_layers=encoder["n_layers"],
        num_attention_heads=encoder["n_heads"],
        intermediate_size=encoder["d_model"] * encoder["ff_expansion_factor"],
        subsampling_conv_channels=encoder["subsampling_conv_channels"],
        conv_kernel_size=encoder["conv_kernel_size"],
    )
    weights = dict(checkpoint.weights)
    # The last layer's number depends on whether there is dropout before it.
    weights |= {re.sub(r"joint_net\.\d", "joint_net.2", name): value for name, value in weights.items()}
    model.load_state_dict({name: weights[nemo_name(name)] for name in model.state_dict()})
    return model


def write_folder(model: Any, tokenizer: Path, folder: Path, **save: Any) -> Path:
    """Save a model with its feature extractor and a tokenizer.json, as transformers' own conversion does."""
    import transformers
    from transformers.convert_slow_tokenizer import ParakeetConverter

    model.save_pretrained(folder, **save)
    kind = "Parakeet" if model.config.model_type.startswith("parakeet") else "NemotronAsrStreaming"
    extractor = getattr(transformers, f"{kind}FeatureExtractor")(feature_size=model.config.encoder_config.num_mel_bins)
    extractor.save_pretrained(folder)
    fast = ParakeetConverter(str(tokenizer)).converted()
    fast.add_special_tokens(["<blank>"])
    fast.save(str(folder / "tokenizer.json"))
    return folder


def edit(path: Path, **changes: Any) -> None:
    """Change settings of a JSON file; None removes one."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")
