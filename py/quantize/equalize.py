"""Equalize the channels of a graph, exactly in fp32, so that the int8 and int4 forms made of it lose less.

Example:
    .venv/bin/python py/quantize/equalize.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl \
        --output out/demo-tdt/onnx/encoder.equalized.onnx

How large channels are is found on the manifest's speech or swipes; without one, it is judged by the weights.
"""

import sys
from pathlib import Path

import numpy as np

from transducer.core.cli import InputError, log, parser, run
from transducer.core.shards import read_shards
from transducer.quantize.calibration import channel_maxima
from transducer.quantize.equalization import Floats, equalize, find_pairs
from transducer.quantize.inputs import calibration_arguments, calibration_inputs
from transducer.quantize.source import EQUALIZED, Source


def main() -> int:
    args = parser(__doc__)
    calibration_arguments(args, required=False)
    args.add_argument("--observed", type=Path, nargs="+", help="all parts of what observe_shard.py observed")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    graph = Source(options.input)
    if graph.made_with.get("method") == EQUALIZED:
        raise InputError(f"{options.input} is equalized already; give the fp32 graph.")
    graph.own_vectors()
    pairs = find_pairs(graph)
    maxima: dict[str, Floats] = {}
    if pairs and options.observed:
        parts = read_shards(options.observed, len(options.observed))
        maxima = {pair.tensor: np.max([part[pair.tensor] for part in parts], axis=0) for pair in pairs}
    elif pairs and options.manifest:
        maxima = channel_maxima(options.input, [pair.tensor for pair in pairs], calibration_inputs(options))
    elif pairs:
        log.warning("%s: no calibration data, so channels are equalized by their weights alone", options.input)
    else:
        log.warning("%s: has no norm or pair of layers to fold factors into, and stays as it is", options.input)
    count = equalize(graph, pairs, maxima)
    facts = {
        "method": EQUALIZED,
        "pairs": len(pairs),
        "channels": count,
        "calibration": f"{options.batches} batches of {options.batch_size}" if maxima else "weights",
    }
    graph.write(graph.nodes, options.output, facts)
    log.info("%s: %d channels of %d tensors rescaled", options.output, count, len(pairs))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
