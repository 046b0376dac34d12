"""Check an ExecuTorch file in ExecuTorch's runtime: error beside PyTorch, what is delegated, dtypes, sizes.

Example:
    .venv/bin/python py/pte/check.py --pte out/demo-swipe/pte/encoder.int8.pte --checkpoint out/demo-swipe/checkpoint \
        --max-relative-rms 0.1 --min-delegated 0.9 --output out/demo-swipe/checks/encoder.int8.pte.check.json
"""

import argparse
import json
import sys
import zlib
from dataclasses import asdict
from pathlib import Path

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cli import CheckError, existing, log, parser, run, sha256_of, write_json
from transducer.core.contracts import GRAPHS
from transducer.export.reference import reference
from transducer.export.streaming import Streaming
from transducer.pte.quantization import Utterance, calibration_utterances, data_arguments
from transducer.runtime.parity import Case, case_errors, compare
from transducer.runtime.pte import PteSession, open_pte
from transducer.runtime.sessions import Runner, session_runner

# Utterances of a manifest that a quantized encoder is compared with PyTorch on.
COMPARED = 24


def main() -> int:
    options = parse_args()
    path: Path = options.pte
    session = open_pte(path)
    manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if sha256_of(path) != manifest["sha256"]:
        raise CheckError(f"{path} is not the file that {path.with_suffix('.json').name} describes; build it again.")
    streaming = Streaming.from_facts(session.facts["streaming"]) if "streaming" in session.facts else None
    expected = reference(session.name, Checkpoint(options.checkpoint), streaming=streaming)
    candidate = session_runner(session)
    if options.manifest:
        cases = [
            compared(session.name, expected, candidate, utterance) for utterance in calibration_utterances(options)
        ]
    else:
        cases = compare(session.name, expected, candidate, session.facts["dims"], {}, varied(session))
    require_within(path, cases, options)
    delegation = manifest["delegation"]
    shares = {unit: delegation[unit]["share"] for unit in ("nodes", "flops")}
    for unit, share in shares.items():
        if share < 0.5 and manifest["made_with"]["method"] != "fp32":
            log.warning("%s: %.0f %% of its %s are delegated, less than half", path, 100 * share, unit)
    if shares["flops"] < options.min_delegated:
        raise CheckError(
            f"{path}: {shares['flops']:.1%} of its arithmetic is delegated where at least {options.min_delegated:.0%} "
            "should be; see `operators` in its manifest for what is not."
        )
    sizes: dict[str, float] = {"bytes": path.stat().st_size, "deflated_bytes": len(zlib.compress(path.read_bytes(), 6))}
    if options.base:
        sizes["share_of_base"] = round(sizes["bytes"] / existing(options.base, "build it first").stat().st_size, 4)
        if sizes["share_of_base"] > options.max_size:
            raise CheckError(
                f"{path} has {sizes['share_of_base']:.3f} of the size of {options.base.name}; the bound is "
                f"{options.max_size:g}."
            )
    kept = ("sha256", "graph", "made_with", "inputs", "outputs", "bounds", "delegation", "weights")
    report = {
        "file": path.name,
        **{key: manifest[key] for key in kept},
        **sizes,
        "error": {
            "against": "PyTorch",
            "on": options.manifest.name if options.manifest else "noise",
            "bound_max_abs": options.max_abs,
            "bound_relative_rms": options.max_relative_rms,
            "max_abs": max(case.max_abs for case in cases),
            "relative_rms": max(case.relative_rms for case in cases),
            "cases": [asdict(case) for case in cases],
        },
        "accuracy": json.loads(options.accuracy.read_text(encoding="utf-8")) if options.accuracy else None,
        "passed": True,
    }
    if report["accuracy"]:
        report["accuracy"].pop("errors", None)
    write_json(options.output, report)
    return 0


def parse_args() -> argparse.Namespace:
    args = parser(__doc__)
    args.add_argument("--pte", type=Path, required=True, help="the file; its manifest (.json) lies beside it")
    args.add_argument("--checkpoint", type=Path, required=True)
    data_arguments(args)
    args.add_argument("--max-abs", type=float, help="largest absolute error that passes")
    args.add_argument("--max-relative-rms", type=float, help="largest root mean square error that passes")
    args.add_argument("--min-delegated", type=float, default=0.0, help="least share of the arithmetic")
    args.add_argument("--base", type=Path, help="the fp32 file that its size is compared with")
    args.add_argument("--max-size", type=float, default=1.1, help="of the base's size")
    args.add_argument("--accuracy", type=Path, help="the check of the model's accuracy with this file")
    args.add_argument("--output", type=Path, required=True)
    args.set_defaults(batches=COMPARED, batch_size=1)
    return args.parse_args()


def require_within(path: Path, cases: list[Case], options: argparse.Namespace) -> None:
    for name in ("max_abs", "relative_rms"):
        bound = getattr(options, name if name == "max_abs" else f"max_{name}")
        worst = max(cases, key=lambda case: getattr(case, name))
        if bound is not None and not getattr(worst, name) <= bound:
            raise CheckError(
                f"{path} differs from PyTorch by {getattr(worst, name):.3g} ({name}) at {dict(worst.sizes)}; the bound "
                f"is {bound:g}."
            )


def compared(name: str, expected: Runner, found: Runner, utterance: Utterance) -> Case:
    """Compare a file with PyTorch on one utterance."""
    arrays = dict(zip(GRAPHS[name].inputs, (tensor.numpy() for tensor in utterance), strict=True))
    outputs = expected(arrays), found(arrays)
    shapes = {tensor: list(array.shape) for tensor, array in outputs[1].items()}
    return Case({"B": 1, "T": utterance[0].shape[2]}, shapes, *case_errors(*outputs))


def varied(session: PteSession) -> list[dict[str, int]]:
    """Return sizes to compare at: the ends of what the file takes, and some between."""
    if session.name == "frontend":
        low, high = session.bounds["samples"]
        return [{"B": 1, "samples": samples} for samples in sorted({low, 1600, 16000, 116801, high}) if samples <= high]
    if session.name == "encoder":
        low, high = session.bounds["T"]
        return [{"B": 1, "T": frames} for frames in sorted({low, 2 * low + 1, 40, 101, 400, high}) if frames <= high]
    if session.name == "rnnt_step":
        return [{"B": rows} for rows in (1, 3, 16, session.bounds["B"][1])]
    return [{"B": 1}]


if __name__ == "__main__":
    sys.exit(run(main))
