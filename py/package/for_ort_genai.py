"""Package a TDT model's graphs as a folder that ONNX Runtime GenAI loads as it is.

Example:
    .venv/bin/python py/package/for_ort_genai.py --graphs out/demo-tdt/onnx/{encoder,predictor,joint}.onnx \
        --meta out/demo-tdt/meta/model_meta.json --tokens out/demo-tdt/meta/tokens.txt \
        --output out/demo-tdt/package/ort-genai/SHA256SUMS
"""

import sys
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from transducer.core.cli import InputError, run, write_json
from transducer.core.onnx_files import load_graph
from transducer.package.facts import Model
from transducer.package.foreign import (
    frontend_of,
    require_dynamic,
    require_frontend,
    require_plain,
    require_tokens,
    write_package,
)
from transducer.package.genai_files import genai_config, readme, tokenizer, tokenizer_config
from transducer.package.graphs import expose, predictor_with_lengths, write_graph

# What its NeMo features are computed with; number of features, hop and window come from genai_config.json.
FRONTEND: dict[str, list[Any]] = {
    "normalize": ["per_feature"],
    "highfreq": [8000],
    "log_zero_guard_type": ["add"],
    "exact_pad": [False],
}


def main() -> int:
    return write_package(__doc__, fill)


def fill(model: Model, folder: Path) -> None:
    """Write the package's files, or refuse a model that ONNX Runtime GenAI would read wrongly."""
    require_plain(model.facts, model.source, "ONNX Runtime GenAI")
    require_dynamic(model)
    require_frontend(model, "ONNX Runtime GenAI", FRONTEND)
    require_tokens(model, "ONNX Runtime GenAI")
    if model.facts["model_type"] != "tdt":
        raise InputError(
            f"{model.source}: it is an RNN-T model, and ONNX Runtime GenAI reads TDT models as parakeet_tdt; use "
            "package-sherpa-onnx or package-onnx-asr instead."
        )
    for variant in model.variants:
        suffix = f".{variant}" if variant else ""
        encoder, predictor, joint = (model.graph(role, variant) for role in ("encoder", "predictor", "joint"))
        write_graph(renamed_encoder(encoder), encoder, folder / f"encoder{suffix}.onnx")
        write_graph(renamed_predictor(predictor), predictor, folder / f"decoder{suffix}.onnx")
        write_graph(transposed_joint(joint), joint, folder / f"joiner{suffix}.onnx")
    write_json(folder / "genai_config.json", genai_config(model.facts, frontend_of(model.facts)))
    write_json(folder / "tokenizer.json", tokenizer(model.tokens))
    write_json(folder / "tokenizer_config.json", tokenizer_config(model.tokens))
    (folder / "README.md").write_text(readme(model), encoding="utf-8")


def renamed_encoder(path: Path) -> onnx.ModelProto:
    """Return the encoder: audio_features [B,F,T], input_lengths in; encoder_outputs [B,D,T], output_lengths out."""
    graph = load_graph(path)
    inputs = {"audio_signal": "audio_features", "length": "input_lengths"}
    expose(graph, inputs, {"encoder_output": "encoder_outputs", "encoded_lengths": "output_lengths"})
    return graph


def renamed_predictor(path: Path) -> onnx.ModelProto:
    """Return the predictor: targets int64 [B,U], targets_length int64 [B] and LSTM states in and out."""
    graph = predictor_with_lengths(path, TensorProto.INT64)
    inputs = {
        "targets": "targets",
        "target_length": "targets_length",
        "h": "lstm_hidden_state",
        "c": "lstm_cell_state",
    }
    outputs = {
        "g": "outputs",
        "prednet_lengths": "outputs_length",
        "h_out": "lstm_hidden_state_out",
        "c_out": "lstm_cell_state_out",
    }
    expose(graph, inputs, outputs)
    return graph


def transposed_joint(path: Path) -> onnx.ModelProto:
    """Return the joint with time before width: encoder_outputs [B,T,D] and decoder_outputs [B,U,H] in, outputs out."""
    model = load_graph(path)
    graph = model.graph
    for name, transposed in (("encoder_output", "encoder_outputs"), ("predictor_output", "decoder_outputs")):
        [value] = [value for value in graph.input if value.name == name]
        dims = value.type.tensor_type.shape.dim
        batch, width, length = (axis.dim_param or axis.dim_value for axis in dims)
        graph.input.remove(value)
        graph.input.append(helper.make_tensor_value_info(transposed, TensorProto.FLOAT, [batch, length, width]))
        node = helper.make_node("Transpose", [transposed], [name], name=f"/{transposed}/Transpose", perm=[0, 2, 1])
        graph.node.insert(0, node)
    names = ("encoder_outputs", "decoder_outputs")
    expose(model, {name: name for name in names}, {"joint_output": "outputs"})
    return model


if __name__ == "__main__":
    sys.exit(run(main))
