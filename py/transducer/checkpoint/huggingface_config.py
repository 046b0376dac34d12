"""NeMo's config of a model of transformers: the same architecture in other words.

Example:
    config = nemo_config(settings, {"feature_size": 128}, lookaheads=[])
"""

from collections.abc import Mapping
from typing import Any


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
        "tokenizer": {"dir": ".", "type": "bpe", "model_path": "nemo:tokenizer.model", "vocab_path": "nemo:vocab.txt"},
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
