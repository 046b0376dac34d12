"""What swipe training needs besides the model: traces in memory, their augmentation, batches, and a teacher.

Example:
    corpus = SwipeCorpus(read_traces(manifest, labels), layout, labels)
    loader = DataLoader(corpus, batch_size=64, collate_fn=collate)
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.data.audio_to_text_dali import DALIOutputs
from torch import Tensor, nn
from torch.nn.functional import kl_div
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from transducer.checkpoint.checkpoint import Checkpoint
from transducer.swipe.features import FRAME_SECONDS, swipe_features
from transducer.swipe.keyboard import Doubles, Layout
from transducer.swipe.traces import Trace

Sample = tuple[Tensor, Tensor]


class SwipeCorpus(Dataset[Sample]):
    """Traces in memory: (features float32 [T, F], label ids int64 [U])."""

    def __init__(self, traces: list[Trace], layout: Layout, labels: str, augment: "Augmentation | None" = None):
        self._traces, self._layout, self._augment = traces, layout, augment
        ids = {label: number for number, label in enumerate(labels)}
        self._tokens = [torch.tensor([ids[letter] for letter in trace.word]) for trace in traces]
        spans = [trace.points[-1, 2] - trace.points[0, 2] for trace in traces]
        self.lengths = [1 + int(span / 1000 / FRAME_SECONDS) for span in spans]

    def __len__(self) -> int:
        return len(self._traces)

    def __getitem__(self, index: "int | tuple[int, int]") -> Sample:
        """Return a trace; an index of (trace, draw) names the draw of its augmentation."""
        trace, draw = index if isinstance(index, tuple) else (index, 0)
        points = self._traces[trace].points
        if self._augment:
            points = self._augment(points, np.random.default_rng([trace, draw]))
        return torch.from_numpy(swipe_features(points, self._layout)), self._tokens[trace]

    def weights(self, power: float) -> np.ndarray:
        """Return the share [traces] of each trace in an epoch: its word's number of traces to the minus `power`."""
        counts = Counter(trace.word for trace in self._traces)
        weights = np.array([counts[trace.word] ** -power for trace in self._traces])
        return np.asarray(weights / weights.sum())


class Augmentation:
    """Random shift, size, slant, tempo and noise of a trace, as the `augmentation` part of a config says."""

    def __init__(self, config: Any):
        self._config = config

    def __call__(self, points: Doubles, rng: np.random.Generator) -> Doubles:
        """Return other points [N, 3], which may lie a little outside the letter area."""
        config = self._config
        centre = np.array([0.5, 0.5])
        change = np.eye(2) + rng.normal(0.0, config.slant, (2, 2)) * (1 - np.eye(2))
        change *= np.exp(rng.normal(0.0, config.size, 2))
        place = (points[:, :2] - centre) @ change + centre
        place = place + rng.normal(0.0, config.shift, 2) + rng.normal(0.0, config.noise, place.shape)
        tempo = np.exp(rng.uniform(-config.tempo, config.tempo))
        return np.column_stack([place, (points[:, 2] - points[0, 2]) * tempo])


class SwipeBatch(DALIOutputs):
    """Features that need no preprocessor, in the one form in which NeMo's training steps take them."""

    def __init__(self, features: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor):
        super().__init__(
            {
                "processed_signal": features,
                "processed_signal_len": lengths,
                "transcript": labels,
                "transcript_len": label_lengths,
            }
        )

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._outs)

    def to(self, device: torch.device, **options: Any) -> "SwipeBatch":
        """Return the batch on a device; Lightning calls this."""
        return SwipeBatch(*(tensor.to(device, **options) for tensor in self))


def collate(samples: list[Sample]) -> SwipeBatch:
    """Return features [B, F, T], frames [B], label ids [B, U] and their numbers [B]."""
    features, labels = (list(column) for column in zip(*samples, strict=True))
    return SwipeBatch(
        pad_sequence(features, batch_first=True).transpose(1, 2).contiguous(),
        torch.tensor([len(frames) for frames in features]),
        pad_sequence(labels, batch_first=True),
        torch.tensor([len(ids) for ids in labels]),
    )


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
            wanted = joint.joint(encoded.transpose(1, 2), predicted.transpose(1, 2)).log_softmax(-1)
        given = log_probs.float().log_softmax(-1)
        frames, tokens = given.shape[1], given.shape[2]
        apart = kl_div(given, wanted[:, :frames, :tokens], reduction="none", log_target=True).sum(-1)
        within = torch.arange(frames, device=apart.device)[:, None] < input_lengths[:, None, None]
        within = within & (torch.arange(tokens, device=apart.device) <= target_lengths[:, None, None])
        mean = (apart * within).sum((1, 2)) / within.sum((1, 2))
        return loss + self._weight * (mean * target_lengths).mean()
