"""Equalization of channels: an exact rewrite of an fp32 graph that leaves channels of similar size to quantize.

Large trained models have channels that are a hundred times as large as the others; with one scale for all, int8 leaves
the others next to nothing. A channel is divided by a factor where it arises and multiplied by it where it is read
(SmoothQuant, Xiao et al. 2023, arXiv:2211.10438). Factors are powers of two, so that fp32 results stay the same bit
for bit.

Example:
    graph = Source(Path("out/demo-tdt/onnx/encoder.onnx"))
    pairs = find_pairs(graph)
    equalize(graph, pairs, channel_maxima(graph.path, [pair.tensor for pair in pairs], inputs))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from transducer.quantize.source import Source

Floats = NDArray[np.float32]
# What moves values about but computes nothing, so that a channel stays what it is. Where puts zeros in place of some.
MOVES = {"Reshape", "Transpose", "Where", "Identity"}
# How much larger or smaller than its neighbors a channel may be made.
LARGEST_EXPONENT = 16


@dataclass(frozen=True)
class Pair:
    """Channels that arise in some weights and are read by others, with only what is linear in between.

    tensor: the activation [..., C] that is quantized.
    divided: the weights that it arises in, and the axis of each that the channels lie on.
    multiplied: the matrices [C, out] that read it.
    """

    tensor: str
    divided: dict[str, int]
    multiplied: list[str]


def find_pairs(graph: Source) -> list[Pair]:
    """Return the pairs of a graph: norms and the matrices behind them, and attention's values and output."""
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for value in graph.model.graph.output:
        readers.setdefault(value.name, []).append(NodeProto(op_type="Output"))
    producers = {name: node for node in graph.nodes for name in node.output}
    uses = {name: len(nodes) for name, nodes in readers.items()}
    pairs = [_norm_pair(graph, node, readers, uses) for node in graph.nodes if node.op_type == "LayerNormalization"]
    pairs += [_value_pair(graph, node, readers, producers, uses) for node in graph.nodes if graph.is_matrix(node)]
    return [pair for pair in pairs if pair]


def _norm_pair(
    graph: Source, norm: NodeProto, readers: Mapping[str, list[NodeProto]], uses: Mapping[str, int]
) -> Pair | None:
    """Return a norm with the matrices that alone read it, if that is so and all their weights are theirs alone."""
    parts = list(norm.input[1:])
    read = [node for node in readers.get(norm.output[0], []) if node.op_type != "Shape"]
    matrices = [node.input[1] for node in read if graph.is_matrix(node)]
    if not read or len(matrices) != len(read) or any(uses[name] != 1 for name in [*parts, *matrices]):
        return None
    return Pair(norm.output[0], dict.fromkeys(parts, 0), matrices)


def _value_pair(
    graph: Source,
    output: NodeProto,
    readers: Mapping[str, list[NodeProto]],
    producers: Mapping[str, NodeProto],
    uses: Mapping[str, int],
) -> Pair | None:
    """Return a matrix with the one whose channels it reads after attention has mixed them over time."""
    name, mixed, divided = output.input[0], False, {}
    while node := producers.get(name):
        # Where another branch reads the channels too, they have to stay what they are.
        if len([one for one in readers[name] if one.op_type != "Shape"]) != 1:
            return None
        if graph.is_matrix(node):
            divided[node.input[1]] = 1
            break
        if node.op_type == "MatMul" and not mixed and producers.get(node.input[0], node).op_type == "Softmax":
            mixed, name = True, node.input[1]
        elif node.op_type == "Where" and node.input[1] in graph.weights and not graph.array(node.input[1]).any():
            name = node.input[2]
        elif node.op_type in MOVES - {"Where"}:
            name = node.input[0]
        elif node.op_type == "Add" and (biases := [one for one in node.input if len(graph.shape(one)) == 1]):
            divided[biases[0]] = 0
            name = next(one for one in node.input if one != biases[0])
        else:
            return None
    weights = [*divided, output.input[1]]
    if not mixed or not node or any(uses[weight] != 1 for weight in weights):
        return None
    return Pair(output.input[0], divided, [output.input[1]])


def equalize(graph: Source, pairs: Sequence[Pair], maxima: Mapping[str, Floats]) -> int:
    """Rescale the weights of all pairs; return how many channels change.

    `maxima` are the largest magnitudes [C] of the pairs' tensors on calibration data; a pair without them is judged by
    its weights alone.
    """
    scalings = [(pair, _factors(graph, pair, maxima.get(pair.tensor))) for pair in pairs]
    for pair, factors in scalings:
        for name, axis in pair.divided.items():
            graph.rescale(name, axis, np.float32(1) / factors)
        for name in pair.multiplied:
            graph.rescale(name, 0, factors)
    return sum(int((factors != 1).sum()) for _, factors in scalings)


def _factors(graph: Source, pair: Pair, maxima: Floats | None) -> Floats:
    """Return by what each channel of a pair's tensor is divided.

    The root of activation over weight leaves both equally far from even; channels that are never used stay.
    """
    rows = np.max([np.abs(graph.array(name)).max(axis=1) for name in pair.multiplied], axis=0)
    activations = _expected(graph, pair) if maxima is None else maxima
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = 0.5 * (np.log2(activations) - np.log2(rows))
    used = np.isfinite(exponent)
    exponent = np.where(used, exponent - np.median(exponent[used]) if used.any() else 0, 0)
    return np.exp2(np.rint(exponent).clip(-LARGEST_EXPONENT, LARGEST_EXPONENT)).astype(np.float32)


def _expected(graph: Source, pair: Pair) -> Floats:
    """Return how large channels are expected to be by the weights that they arise in.

    What a norm passes on has a variance of 1 before gain and shift, and hardly a value above 4; a matrix's output grows
    with its columns.
    """
    weights = [(graph.array(name), axis) for name, axis in pair.divided.items()]
    if matrices := [np.linalg.norm(array, axis=0) for array, axis in weights if axis == 1]:
        return np.asarray(matrices[0], np.float32)
    gain, *shift = [np.abs(array) for array, _ in weights]
    return np.asarray(4 * gain + sum(shift), np.float32)
