"""Write a small random checkpoint of any model class that a user may bring, by NeMo's own classes.

Example:
    .venv/bin/python tests/checkpoints.py --kind bpe-tdt --output /tmp/bpe-tdt.nemo
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORPUS = "set a timer for ten minutes. what time is it in london? turn off the kitchen lights at seven"
LETTERS = list(" abcdefghijklmnopqrstuvwxyz'")
DURATIONS = [0, 1, 2, 3, 4]
SMALL_VOCABULARY = 48

ENCODER: dict[str, Any] = {
    "_target_": "nemo.collections.asr.modules.ConformerEncoder",
    "feat_in": 80,
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 4,
    "subsampling": "dw_striding",
    "subsampling_factor": 8,
    "subsampling_conv_channels": 16,
    "ff_expansion_factor": 4,
    "self_attention_model": "rel_pos",
    "att_context_size": [-1, -1],
    "xscaling": True,
    "untie_biases": True,
    "conv_kernel_size": 9,
    "conv_norm_type": "batch_norm",
    "dropout": 0.1,
    "dropout_pre_encoder": 0.1,
    "dropout_emb": 0.0,
    "dropout_att": 0.1,
}
CACHE_AWARE = {
    "causal_downsampling": True,
    "conv_context_size": "causal",
    "conv_norm_type": "layer_norm",
    "att_context_style": "chunked_limited",
    "att_context_size": [[28, 3], [28, 1], [28, 0]],
}
CONTEXT_NET_BLOCK = {
    "repeat": 2,
    "kernel": [5],
    "stride": [1],
    "dilation": [1],
    "dropout": 0.1,
    "residual": True,
    "separable": True,
    "se": True,
    "se_context_size": -1,
}
CONTEXT_NET_STRIDE = CONTEXT_NET_BLOCK | {"stride": [2], "stride_last": True, "residual_mode": "stride_add"}
CONTEXT_NET = {
    "_target_": "nemo.collections.asr.modules.ConvASREncoder",
    "feat_in": 80,
    "activation": "swish",
    "conv_mask": True,
    "jasper": [
        CONTEXT_NET_BLOCK | {"filters": 32, "repeat": 1, "residual": False},
        CONTEXT_NET_STRIDE | {"filters": 32, "kernel_size_factor": 1.0},
        CONTEXT_NET_BLOCK | {"filters": 24, "kernel": [7]},
        CONTEXT_NET_STRIDE | {"filters": 24, "kernel": [11], "se_context_size": 16},
        CONTEXT_NET_BLOCK | {"filters": 40, "repeat": 1, "kernel": [1], "residual": False},
    ],
}
LSTM_ENCODER = {
    "_target_": "nemo.collections.asr.modules.RNNEncoder",
    "feat_in": 80,
    "n_layers": 2,
    "d_model": 48,
    "proj_size": 32,
    "rnn_type": "lstm",
    "bidirectional": True,
    "subsampling": "stacking",
    "subsampling_factor": 4,
    "subsampling_conv_channels": -1,
    "dropout": 0.2,
}
TRANSFORMER = {
    "_target_": "nemo.collections.asr.modules.TransformerEncoder",
    "feat_in": 80,
    "d_model": 32,
    "n_heads": 2,
    "n_layers": 2,
    "subsampling_factor": 4,
    "qk_norm": True,
}
PROMPTS = {"en-US": 0, "de-DE": 1, "auto": 5}
STATELESS = {"_target_": "nemo.collections.asr.modules.StatelessTransducerDecoder", "normalization_mode": "layer"}
# The published architecture of parakeet-tdt-0.6b-v3.
PARAKEET = {
    "feat_in": 128,
    "n_layers": 24,
    "d_model": 1024,
    "n_heads": 8,
    "subsampling_conv_channels": 256,
    "use_bias": False,
    "xscaling": False,
}

KINDS: dict[str, dict[str, Any]] = {
    "bpe-tdt": {"model": "EncDecRNNTBPEModel", "durations": DURATIONS},
    "bpe-rnnt": {"model": "EncDecRNNTBPEModel", "durations": []},
    "hybrid-tdt": {"model": "EncDecHybridRNNTCTCBPEModel", "durations": DURATIONS},
    "char-rnnt": {"model": "EncDecRNNTModel", "durations": []},
    "cache-aware-rnnt": {"model": "EncDecRNNTBPEModel", "durations": [], "encoder": CACHE_AWARE},
    "cache-aware-tdt": {"model": "EncDecRNNTBPEModel", "durations": DURATIONS, "encoder": CACHE_AWARE},
    "cache-aware-hybrid": {"model": "EncDecHybridRNNTCTCBPEModel", "durations": [], "encoder": CACHE_AWARE},
    "local-attention-tdt": {
        "model": "EncDecRNNTBPEModel",
        "durations": DURATIONS,
        "encoder": {"self_attention_model": "rel_pos_local_attn", "att_context_size": [8, 5]},
    },
    "global-tokens-rnnt": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "encoder": {
            "self_attention_model": "rel_pos_local_attn",
            "att_context_size": [8, 8],
            "global_tokens": 2,
            "global_tokens_spacing": 3,
            "global_attn_separate": True,
        },
    },
    "absolute-positions-rnnt": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "encoder": {"self_attention_model": "abs_pos"},
    },
    "stateless-tdt": {
        "model": "EncDecRNNTBPEModel",
        "durations": DURATIONS,
        "decoder": {**STATELESS, "context_size": 2},
        "strategy": "greedy",
    },
    "hat": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "joint": {"_target_": "nemo.collections.asr.modules.HATJoint"},
    },
    # Of several streams at once NeMo passes over the fewest frames that any of them may.
    "multi-blank": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "big_blanks": [2, 4, 8],
        "strategy": "greedy",
    },
    "context-net": {"model": "EncDecRNNTModel", "durations": [], "encoder": CONTEXT_NET},
    "lstm": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "encoder": LSTM_ENCODER,
        "prednet": {"rnn_hidden_size": 36},
        "strategy": "greedy",  # NeMo's batched search begins with states of another size
        "layers": 2,
    },
    "one-way-lstm": {
        "model": "EncDecRNNTBPEModel",
        "durations": [],
        "encoder": LSTM_ENCODER | {"bidirectional": False, "subsampling": "stacking_norm"},
    },
    "transformer-tdt": {"model": "EncDecRNNTBPEModel", "durations": DURATIONS, "encoder": TRANSFORMER},
    "end-of-utterance-rnnt": {
        "model": "EncDecRNNTBPEEOUModel",
        "durations": [],
        "encoder": CACHE_AWARE,
        "symbols": ["<EOU>", "<EOB>"],
        "vocabulary": SMALL_VOCABULARY + 2,
    },
    "prompt-rnnt": {
        "model": "EncDecRNNTBPEModelWithPrompt",
        "durations": [],
        "encoder": CACHE_AWARE,
        "defaults": {"initialize_prompt_feature": True, "num_prompts": 6, "prompt_dictionary": PROMPTS},
    },
    "multi-talker-rnnt": {
        "model": "EncDecMultiTalkerRNNTBPEModel",
        "durations": [],
        "encoder": CACHE_AWARE,
        "config": {"spk_kernel_type": "ff", "spk_kernel_layers": [0, 1], "add_bg_spk_kernel": True},
    },
    # A predictor of the size that some runtimes have in their code.
    "large-predictor-tdt": {
        "model": "EncDecRNNTBPEModel",
        "durations": DURATIONS,
        "hidden": 640,
        "layers": 2,
    },
    "parakeet-tdt-0.6b-v3": {
        "model": "EncDecRNNTBPEModel",
        "durations": DURATIONS,
        "encoder": PARAKEET,
        "vocabulary": 8192,
        "hidden": 640,
        "layers": 2,
    },
}


def train_tokenizer(folder: Path, size: int, symbols: Sequence[str] = ()) -> None:
    """Write a SentencePiece BPE tokenizer of exactly `size` pieces, symbols among them, in the form that NeMo reads."""
    import sentencepiece

    prefix = folder / "tokenizer"
    (folder / "corpus.txt").write_text(f"{CORPUS}\n", encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(prefix),
        model_type="bpe",
        vocab_size=size,
        # A sentence fills a small vocabulary; numbered symbols fill the rest of a large one.
        user_defined_symbols=[*symbols, *(f"<{i}>" for i in range(size - SMALL_VOCABULARY - len(symbols)))],
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    pieces = [line.split("\t")[0] for line in prefix.with_suffix(".vocab").read_text("utf-8").splitlines()]
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces[1:]), encoding="utf-8")


def streams(encoder: dict[str, Any]) -> bool:
    """Return whether an encoder is of a kind that is trained for streams, without features of the whole utterance."""
    return "causal_downsampling" in encoder or encoder.get("bidirectional") is False


def config_of(kind: str, tokenizer: Path, **encoder: Any) -> dict[str, Any]:
    """Return the NeMo model config of a kind; keyword arguments override encoder settings."""
    spec = KINDS[kind]
    base = {} if "_target_" in spec.get("encoder", {}) else ENCODER
    encoder = {**base, **spec.get("encoder", {}), **encoder}
    hidden, layers, durations = spec.get("hidden", 24), spec.get("layers", 1), spec["durations"]
    big_blanks = spec.get("big_blanks", [])
    width = (
        encoder["jasper"][-1]["filters"] if "jasper" in encoder else encoder.get("proj_size", encoder.get("d_model"))
    )
    loss = {"loss_name": "tdt", "tdt_kwargs": {"durations": durations, "sigma": 0.02, "omega": 0.1}}
    config: dict[str, Any] = {
        "sample_rate": 16000,
        "labels": LETTERS,
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "model_defaults": {"enc_hidden": width, "pred_hidden": hidden, "joint_hidden": hidden},
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "normalize": "NA" if streams(encoder) else "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": encoder["feat_in"],
            "n_fft": 512,
            "dither": 1e-5,
            "pad_to": 0,
        },
        "encoder": encoder,
        "decoder": {
            "_target_": "nemo.collections.asr.modules.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {
                "pred_hidden": hidden,
                "pred_rnn_layers": layers,
                "t_max": None,
                "dropout": 0.2,
                **spec.get("prednet", {}),
            },
        },
        "joint": {
            "_target_": "nemo.collections.asr.modules.RNNTJoint",
            "log_softmax": None,
            "fuse_loss_wer": True,
            "fused_batch_size": 4,
            "num_extra_outputs": len(durations or big_blanks),
            "jointnet": {"joint_hidden": hidden, "activation": "relu", "dropout": 0.2},
        },
        "decoding": {
            "strategy": spec.get("strategy", "greedy_batch"),
            "greedy": {"max_symbols": 10, "use_cuda_graph_decoder": False},
            **({"model_type": "tdt", "durations": durations} if durations else {}),
        },
        "loss": loss if durations else {"loss_name": "default"},
        "optim": {"name": "adamw", "lr": 1e-3},
    }
    if big_blanks:
        config["decoding"] |= {"model_type": "multiblank", "big_blank_durations": big_blanks}
        kwargs = {"big_blank_durations": big_blanks, "sigma": 0.05}
        config["loss"] = {"loss_name": "multiblank_rnnt", "multiblank_rnnt_kwargs": kwargs}
    if "decoder" in spec:
        prednet = {"prednet": config["decoder"]["prednet"]}
        config["decoder"] = prednet | spec["decoder"]
    config["joint"] |= spec.get("joint", {})
    config["model_defaults"] |= spec.get("defaults", {})
    if durations:
        config["model_defaults"] |= {"tdt_durations": durations, "num_tdt_durations": len(durations)}
    if spec["model"] == "EncDecRNNTModel":
        del config["tokenizer"]
    else:
        del config["labels"]
    if "CTC" in spec["model"]:
        config["aux_ctc"] = {
            "ctc_loss_weight": 0.3,
            "decoder": {
                "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
                "feat_in": None,
                "num_classes": -1,
                "vocabulary": [],
            },
            "decoding": {"strategy": "greedy"},
        }
    return config | spec.get("config", {})


def class_of(name: str) -> Any:
    from nemo.collections.asr import models
    from nemo.collections.asr.models import asr_eou_models

    return getattr(models, name, None) or getattr(asr_eou_models, name)


def save(kind: str, path: Path, lively: bool = False, **encoder: Any) -> Path:
    """Build a randomly initialised model of a kind, the same at every call, and save it as a .nemo file.

    A lively one answers to what it hears, as fresh weights do not: they repeat one token for ever.
    """
    import torch
    from omegaconf import OmegaConf

    torch.manual_seed(7)
    spec = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(Path(folder), spec.get("vocabulary", SMALL_VOCABULARY), spec.get("symbols", ()))
        config = OmegaConf.create(config_of(kind, Path(folder), **encoder))
        model = class_of(spec["model"])(cfg=config)
        for module in model.modules():
            # Fresh statistics are the identity and would hide a batch norm folded wrongly.
            if isinstance(module, torch.nn.BatchNorm1d) and module.running_mean is not None:
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2.0)
        if lively:
            enliven(model, blank=45)
            attune(model)
        model.save_to(str(path))
    return path


def enliven(model: Any, blank: float = 25) -> None:
    """Give predictor and joint large weights, and blank a share of its own by what is added to its bias."""
    import torch

    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in [*model.decoder.parameters(), *model.joint.parameters()]:
            parameter.copy_(torch.randn_like(parameter))
        if model.cfg.decoder.prednet.get("rnn_hidden_size"):
            # A wide LSTM of such weights is chaos, in which the rounding of another order soon is another token.
            for parameter in model.decoder.prediction["dec_rnn"].parameters():
                parameter *= 0.3
        if model.cfg.decoding.strategy == "greedy":
            # What training leaves there, and what NeMo's search of one stream takes for granted.
            for module in model.decoder.modules():
                if isinstance(module, torch.nn.Embedding):
                    module.weight[module.padding_idx] = 0
        if hasattr(model.joint, "blank_pred"):
            model.joint.blank_pred[2].bias += blank / 10
        else:
            # Big blanks come before the blank; all of them at full strength would leave no labels.
            big_blanks = len(model.cfg.decoding.get("big_blank_durations") or ())
            first = len(model.joint.vocabulary)
            model.joint.joint_net[-1].bias[first : first + big_blanks + 1] += blank / 2 if big_blanks else blank


def attune(model: Any) -> None:
    """Show the joint how encoder frames differ, which a fresh encoder's do little beside all that they share."""
    import torch

    model.eval()
    features = torch.randn(1, 80, 800) * 1.7 - 6.4
    with torch.no_grad():
        frames, _ = model.encoder(audio_signal=features, length=torch.tensor([800]))
        model.joint.enc.weight *= 12
        model.joint.enc.bias.copy_(-model.joint.enc.weight @ frames.mean(dim=(0, 2)))
        if hasattr(model, "ctc_decoder"):
            [head] = model.ctc_decoder.decoder_layers
            head.weight.copy_(12 * torch.randn_like(head.weight))
            head.bias.copy_(-head.weight[:, :, 0] @ frames.mean(dim=(0, 2)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=sorted(KINDS), required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    save(args.kind, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
