"""One step of a transducer's decoding, by a graph or by NeMo's modules.

Example:
    step = graph_step(open_session(Path("out/demo-swipe/onnx/rnnt_step.onnx")))
    logits, h, c = step(frames, labels, h, c)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transducer.core.contracts import Floats

Integers = NDArray[np.int64]
# Encoder frames [B, D], last labels [B] and LSTM states [L, B, H] before these labels, to raw logits [B, V] and the
# states after them: the contract of rnnt_step.
Step = Callable[[Floats, Integers, Floats, Floats], tuple[Floats, Floats, Floats]]


def graph_step(session: Any) -> Step:
    """Return the step of an rnnt_step graph, an ONNX Runtime session."""

    def step(frame: Floats, label: Integers, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        logits, h, c = session.run(None, {"encoder_frame": np.ascontiguousarray(frame), "y": label, "h": h, "c": c})
        return logits, h, c

    return step


def module_step(decoder: Any, joint: Any) -> Step:
    """Return the step of a NeMo RNNTDecoder and RNNTJoint in eval mode."""
    import torch

    @torch.inference_mode()
    def step(frame: Floats, label: Integers, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        state = torch.from_numpy(h), torch.from_numpy(c)
        g, (h_out, c_out) = decoder.predict(torch.from_numpy(label)[:, None], state=state, add_sos=False)
        encoded = torch.from_numpy(np.ascontiguousarray(frame))[:, None]
        logits = joint.joint_after_projection(joint.project_encoder(encoded), joint.project_prednet(g))
        return logits[:, 0, 0].numpy(), h_out.numpy(), c_out.numpy()

    return step
