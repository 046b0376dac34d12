"""Quantize a graph's matrices in blocks of weights with scales of their own: MatMulNBits, which computes in int8.

4 bits are for size, 8 for accuracy at the price of speed: activations are quantized by block too.

Example:
    .venv/bin/python py/quantize/blocks.py --bits 4 --input out/demo-tdt/onnx/encoder.onnx \
        --output out/demo-tdt/onnx/encoder.int4.onnx
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, DefaultWeightOnlyQuantizer

from transducer.core.cli import InputError, log, parser, run
from transducer.quantize.source import MICROSOFT, Named, Source

# Activations are quantized to int8 dynamically: four times as fast as dequantizing the weights to fp32.
ACCURACY_LEVEL = 4
# Names of variants by their bits.
METHODS = {4: "int4", 8: "int8-block"}


def main() -> int:
    args = parser(__doc__)
    args.add_argument("--input", type=Path, required=True, help="the fp32 graph")
    args.add_argument("--bits", type=int, choices=METHODS, required=True)
    args.add_argument("--block-size", type=int, default=32, help="weights that share a scale: 16, 32, 64, 128 or 256")
    args.add_argument("--exclude", default="", help="regular expression of names of nodes to leave in fp32")
    args.add_argument("--output", type=Path, required=True)
    options = args.parse_args()
    if options.block_size not in (16, 32, 64, 128, 256):
        raise InputError(f"--block-size {options.block_size} is not a block size; give 16, 32, 64, 128 or 256.")
    graph = Source(options.input, options.exclude)
    bits, size = options.bits, options.block_size
    nodes = [quantized(graph, node, bits, size) if graph.is_matrix(node) else node for node in graph.nodes]
    graph.write(nodes, options.output, {"method": METHODS[bits], "exclude": options.exclude, "block_size": size})
    log.info("%s: %d matrices quantized", options.output, sum(node.op_type == "MatMulNBits" for node in nodes))
    return 0


def quantized(graph: Source, node: NodeProto, bits: int, block_size: int) -> NodeProto:
    """Return a MatMulNBits in place of a MatMul by a learned matrix."""
    config = DefaultWeightOnlyQuantConfig(
        block_size=block_size, is_symmetric=False, accuracy_level=ACCURACY_LEVEL, bits=bits
    )
    quantizer = DefaultWeightOnlyQuantizer(config)

    def blocks(name: str, array: NDArray[Any]) -> Iterator[Named]:
        values, scale, zero = quantizer.qbits_block_quant(np.ascontiguousarray(array, np.float32))
        yield f"{name}_blocks", values
        yield f"{name}_scale", scale
        yield f"{name}_zero", zero

    activation, weight = node.input
    rows, columns = graph.shape(weight)
    # For each block a scale, and a zero point of as many bits as a weight.
    graph.convert(weight, blocks, bits=bits + (32 + bits) / block_size)
    return helper.make_node(
        "MatMulNBits",
        [activation, f"{weight}_blocks", f"{weight}_scale", f"{weight}_zero"],
        list(node.output),
        name=f"{node.name}NBits",
        domain=MICROSOFT,
        K=rows,
        N=columns,
        bits=bits,
        block_size=block_size,
        accuracy_level=ACCURACY_LEVEL,
    )


if __name__ == "__main__":
    sys.exit(run(main))
