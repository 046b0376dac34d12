"""Package a model's graphs as a folder that onnx-asr loads as it is; parakeet-rs and parakeet.js too, if they can.

Example:
    .venv/bin/python py/package/for_onnx_asr.py --graphs out/demo-tdt/onnx/{encoder,predictor,joint}.onnx \
        --meta out/demo-tdt/meta/model_meta.json --tokens out/demo-tdt/meta/tokens.txt \
        --output out/demo-tdt/package/onnx-asr/SHA256SUMS
"""

import sys
from pathlib import Path
from typing import Any

import onnx

from transducer.core.cli import run, write_json
from transducer.core.onnx_files import load_graph, set_metadata
from transducer.package.facts import Model
from transducer.package.foreign import require_supported, write_package, write_tokens
from transducer.package.graphs import expose, predictor_with_lengths, write_graph
from transducer.package.onnx_asr_readme import model_type, readme

# What onnx_asr.preprocessors computes under the names nemo80 and nemo128: all of NeMo's own arithmetic.
FRONTEND: dict[str, list[Any]] = {
    "features": [80, 128],
    "normalize": ["per_feature"],
    "highfreq": [8000],
    "log_zero_guard_type": ["add"],
    "log_zero_guard_value": [2**-24],
    "exact_pad": [False],
}


def main() -> int:
    return write_package(__doc__, fill)


def fill(model: Model, folder: Path) -> None:
    """Write the package's files, or refuse a model that onnx-asr would read wrongly."""
    require_supported(model, "onnx-asr", FRONTEND)
    for variant in model.variants:
        suffix = f".{variant}" if variant else ""
        encoder = model.graph("encoder", variant)
        write_graph(renamed_encoder(encoder), encoder, folder / f"encoder-model{suffix}.onnx")
        predictor, joint = model.graph("predictor", variant), model.graph("joint", variant)
        write_graph(fused(predictor, joint), predictor, folder / f"decoder_joint-model{suffix}.onnx")
    write_tokens(model, folder / "vocab.txt")
    write_json(
        folder / "config.json",
        {
            "model_type": model_type(model),
            "features_size": model.facts["dims"]["F"],
            "subsampling_factor": model.facts["subsampling_factor"],
            "max_tokens_per_step": model.facts["max_symbols"],
        },
    )
    (folder / "README.md").write_text(readme(model), encoding="utf-8")


def renamed_encoder(path: Path) -> onnx.ModelProto:
    """Return the encoder with the names of NeMo's own export."""
    graph = load_graph(path)
    inputs = {"audio_signal": "audio_signal", "length": "length"}
    expose(graph, inputs, {"encoder_output": "outputs", "encoded_lengths": "encoded_lengths"})
    return graph


def fused(predictor: Path, joint: Path) -> onnx.ModelProto:
    """Return predictor and joint as one graph with the names of NeMo's own export.

    In: encoder_outputs [B,D,T], targets int32 [B,U], target_length int32 [B], input_states_1 and _2 [L,B,H];
    out: outputs [B,T,U,V+K], prednet_lengths int32 [B], output_states_1 and _2.
    """
    first, second = predictor_with_lengths(predictor), onnx.load_model(joint)
    facts = {entry.key: entry.value for entry in second.metadata_props}
    del first.metadata_props[:], second.metadata_props[:]
    first.ir_version = second.ir_version = max(first.ir_version, second.ir_version)
    graph = onnx.compose.merge_models(
        first,
        second,
        io_map=[("g", "predictor_output")],
        prefix1="predictor.",
        prefix2="joint.",
        name="decoder_joint",
        producer_name=second.producer_name,
        producer_version=second.producer_version,
    )
    expose(
        graph,
        {
            "joint.encoder_output": "encoder_outputs",
            "predictor.targets": "targets",
            "predictor.target_length": "target_length",
            "predictor.h": "input_states_1",
            "predictor.c": "input_states_2",
        },
        {
            "joint.joint_output": "outputs",
            "predictor.prednet_lengths": "prednet_lengths",
            "predictor.h_out": "output_states_1",
            "predictor.c_out": "output_states_2",
        },
    )
    set_metadata(graph, facts)
    return graph


if __name__ == "__main__":
    sys.exit(run(main))
