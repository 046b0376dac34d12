"""What sherpa-onnx asks of NeMo transducers.

Example:
    require_supported(model, "sherpa-onnx", FRONTEND)
    set_metadata(graph, encoder_props(model))
"""

from transducer.packaging import Model, frontend_of

# What sherpa-onnx's frontend for NeMo models follows besides; where it has settings of its own, the README says so.
FRONTEND = {"normalize": ["per_feature", ""]}


def encoder_props(model: Model) -> dict[str, str]:
    """Return the metadata that sherpa-onnx reads from any encoder."""
    facts, dims = model.facts, model.facts["dims"]
    return {
        "vocab_size": str(dims["V"] - 1),
        "subsampling_factor": str(facts["subsampling_factor"]),
        "normalize_type": frontend_of(facts)["normalize"],
        "pred_rnn_layers": str(dims["L"]),
        "pred_hidden": str(dims["H"]),
        "feat_dim": str(dims["F"]),
        # The two classes that it knows: with or without a CTC head, which is not exported.
        "model_type": f"EncDec{'HybridRNNTCTC' if 'Hybrid' in facts['model_class'] else 'RNNT'}BPEModel",
        # It takes a model for TDT if its url has these letters.
        "url": facts["model_type"],
    }
