"""From a checkpoint's module to an ExecuTorch file: export, quantize, delegate, write.

Example:
    part = load_part("encoder", Checkpoint(Path("out/demo-tdt/checkpoint")), max_frames=3000)
    lowered = lower(part.export(), part, XNNPACK)
    write_pte(lowered, part, {"method": "xnnpack"}, Path("out/demo-tdt/pte/encoder.xnnpack.pte"))

Beside a file lies its manifest (.json): inputs and outputs, the lengths and batches it takes, how it was made, and what
was delegated, which the file itself does not tell.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from transducer.core.cli import log, quiet_stderr, replacing, sha256_of, write_json
from transducer.core.contracts import graph_of, input_names
from transducer.core.progress import progress
from transducer.pte.delegation import delegated, quantized_nodes, weight_dtypes
from transducer.pte.parts import Part, any_length

PORTABLE, XNNPACK = "portable", "xnnpack"


def quantize(part: Part, quantizer: Any, inputs: Iterable[Sequence[Tensor]]) -> ExportedProgram:
    """Return the part quantized by PT2E, its activations observed on inputs.

    Raises: ValueError if nothing came out quantized.
    """
    with quiet_stderr():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(part.export().module(check_guards=False), quantizer)
    with torch.inference_mode():
        for arrays in progress(inputs, desc="calibrate", unit="utterance", leave=False):
            prepared(*arrays)
    program = part.export(convert_pt2e(prepared))
    if not quantized_nodes(program.graph_module)["dequantize"]:
        raise ValueError("the quantizer found no layer that it knows")
    return program


def lower(program: ExportedProgram, part: Part, how: str) -> Any:
    """Return an exported program in ExecuTorch's edge dialect, parts of it delegated to XNNPACK."""
    with quiet_stderr():
        import executorch.kernels.quantized  # noqa: F401  registers the out variants of quantize and dequantize
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    numbers = {f"min_{axis}": low for axis, (low, _) in part.bounds.items()}
    numbers |= {f"max_{axis}": high for axis, (_, high) in part.bounds.items()}
    with any_length():
        return to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()] if how == XNNPACK else [],
            constant_methods=numbers | {"blank_id": part.facts["blank_id"]},
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )


def write_pte(edge: Any, part: Part, made_with: dict[str, Any], output: Path) -> None:
    """Write the file and beside it its manifest (.json)."""
    from executorch.exir import ExecutorchBackendConfig

    module = edge.exported_program()
    bounds = _kept_bounds(part, module)
    graph = graph_of(part.graph, part.facts["dims"])
    names = input_names(graph, "swipe" in part.facts)
    manifest: dict[str, Any] = {
        "file": output.name,
        "graph": part.graph,
        "made_with": made_with,
        "inputs": [{"name": n, **_value(t)} for n, t in zip(names, part.inputs, strict=True)],
        "outputs": list(graph.outputs),
        "bounds": {axis: list(ends) for axis, ends in bounds.items()},
        "facts": part.facts,
        "delegation": delegated(module),
        "weights": weight_dtypes(module),
    }
    with any_length():
        program = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    with replacing(output) as tmp:
        with tmp.open("wb") as stream:
            program.write_to_file(stream)
        manifest |= {"sha256": sha256_of(tmp), "bytes": tmp.stat().st_size}
        # Before the file, which Make takes for both.
        write_json(output.with_suffix(".json"), manifest)
    share = manifest["delegation"]["flops"]["share"]
    log.info("%s: %d bytes, %.1f %% of the arithmetic delegated", output, manifest["bytes"], 100 * share)


def _kept_bounds(part: Part, program: Any) -> dict[str, tuple[int, int]]:
    """Return the bounds that a lowered program has kept: a decomposition may have taken one path of several.

    A lower end of 2 says nothing: the exporter notes it for every dynamic axis, and what it makes takes 1 as well.
    """
    ranges = [(int(ends.lower), int(ends.upper)) for ends in program.range_constraints.values()]
    limits = [(low if low > 2 else 0, high) for low, high in ranges]
    bounds = {
        axis: (max(low, *(ends[0] for ends in limits)), min(high, *(ends[1] for ends in limits)))
        if limits
        else (low, high)
        for axis, (low, high) in part.bounds.items()
    }
    if bounds != part.bounds:
        log.warning("%s takes %s only, where %s was asked for", part.graph, bounds, part.bounds)
    return bounds


def _value(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
