"""Package a model's graphs as a folder that sherpa-onnx's offline or, with --online, online recognizer loads as it is.

Example:
    .venv/bin/python py/package/for_sherpa_onnx.py --graphs out/demo-tdt/onnx/{encoder,predictor,joint}.onnx \
        --meta out/demo-tdt/meta/model_meta.json --tokens out/demo-tdt/meta/tokens.txt \
        --output out/demo-tdt/package/sherpa-onnx/SHA256SUMS
"""

import sys
from pathlib import Path

import onnx

from transducer.core.cli import InputError, run
from transducer.core.onnx_files import load_graph, set_metadata
from transducer.package.facts import ROLES, Model
from transducer.package.folder import new_package
from transducer.package.foreign import package_parser, require_supported, write_tokens
from transducer.package.graphs import predictor_with_lengths, write_graph
from transducer.package.sherpa import FRONTEND, GUARD, encoder_props, file_name, online_encoder
from transducer.package.sherpa_readme import offline_readme, online_readme

ONLINE_ROLES = ("encoder_streaming", "predictor", "joint")
# It normalises each window by itself, which no model was trained for; its mel filters end where these models' do.
ONLINE_FRONTEND: dict[str, list[object]] = {
    "normalize": [""],
    "highfreq": [8000],
    "log_zero_guard_type": ["add"],
    "log_zero_guard_value": [GUARD],
}


def main() -> int:
    args = package_parser(__doc__)
    args.add_argument(
        "--online", action="store_true", help=f"for its online recognizer: graphs {', '.join(ONLINE_ROLES)}"
    )
    options = args.parse_args()
    roles = ONLINE_ROLES if options.online else ROLES
    model = Model.load(options.graphs, options.meta, options.tokens, roles)
    with new_package(options.output) as folder:
        if options.online:
            require_streamed(model)
        require_supported(model, "sherpa-onnx", ONLINE_FRONTEND if options.online else FRONTEND)
        for (role, variant), source in sorted(model.graphs.items()):
            write_graph(adapted_graph(model, role, source), source, folder / file_name(role, variant))
        write_tokens(model, folder / "tokens.txt")
        tokenizer = options.tokens.with_name("tokenizer.model")
        if tokenizer.exists():
            write_bpe_vocab(tokenizer, folder / "bpe.vocab")
        readme = (online_readme if options.online else offline_readme)(model, tokenizer.exists())
        (folder / "README.md").write_text(readme, encoding="utf-8")
    return 0


def write_bpe_vocab(tokenizer: Path, output: Path) -> None:
    """Write the pieces of a SentencePiece model with their scores, by which sherpa-onnx spells hotwords.

    Without this file and `modeling_unit="bpe"` it takes a hotword for Chinese characters, and English ones do nothing.
    """
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(tokenizer))
    lines = [f"{pieces.id_to_piece(number)}\t{pieces.get_score(number):g}\n" for number in range(len(pieces))]
    output.write_text("".join(lines), encoding="utf-8")


def require_streamed(model: Model) -> None:
    """Refuse a TDT model, which sherpa-onnx would read wrongly as a stream, and one without a Conformer's caches."""
    if "cells" in model.facts["streaming"]:
        raise InputError(
            f"{model.source}: its streaming encoder carries an LSTM's states, and sherpa-onnx a Conformer's caches "
            "only; use the ONNX graphs."
        )
    if model.facts["model_type"] != "rnnt":
        raise InputError(
            f"{model.source}: it is a TDT model, and sherpa-onnx streams RNN-T only; build it without STREAMING=1 for "
            "the offline package, or stream it by the ONNX graphs instead."
        )


def adapted_graph(model: Model, role: str, source: Path) -> onnx.ModelProto:
    """Return a graph with the inputs, outputs and metadata that sherpa-onnx asks for."""
    if role == "predictor":
        return predictor_with_lengths(source)
    graph = load_graph(source)
    if role == "encoder_streaming":
        return online_encoder(model, graph)
    if role == "encoder":
        set_metadata(graph, encoder_props(model))
    return graph


if __name__ == "__main__":
    sys.exit(run(main))
