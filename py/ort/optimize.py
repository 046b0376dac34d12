"""Optimise a graph for one target as ONNX Runtime would at load, at the level that any machine of the target can run.

Fusions are kept, layouts of this machine's own are not. A name that ends in .ort gives the flatbuffer form.

Example:
    .venv/bin/python py/ort/optimize.py --graph encoder --target web --input out/demo-tdt/ort/encoder.web.int8.onnx \
        --output out/demo-tdt/ort/encoder.web.int8.ort
"""

import json
import sys
from pathlib import Path

import onnxruntime
from onnxruntime import GraphOptimizationLevel, SessionOptions

from transducer.core.cli import CheckError, InputError, existing, log, parser, replacing, run
from transducer.core.contracts import GRAPHS
from transducer.core.onnx_files import external_files, load_graph, save_graph, set_metadata
from transducer.core.operators import Runtime
from transducer.ort.flatbuffer import in_fixed_order
from transducer.runtime.parity import compare_files

# Whether branches of a graph run at once, which a server or a browser with threads gains from and a phone does not;
# and whether the target multiplies signed by signed bytes, so that Q/DQ need not be rewritten to unsigned ones.
TARGETS = {"web": (True, False), "android": (False, True), "any": (False, False)}
# FlatBuffers and protobuf end at 2 GiB.
LARGEST = 1 << 31
# ONNX Runtime reads these options from a model where the environment has ORT_LOAD_CONFIG_FROM_MODEL=1.
CONFIG = "ort_config"


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--graph", choices=sorted(GRAPHS), required=True)
    args.add_argument("--target", choices=sorted(TARGETS), required=True)
    args.add_argument("--runtime", type=Path, help="file of configs/runtimes/ that lists the target's operators")
    args.add_argument("--input", type=Path, required=True)
    # With static ranges, a value in the middle of two steps (to 2e-6 of one) may round to the other, because integer
    # kernels sum exactly and the input's floats do not; the layers after it make up to 3 % of that.
    args.add_argument("--max-relative-rms", type=float, default=0.05, help="largest difference from the input")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    source: Path = existing(options.input, "build it first")
    model = load_graph(source)
    files = [source, *(source.parent / name for name in external_files(model))]
    if sum(file.stat().st_size for file in files) >= LARGEST:
        raise InputError(f"{source} is above 2 GiB, which one optimised file cannot hold; optimise a quantized form.")
    parallel, signed = TARGETS[options.target]
    with replacing(options.output) as tmp:
        optimised(source, tmp, signed)
        if tmp.suffix == ".onnx":
            graph = load_graph(tmp)
            if options.runtime:
                Runtime.read(options.runtime).require(graph, options.output)
            set_metadata(graph, {CONFIG: json.dumps(config(parallel), sort_keys=True)})
            save_graph(graph, tmp)
        else:
            tmp.write_bytes(in_fixed_order(tmp.read_bytes()))
        cases = compare_files(options.graph, source, tmp)
        worst = max(case.relative_rms for case in cases)
        if not worst <= options.max_relative_rms:
            raise CheckError(f"{options.output} differs from {source} by {worst:.2%}; deploy {source.name} instead.")
    log.info("%s: differs from %s by %.1e", options.output, source.name, worst)
    return 0


def optimised(source: Path, target: Path, signed: bool) -> None:
    """Have ONNX Runtime write a graph as it would run it, without what level `all` adds: layouts of this machine."""
    options = SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT" if target.suffix == ".ort" else "ONNX")
    options.add_session_config_entry("session.qdqisint8allowed", str(int(signed)))
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def config(parallel: bool) -> dict[str, dict[str, int]]:
    """Return the session options to run the graph with: threads 0 are all, level 1 leaves what was fused as it is."""
    return {
        "session_options": {
            "execution_mode": int(parallel),
            "graph_optimization_level": 1,
            "inter_op_num_threads": 0 if parallel else 1,
            "intra_op_num_threads": 0,
        }
    }


if __name__ == "__main__":
    sys.exit(run(main))
