"""Find how large an encoder's channels are on one part of the calibration batches, for equalize.py to go by.

Example:
    .venv/bin/python py/quantize/observe_shard.py --graph encoder --input out/demo-tdt/onnx/encoder.onnx \
        --frontend out/demo-tdt/onnx/frontend.onnx --manifest models/validation/manifest.jsonl --shard 3/16 \
        --output out/demo-tdt/shards/equalize.encoder.3-of-16.json
"""

import sys
from itertools import islice
from pathlib import Path

from transducer.core.cli import InputError, parser, run
from transducer.core.shards import Shard
from transducer.quantize.calibration import channel_maxima
from transducer.quantize.equalization import find_pairs
from transducer.quantize.inputs import calibration_arguments, calibration_inputs
from transducer.quantize.source import Source


def main() -> int:
    args = parser(__doc__)
    calibration_arguments(args)
    args.add_argument("--shard", type=Shard.parse, required=True, metavar="NUMBER/COUNT")
    args.add_argument("--output", type=Path, required=True, help="the largest magnitude of each channel, JSON")
    options = args.parse_args()
    graph, shard = Source(options.input), options.shard
    graph.own_vectors()
    tensors = [pair.tensor for pair in find_pairs(graph)]
    batches = islice(calibration_inputs(options), shard.number - 1, None, shard.parts)
    maxima = channel_maxima(options.input, tensors, batches) if tensors else {}
    if tensors and not maxima:
        raise InputError(f"{options.manifest} gives too few batches for {shard.parts} shards; set SHARDS to less.")
    shard.write(options.output, [{name: values.tolist() for name, values in maxima.items()}], shard.parts)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
