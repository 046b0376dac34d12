"""A teacher for a swipe transducer: the divergence from its outputs, added to the loss.

Example:
    model.loss = Distillation(model.loss, Checkpoint(Path("out/demo-swipe/teacher")), weight=0.5, model=model)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from transducer.checkpoint.checkpoint import Checkpoint


class Distillation(nn.Module):
    """A transducer loss, and in training the divergence of the model from a teacher at every node of the lattice.

    The teacher sees what the model's encoder sees. Its divergence is the mean over an utterance's nodes, T x (U + 1),
    of KL(teacher || model), times the number of its labels, so that it weighs like the loss of the utterance.
    """

    def __init__(self, loss: nn.Module, teacher: Checkpoint, weight: float, model: Any):
        super().__init__()
        self.loss, self._weight = loss, weight
        # In a list, so that the teacher's weights are not saved as the model's.
        self._teacher = [teacher.build(part) for part in ("encoder", "decoder", "joint")]
        self._seen: tuple[Tensor, Tensor] | None = None
        model.encoder.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, encoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Tensor]) -> None:
        self._seen = kwargs["audio_signal"], kwargs["length"]

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        loss = self.loss(
            log_probs=log_probs, targets=targets, input_lengths=input_lengths, target_lengths=target_lengths
        )
        if not self.training:
            return loss
        with torch.no_grad():
            encoder, decoder, joint = (part.to(log_probs.device) for part in self._teacher)
            assert self._seen is not None
            encoded, _ = encoder(audio_signal=self._seen[0], length=self._seen[1])
            predicted, _, _ = decoder(targets=targets, target_length=target_lengths)
            teacher_log_probs = joint.joint(encoded.transpose(1, 2), predicted.transpose(1, 2)).log_softmax(-1)
        own_log_probs = log_probs.float().log_softmax(-1)
        frames, tokens = own_log_probs.shape[1], own_log_probs.shape[2]
        apart = kl_div(own_log_probs, teacher_log_probs[:, :frames, :tokens], reduction="none", log_target=True).sum(-1)
        within = torch.arange(frames, device=apart.device)[:, None] < input_lengths[:, None, None]
        within = within & (torch.arange(tokens, device=apart.device) <= target_lengths[:, None, None])
        mean = (apart * within).sum((1, 2)) / within.sum((1, 2))
        return loss + self._weight * (mean * target_lengths).mean()
