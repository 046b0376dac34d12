"""Write model_meta.json, the one contract that a runtime needs, with the vocabulary files beside it.

Example:
    .venv/bin/python py/export/write_meta.py --checkpoint out/demo-tdt/checkpoint \
        --graphs out/demo-tdt/onnx/encoder.onnx --output out/demo-tdt/meta/model_meta.json
"""

import json
import shutil
import sys
from pathlib import Path

import onnx

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe, tokenizer_file
from transducer.core.cli import existing, parser, replacing, run, write_json
from transducer.core.onnx_files import external_files, interface, load_graph, metadata

BLANK = "<blk>"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--checkpoint", type=Path, required=True)
    args.add_argument("--graphs", type=Path, nargs="+", required=True, help="ONNX files to describe")
    args.add_argument("--output", type=Path, required=True, help="model_meta.json; the others go beside it")
    options = args.parse_args()
    checkpoint = Checkpoint(options.checkpoint)
    facts = describe(checkpoint)
    folder: Path = options.output.parent
    # Two conventions: one token a line, and "token id" lines with blank last, as sherpa-onnx reads.
    tokens = [*checkpoint.labels, BLANK]
    write_lines(folder / "vocab.txt", checkpoint.labels)
    write_lines(folder / "tokens.txt", [f"{token} {number}" for number, token in enumerate(tokens)])
    if source := tokenizer_file(checkpoint):
        with replacing(folder / "tokenizer.model") as tmp:
            shutil.copyfile(source, tmp)
    else:
        (folder / "tokenizer.model").unlink(missing_ok=True)
    graphs = {path.name: load_graph(existing(path, "export the graph first")) for path in options.graphs}
    for model in graphs.values():
        # What was chosen at the graph's export, not only what its checkpoint says.
        if "streaming" in (props := metadata(model)):
            facts["streaming"] = json.loads(props["streaming"])
    descriptions = {Path(file).stem: describe_graph(file, model) for file, model in graphs.items()}
    write_json(options.output, facts | {"graphs": descriptions})
    return 0


def write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as tmp:
        tmp.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def describe_graph(file: str, model: onnx.ModelProto) -> dict[str, object]:
    return {
        "file": file,
        "sidecars": sorted(external_files(model)),
        "opset": model.opset_import[0].version,
        "ir_version": model.ir_version,
        **interface(model),
    }


if __name__ == "__main__":
    sys.exit(run(main))
