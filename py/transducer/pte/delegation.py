"""What of a lowered program is delegated, quantized, and of which weights it is made.

Example:
    print(delegated(edge.exported_program())["flops"]["share"])
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node


def quantized_nodes(graph: GraphModule) -> dict[str, int]:
    """Count quantize and dequantize nodes, those of delegated parts too; neither name is part of the other here."""
    kinds = Counter(kind for node in _all_nodes(graph) if (kind := _kind(node)))
    return {kind: kinds[kind] for kind in ("quantize", "dequantize")}


def delegated(program: Any) -> dict[str, Any]:
    """Return the counts and shares of nodes and of floating-point operations that are delegated, and both by operator.

    Nodes are those that ExecuTorch's own delegation info counts. Operations are two for each multiplication and
    addition of matrix products and convolutions, at the sizes that the program was exported with.
    """
    from executorch.devtools.backend_debug import get_delegation_info

    info = get_delegation_info(program.graph_module)
    inside, outside = info.num_delegated_nodes, info.num_non_delegated_nodes
    here = sum(map(_flops, program.graph_module.graph.nodes))
    there = sum(_flops(node) for part in _parts(program.graph_module) for node in part.graph.nodes)
    return {
        "subgraphs": info.num_delegated_subgraphs,
        "nodes": {"delegated": inside, "others": outside, "share": _share(inside, outside)},
        "flops": {"delegated": there, "others": here, "share": _share(there, here)},
        "operators": {
            name: [counts.delegated, counts.non_delegated]
            for name, counts in sorted(info.delegation_by_operator.items())
        },
        **quantized_nodes(program.graph_module),
    }


def weight_dtypes(program: Any) -> dict[str, dict[str, int]]:
    """Count the weights of a program and of its delegated parts by dtype: tensors, values, bytes.

    Weights of four bits are int8 to PyTorch, and known by the range that their dequantize node names.
    """
    dtypes: dict[str, dict[str, int]] = defaultdict(lambda: {"tensors": 0, "values": 0, "bytes": 0})
    programs = [program, *(part.original_module for part in _lowered(program.graph_module))]
    for owner in programs:
        constants = {**owner.state_dict, **owner.constants}
        targets = {
            **owner.graph_signature.inputs_to_parameters,
            **owner.graph_signature.inputs_to_buffers,
            **owner.graph_signature.inputs_to_lifted_tensor_constants,
        }
        for node in owner.graph_module.graph.nodes:
            tensor = constants.get(targets.get(node.name, ""))
            if tensor is None or not _is_used(node):
                continue
            four = any(
                _kind(u) == "dequantize" and u.args[0] is node and -8 in u.args and 7 in u.args for u in node.users
            )
            entry = dtypes["int4" if four else str(tensor.dtype).removeprefix("torch.")]
            entry["tensors"] += 1
            entry["values"] += tensor.numel()
            entry["bytes"] += tensor.numel() // 2 if four else tensor.numel() * tensor.element_size()
    return dict(sorted(dtypes.items()))


def _is_used(node: Node) -> bool:
    """Tell whether anything but a delegate, which has a copy of its own, takes a node's value."""
    return any(user.op != "output" and "executorch_call_delegate" not in str(user.target) for user in node.users)


def _kind(node: Node) -> str:
    """Return "quantize" or "dequantize" for such nodes, else ""."""
    if node.op != "call_function":
        return ""
    # The name of an operator is after its library's, with `::`, a dot or an underscore between, as the dialect has it.
    match = re.search(r"(?<![a-z])(dequantize|quantize)_", str(getattr(node.target, "__name__", node.target)))
    return match[1] if match else ""


def _lowered(graph: GraphModule) -> Iterator[Any]:
    from executorch.exir.lowered_backend_module import LoweredBackendModule

    for module in graph.modules():
        if isinstance(module, LoweredBackendModule):
            yield module


def _parts(graph: GraphModule) -> Iterator[GraphModule]:
    for part in _lowered(graph):
        yield part.original_module.graph_module


def _all_nodes(graph: GraphModule) -> Iterator[Node]:
    yield from graph.graph.nodes
    for part in _parts(graph):
        yield from part.graph.nodes


def _flops(node: Node) -> int:
    """Return two for each multiplication and addition of a matrix product or convolution, 0 for other nodes."""
    if node.op != "call_function":
        return 0
    name = str(getattr(node.target, "__name__", node.target))
    if not re.search(r"convolution|linear\.|(bmm|addmm|mm)\.default", name):
        return 0
    operands = [_shape(argument) for argument in node.args if isinstance(argument, Node)]
    if "convolution" in name:
        return 2 * math.prod(_shape(node)) * math.prod(operands[1][1:])
    if "linear." in name:
        return 2 * math.prod(operands[0]) * operands[1][0]
    if "addmm" in name:
        return 2 * math.prod(operands[1]) * operands[2][-1]
    return 2 * math.prod(operands[0]) * operands[1][-1]


def _shape(node: Node) -> list[int]:
    """Return the sizes of a node's tensor, dynamic ones as they were when the program was exported."""
    value = node.meta["val"]
    value = value[0] if isinstance(value, (tuple, list)) else value
    return [size.node.hint if isinstance(size, torch.SymInt) else int(size) for size in value.shape]


def _share(part: int, rest: int) -> float:
    return round(part / max(part + rest, 1), 4)
