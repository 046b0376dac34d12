"""Measure encoders beside each other: latency, load time, memory, size and error; a table, a plot and JSON.

Every round loads every encoder in a process of its own, so that what disturbs the machine disturbs all alike;
the median over rounds counts.

Example:
    .venv/bin/python py/bench/encoders.py --encoders nemo=out/demo-tdt/bench/nemo.onnx \
        fp32=out/demo-tdt/onnx/encoder.onnx int8=out/demo-tdt/onnx/encoder.int8.onnx --reference fp32 \
        --output out/demo-tdt/bench/bench.json
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from transducer.bench.figures import as_table
from transducer.core.cli import InputError, existing, parser, replacing, run, write_json
from transducer.core.contracts import Arrays, example
from transducer.core.onnx_files import external_files, load_graph, metadata
from transducer.core.progress import progress
from transducer.report.charts import by_length
from transducer.runtime.sessions import open_session

FRAMES_PER_SECOND = 100
# A run is repeated until it took this long, to be no shorter than the clock is fine.
LEAST_SECONDS = 1.0


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--encoders", nargs="+", required=True, metavar="NAME=FILE")
    args.add_argument("--reference", default="fp32", help="which of them the others' errors are measured against")
    args.add_argument("--seconds", type=float, nargs="+", default=[2, 10, 30, 120], help="lengths of audio")
    args.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--output", type=Path, required=True, help="the .json; .md and .svg go beside it")
    options = args.parse_args()
    encoders = dict(map(named, options.encoders))
    if options.reference not in encoders:
        raise InputError(f"The reference {options.reference} is none of the encoders {', '.join(encoders)}; name one.")
    report = {
        "machine": {"cores": os.cpu_count(), "onnxruntime": onnxruntime.__version__, "rounds": options.rounds},
        "reference": options.reference,
        "encoders": collect(encoders, options),
    }
    write_json(options.output, report)
    for suffix, text in ((".md", as_table(report)), (".svg", by_length(report))):
        with replacing(options.output.with_suffix(suffix)) as tmp:
            tmp.write_text(text, encoding="utf-8")
    print(as_table(report), end="")
    return 0


def named(entry: str) -> tuple[str, Path]:
    name, separator, path = entry.partition("=")
    if not separator:
        raise InputError(f"{entry} is not an encoder to measure; give NAME=FILE.")
    return name, existing(Path(path), "build it first")


def collect(encoders: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds and return the figures of each encoder."""
    features = json.loads(metadata(load_graph(encoders[options.reference]))["dims"])["F"]
    figures_of: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in encoders}
    outputs: dict[str, Arrays] = {}
    steps = [(threads, name) for _ in range(options.rounds) for threads in options.threads for name in encoders]
    for threads, name in progress(steps, desc="bench"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            report, outputs[name] = pool.apply(measured, (encoders[name], features, options.seconds, threads))
        for key, value in report.items():
            figures_of[name][key].append(value)
    return {
        name: {key: round(statistics.median(values), 4) for key, values in figures.items()}
        | {"bytes": size(encoders[name]), "relative_rms": relative_errors(outputs[name], outputs[options.reference])}
        for name, figures in figures_of.items()
    }


def measured(path: Path, features: int, lengths: list[float], threads: int) -> tuple[dict[str, float], Arrays]:
    """Load an encoder and time it, the work of one process; return its figures, and its output at each length."""
    began = time.perf_counter()
    session = open_session(path, threads=threads)
    report = {"load_seconds": time.perf_counter() - began}
    names = [value.name for value in session.get_inputs()]
    outputs = {}
    for seconds in sorted(lengths):
        frames = round(seconds * FRAMES_PER_SECOND)
        inputs = example("encoder", {"B": 1, "F": features, "T": frames}, seed=frames)
        values = dict(zip(names, inputs.values(), strict=True))
        times: list[float] = []
        while sum(times) < LEAST_SECONDS:
            began = time.perf_counter()
            outputs[f"{seconds:g}"] = session.run(None, values)[0]
            times.append(time.perf_counter() - began)
        report[f"latency_{seconds:g}s_{threads}t"] = min(times)
        report["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
        # So far, that is of this length, as the shorter ones took less.
        report[f"peak_{seconds:g}s"] = report["peak_bytes"]
    return report, outputs


def relative_errors(actual: Arrays, expected: Arrays) -> dict[str, float]:
    """Return the error at each length, root mean square over that of the reference."""
    return {
        length: round(float(np.sqrt(np.mean((actual[length] - array) ** 2) / np.mean(array**2))), 6)
        for length, array in expected.items()
    }


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *(path.parent / n for n in external_files(load_graph(path)))])


if __name__ == "__main__":
    sys.exit(run(main))
