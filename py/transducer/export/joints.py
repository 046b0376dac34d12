"""Joints of every class: encoder frames and predictor embeddings to logits of labels, blank, and what comes after it.

Example:
    joint = Joint(checkpoint.build("joint"), big_blanks=3)
    logits = joint(encoder_output, predictor_output)
"""

from typing import Any

import torch
from torch import Tensor, nn


class Joint(nn.Module):
    """Encoder frames [B,D,T] and predictor embeddings [B,H,U] to raw logits [B,T,U,V+K].

    Those of a HAT are log probabilities, of labels and blank together.
    """

    def __init__(self, joint: Any, big_blanks: int = 0) -> None:
        super().__init__()
        self.joint = joint
        # NeMo has the big blanks before the blank, the last of them first.
        labels = joint.num_classes_with_blank - big_blanks - 1
        self.order = [*range(labels), *range(labels + big_blanks, labels - 1, -1)] if big_blanks else []

    def forward(self, encoder_output: Tensor, predictor_output: Tensor) -> Tensor:
        return self.ordered(self.joint.joint(encoder_output.transpose(1, 2), predictor_output.transpose(1, 2)))

    def of_one(self, frame: Tensor, g: Tensor) -> Tensor:
        """Return the logits [B,V+K] of one encoder frame [B,D] and one embedding [B,H] each.

        Without time and token axes: with them, ONNX Runtime 1.31 ends in a segmentation fault on the fp16 form.
        """
        x = self.joint.project_encoder(frame) + self.joint.project_prednet(g)
        if not hasattr(self.joint, "blank_pred"):
            return self.ordered(self.joint.joint_net(x))
        blank = self.joint.blank_pred(x)
        # As NeMo keeps the logarithm finite.
        others = torch.log(torch.clamp(1 - torch.exp(blank), min=1e-6))
        return torch.cat([others + self.joint.joint_net(x).log_softmax(dim=-1), blank], dim=-1)

    def ordered(self, logits: Tensor) -> Tensor:
        """Return logits in the order of the contract: labels, blank, then big blanks as their durations are listed."""
        if not self.order:
            return logits
        return logits.index_select(-1, torch.tensor(self.order, device=logits.device))
