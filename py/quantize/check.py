"""Check a variant of a graph: what it computes in, its error beside the fp32 graph, and its accuracy.

Example:
    .venv/bin/python py/quantize/check.py --graph encoder --variant int8 --onnx out/demo-tdt/onnx/encoder.int8.onnx \
        --base out/demo-tdt/onnx/encoder.onnx --accuracy out/demo-tdt/checks/wer.encoder.int8.check.json \
        --output out/demo-tdt/checks/encoder.int8.onnx.check.json
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from transducer.core.checks import identity
from transducer.core.cli import CheckError, existing, parser, run, write_json
from transducer.core.contracts import GRAPHS
from transducer.core.onnx_files import interface, load_graph, metadata
from transducer.core.operators import Runtime
from transducer.quantize.audit import compute_shares, operators, sizes, weight_dtypes
from transducer.runtime.parity import CASES, Case, compare_files

# Errors of an encoder must not grow with the audio: 1 to 30 s, and a batch with padding.
SWEEP = {"encoder": [*({"B": 1, "T": frames} for frames in (100, 400, 1000, 3000)), {"B": 3, "T": 400}]}
# What the heavy arithmetic of a variant is to be in; fp16 is for devices that ONNX Runtime's CPU kernels are not.
COMPUTED_IN = {"int8": "int8", "int8-qdq": "int8", "int4": "int4"}

# What is kept of a report on a whole set: of speech, and of swipes.
ACCURACY: tuple[str, ...] = ("utterances", "bound_wer_delta", "onnx", "pytorch", "wer_delta")
ACCURACY += ("traces", "bound_top1_delta", "all", "seen", "novel", "top1_delta")


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--variant", required=True, help="fp16, int8, int8-qdq or int4")
    args.add_argument("--onnx", type=Path, required=True)
    args.add_argument("--base", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--runtime", type=Path, help="file of configs/runtimes/ that lists the operators it may have")
    args.add_argument("--accuracy", type=Path, help="what evaluate_wer.py or _swipe.py wrote of the model with it")
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="largest error that passes")
    args.add_argument("--min-share", type=float, default=0.75, help="least share of the arithmetic that is quantized")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    path: Path = existing(options.onnx, f"run `make {options.onnx.name}` first")
    onnx.checker.check_model(path)
    model = load_graph(path)
    runs_in = Runtime.read(options.runtime).judged(model, path) if options.runtime else None
    compute, weights = compute_shares(options.graph, path), weight_dtypes(model)
    share = quantized_share(options.variant, compute, weights)
    if not share >= options.min_share:
        raise CheckError(
            f"{path}: {share:.0%} of its {'weights are' if options.variant == 'fp16' else 'arithmetic is'} in "
            f"{options.variant} where at least {options.min_share:.0%} should be; exclude fewer nodes, or use fp32."
        )
    base = existing(options.base, "export the graph first")
    cases = compare_files(options.graph, base, path, SWEEP.get(options.graph, CASES[options.graph]), optimize=True)
    worst = max(cases, key=lambda case: case.relative_rms)
    if not all(case.relative_rms <= options.max_relative_rms for case in cases):
        raise CheckError(
            f"{path} differs from {base.name} by {worst.relative_rms:.2%} (root mean square) at {dict(worst.sizes)}; "
            f"the bound is {options.max_relative_rms:.2%}: exclude nodes by EXCLUDE, or calibrate on more data."
        )
    report = {
        **identity(path),
        "variant": options.variant,
        "made_with": json.loads(metadata(model)["quantization"]),
        **interface(model),
        **sizes(path, model),
        "weights": weights,
        "compute": compute,
        "operators": operators(model),
        "runs_in": runs_in,
        "error": error(base, cases, options.max_relative_rms),
        "accuracy": accuracy(options.accuracy),
        "passed": True,
    }
    write_json(options.output, report)
    return 0


def quantized_share(variant: str, compute: dict[str, Any], weights: dict[str, dict[str, int]]) -> float:
    """Return the share of the heavy arithmetic that is in the variant's dtype; for fp16, of the weights.

    Neither ONNX Runtime nor TensorRT has a static int8 LSTM, so for it the share is of what is no LSTM.
    """
    if variant in COMPUTED_IN:
        share = float(compute["shares"].get(COMPUTED_IN[variant], 0))
        return share / (1 - compute["lstm_share"]) if variant == "int8-qdq" else share
    floats = [weights.get(dtype, {"values": 0})["values"] for dtype in ("float16", "float")]
    return floats[0] / max(sum(floats), 1)


def error(base: Path, cases: list[Case], bound: float) -> dict[str, Any]:
    return {
        "against": base.name,
        "bound_relative_rms": bound,
        "relative_rms": max(case.relative_rms for case in cases),
        "cases": [asdict(case) for case in cases],
    }


def accuracy(report: Path | None) -> dict[str, Any] | None:
    """Return the figures of a passed check of the word error rate, or of a swipe model's top-1."""
    if not report:
        return None
    found = json.loads(existing(report, "run `make evaluate` first").read_text(encoding="utf-8"))
    return {key: found[key] for key in ACCURACY if key in found}


if __name__ == "__main__":
    sys.exit(run(main))
