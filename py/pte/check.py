"""Check an ExecuTorch file in ExecuTorch's runtime: error against PyTorch, what is delegated, dtypes, sizes.

Example:
    .venv/bin/python py/pte/check.py --pte out/demo-swipe/pte/encoder.int8.pte --checkpoint out/demo-swipe/checkpoint \
        --max-relative-rms 0.1 --min-delegated 0.9 --output out/demo-swipe/checks/encoder.int8.pte.check.json
"""

import argparse
import json
import sys
import zlib
from pathlib import Path
from typing import Any

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.core.cases import Case, bound_of
from transducer.core.checks import Check
from transducer.core.cli import CheckError, existing, log, parser, run, sha256_of
from transducer.core.contracts import GRAPHS
from transducer.export.reference import reference
from transducer.export.streaming import Streaming
from transducer.pte.quantization import Utterance, calibration_utterances, data_arguments
from transducer.runtime.parity import case_errors, compare
from transducer.runtime.pte import PteSession, open_pte
from transducer.runtime.sessions import Runner, session_runner

# What the check repeats of the file's manifest.
FACTS = ("graph", "made_with", "inputs", "outputs", "bounds", "delegation", "weights")
# Utterances of a manifest that a quantized encoder is compared with PyTorch on.
COMPARED = 24


def main() -> int:
    options = parse_args()
    path: Path = options.pte
    session = open_pte(path)
    manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if sha256_of(path) != manifest["sha256"]:
        raise CheckError(f"{path} is not the file that {path.with_suffix('.json').name} describes; build it again.")
    accuracy = Check.read(options.accuracy) if options.accuracy else None
    cases = measured(session, options)
    share, sizes = delegated_share(path, manifest), sizes_of(path, options.base)
    check = Check.of(
        path,
        "PyTorch",
        cases=cases,
        figures={
            "delegated_share": share,
            **{name: size for name, size in sizes.items() if name == "share_of_base"},
            **(accuracy.figures if accuracy else {}),
        },
        bounds={
            "max_abs": None if options.max_abs is None else bound_of(cases, options.max_abs),
            "relative_rms": options.max_relative_rms,
            "delegated_share": options.min_delegated,
            "share_of_base": options.max_size if options.base else None,
            **(accuracy.bounds if accuracy else {}),
        },
        accuracy=accuracy.accuracy if accuracy else None,
        facts={
            **{name: manifest[name] for name in FACTS},
            **sizes,
            "data": options.manifest.name if options.manifest else "noise",
        },
    )
    judged(check, options).write(options.output)
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


def measured(session: PteSession, options: argparse.Namespace) -> list[Case]:
    """Compare a file with PyTorch on utterances or traces of the manifest, or on noise of several sizes."""
    streaming = Streaming.from_facts(session.facts["streaming"]) if "streaming" in session.facts else None
    expected = reference(session.name, Checkpoint(options.checkpoint), streaming=streaming)
    candidate = session_runner(session)
    if not options.manifest:
        return compare(session.name, expected, candidate, session.facts["dims"], {}, varied(session))
    return [compared(session.name, expected, candidate, utterance) for utterance in calibration_utterances(options)]


def delegated_share(path: Path, manifest: dict[str, Any]) -> float:
    """Return the share of the arithmetic that is delegated; warn if less than half of it or of the nodes is."""
    shares = {unit: float(manifest["delegation"][unit]["share"]) for unit in ("nodes", "flops")}
    for unit, share in shares.items():
        if share < 0.5 and manifest["made_with"]["method"] != "fp32":
            log.warning("%s: %.0f %% of its %s are delegated, less than half", path, 100 * share, unit)
    return shares["flops"]


def sizes_of(path: Path, base: Path | None) -> dict[str, float]:
    """Return a file's bytes, also deflated, and their share of those of the fp32 file."""
    sizes: dict[str, float] = {"bytes": path.stat().st_size, "deflated_bytes": len(zlib.compress(path.read_bytes(), 6))}
    if base:
        sizes["share_of_base"] = round(sizes["bytes"] / existing(base, "build it first").stat().st_size, 4)
    return sizes


def judged(check: Check, options: argparse.Namespace) -> Check:
    """Return the check as passed. Raises: CheckError."""
    sentences = {
        "delegated_share": f"{options.pte}: {{figure}} of its arithmetic is delegated where at least {{bound}} should "
        "be; see `operators` in its manifest for what is not.",
        "share_of_base": f"{options.pte} has {{figure}} of the size of {options.base}; the bound is {{bound}}.",
    }
    return check.judged(str(options.pte), sentences=sentences)


def compared(name: str, expected: Runner, actual: Runner, utterance: Utterance) -> Case:
    """Compare a file with PyTorch on one utterance."""
    arrays = dict(zip(GRAPHS[name].inputs, (tensor.numpy() for tensor in utterance), strict=True))
    outputs = expected(arrays), actual(arrays)
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
