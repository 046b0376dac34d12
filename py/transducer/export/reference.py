"""NeMo's own modules as functions of named arrays: what graphs and lowered programs are compared with.

Example:
    logits = reference("joint", Checkpoint(Path("out/demo-tdt/checkpoint")))(arrays)["joint_output"]
"""

from typing import Any

import torch

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.checkpoint.facts import describe
from transducer.core.contracts import Arrays, graph_of
from transducer.export.modules import load_module
from transducer.export.streaming import Streaming
from transducer.runtime.sessions import Runner


def reference(name: str, checkpoint: Checkpoint, device: str = "cpu", streaming: Streaming | None = None) -> Runner:
    """Return NeMo's module as a function of named arrays, unpatched but for the joint's raw logits."""
    module: Any = load_module(name, checkpoint, streaming, reference=True).to(device)
    sizes = streaming.sizes if streaming else {}
    outputs = graph_of(name, describe(checkpoint)["dims"] | sizes).outputs

    def run_module(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            results = module(*(torch.from_numpy(array).to(device) for array in arrays.values()))
        tensors = results if isinstance(results, tuple) else (results,)
        return {key: tensor.cpu().numpy() for key, tensor in zip(outputs, tensors, strict=True)}

    if name in ("joint", "rnnt_step"):
        (module.joint if name == "joint" else module.joint.joint).log_softmax = False
    return run_module
