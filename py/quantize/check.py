"""Check a variant of a graph: what it computes in, its error against the fp32 graph, and its accuracy.

Example:
    .venv/bin/python py/quantize/check.py --graph encoder --variant int8 --onnx out/demo-tdt/onnx/encoder.int8.onnx \
        --base out/demo-tdt/onnx/encoder.onnx --accuracy out/demo-tdt/checks/wer.encoder.int8.check.json \
        --output out/demo-tdt/checks/encoder.int8.onnx.check.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from transducer.core.checks import Check, judge
from transducer.core.cli import existing, parser, run
from transducer.core.contracts import GRAPHS
from transducer.core.onnx_files import interface, load_graph, metadata
from transducer.core.operators import Runtime
from transducer.quantize.audit import compute_shares, operators, sizes, weight_dtypes
from transducer.quantize.harm import LENGTHS, harm
from transducer.quantize.inputs import calibration_batches, data_facts
from transducer.quantize.source import EQUALIZED
from transducer.runtime.parity import CASES, compare_files

# Errors of an encoder must not grow with the audio: 1 to 30 s, and a batch with padding.
SWEEP = {"encoder": [*({"B": 1, "T": frames} for frames in (100, 400, 1000, 3000)), {"B": 3, "T": 400}]}
# Utterances or swipes that show where an error arises.
CLIPS = 8
# What the heavy arithmetic of a variant is to be in; fp16 is for devices that ONNX Runtime's CPU kernels are not.
COMPUTED_IN = {"int8": "int8", "int8-qdq": "int8", "int8-block": "blocks", "int4": "blocks"}


def main() -> int:
    options = parse_args()
    path: Path = existing(options.onnx, f"run `make {options.onnx.name}` first")
    base = existing(options.base, "export the graph first")
    onnx.checker.check_model(path)
    facts = facts_of(options, load_graph(path))
    share = quantized_share(options.variant, facts["compute"], facts["weights"])
    require_quantized(path, options.variant, share, options.min_share)
    accuracy = Check.read(existing(options.accuracy, "run `make evaluate` first")) if options.accuracy else None
    check = Check.of(
        path,
        base.name,
        cases=compare_files(options.graph, base, path, SWEEP.get(options.graph, CASES[options.graph]), optimize=True),
        figures={"quantized_share": share, **(accuracy.figures if accuracy else {})},
        bounds={
            "relative_rms": options.max_relative_rms,
            "quantized_share": options.min_share,
            **(accuracy.bounds if accuracy else {}),
        },
        accuracy=accuracy.accuracy if accuracy else None,
        facts=facts,
    )
    check.judged(str(path), ": exclude nodes by EXCLUDE, or calibrate on more data").write(options.output)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--variant", required=True, help="as in the name of the file")
    args.add_argument("--onnx", type=Path, required=True)
    args.add_argument("--base", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--runtime", type=Path, help="file of configs/runtimes/ that lists the operators it may have")
    args.add_argument("--accuracy", type=Path, help="the check of the model's accuracy with this graph")
    args.add_argument("--frontend", type=Path, help="frontend.onnx, which makes the features of speech")
    args.add_argument("--manifest", type=Path, help="speech or swipes, to show where an encoder's error arises")
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="largest error that passes")
    args.add_argument("--min-share", type=float, default=0.75, help="least share of the arithmetic that is quantized")
    args.add_argument("--output", type=Path, required=True)
    return args.parse_args()


def facts_of(options: argparse.Namespace, model: onnx.ModelProto) -> dict[str, Any]:
    """Return what the check records of a variant besides its error; refuse operators that its runtime lacks."""
    runs_in = Runtime.read(options.runtime).check(model, options.onnx) if options.runtime else None
    return {
        "variant": options.variant,
        "made_with": json.loads(metadata(model)["quantization"]),
        **interface(model),
        **sizes(options.onnx, model),
        "weights": weight_dtypes(model),
        "compute": compute_shares(options.graph, options.onnx),
        "operators": operators(model),
        "runs_in": runs_in,
        **({"harm": harm_of(options)} if options.manifest and options.variant in COMPUTED_IN else {}),
    }


def harm_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return where the error of an encoder arises, on real speech or swipes."""
    facts = data_facts(options.onnx)
    batches = calibration_batches(facts, str(options.onnx), options.manifest, options.frontend, 1, CLIPS)
    features, counts = next(iter(batches))
    row = np.concatenate([clip[:, :count] for clip, count in zip(features, counts, strict=True)], axis=1)
    return harm(options.base, options.onnx, row, LENGTHS["swipe" if "swipe" in facts else "speech"])


def require_quantized(path: Path, variant: str, share: float, least: float) -> None:
    """Raise CheckError unless enough of the arithmetic, or for fp16 of the weights, is in the variant's dtype."""
    subject = "arithmetic is" if variant in COMPUTED_IN else "weights are"
    sentence = f"{path}: {{figure}} of its {subject} in {variant} where at least {{bound}} should be"
    judge("quantized_share", share, least, f"{sentence}; exclude fewer nodes, or use fp32.")


def quantized_share(variant: str, compute: dict[str, Any], weights: dict[str, dict[str, int]]) -> float:
    """Return the share of the heavy arithmetic that is in the variant's dtype; for fp16 and fp32, of the weights.

    Neither ONNX Runtime nor TensorRT has a static int8 LSTM, so for it the share is of all but LSTMs.
    """
    if variant in COMPUTED_IN:
        share = float(compute["shares"].get(COMPUTED_IN[variant], 0))
        return share / (1 - compute["lstm_share"]) if variant == "int8-qdq" else share
    values = {dtype: weights.get(dtype, {"values": 0})["values"] for dtype in ("float16", "float")}
    return values["float" if variant == EQUALIZED else "float16"] / max(sum(values.values()), 1)


if __name__ == "__main__":
    sys.exit(run(main))
