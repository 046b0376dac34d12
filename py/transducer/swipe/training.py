"""One training run of a swipe transducer, on a CPU or a GPU: steps, averaged weights, checkpoints, resumption.

Example:
    run = SwipeRun(model, corpus, batches, config, minutes=60)
    run.resume(work / "last.pt")
    run.train(work / "last.pt")
    run.average()
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from transducer.core.cli import log, replacing
from transducer.core.progress import progress
from transducer.swipe.augmentation import augment
from transducer.swipe.batch import Batch
from transducer.swipe.batched_features import batched_features
from transducer.swipe.corpus import MixedBatches, TraceCorpus, ordered
from transducer.swipe.rivals import ranking_loss
from transducer.train.run import computes_in_bf16

LOG_EVERY = 100


class SwipeRun:
    """A model in training.

    Args:
        model: NeMo's, with a loss that takes raw logits.
        corpus: what `batches` are drawn from, on the device that trains.
        config: optimizer, schedule and augmentation, as configs/demo-swipe.yaml has them.
        minutes: a budget that the schedule follows; where it is left out, `config.steps` are the end.
    """

    def __init__(
        self, model: Any, corpus: TraceCorpus, batches: MixedBatches, config: Any, minutes: float | None = None
    ) -> None:
        self.model, self._corpus, self._batches, self._config = model, corpus, batches, config
        self._minutes = minutes
        self.step, self.seconds = 0, 0.0
        device = corpus.device
        self._device, self._bf16 = device, computes_in_bf16()
        self.parts = nn.ModuleList([model.encoder, model.decoder, model.joint])
        blank = len(model.joint.vocabulary)
        self._ctc = nn.Linear(model.cfg.encoder.d_model, blank + 1).to(device)
        self._optimizer = self._build_optimizer()
        # A copy that is overwritten in place; averaging all tensors at once costs one kernel.
        self._average = {name: tensor.detach().clone() for name, tensor in self._floats()}
        self._generator = torch.Generator(device)

    @property
    def progress(self) -> float:
        """How much of the run is done, from 0 to 1."""
        if self._minutes is not None:
            return min(self.seconds / (60 * self._minutes), 1.0)
        return min(self.step / self._config.steps, 1.0)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same run, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, map_location=self._device, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.parts.load_state_dict(state["model"])
        self._ctc.load_state_dict(state["ctc"])
        self._optimizer.load_state_dict(state["optimizer"])
        for name, tensor in self._average.items():
            tensor.copy_(state["average"][name])

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.parts.state_dict(),
            "ctc": self._ctc.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
        }
        with replacing(path) as tmp:
            torch.save(state, tmp)

    def train(self, path: Path) -> None:
        """Train to the end of the schedule; `path` is the checkpoint that a killed run resumes from."""
        log.info("training from step %d on %s, %s", self.step, self._device, "bf16" if self._bf16 else "fp32")
        first, began, before = self.step, time.monotonic(), self.seconds
        with progress(total=100, unit="%", desc="train", bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
            while self.progress < 1:
                loss = self._train_step()
                self.step += 1
                self.seconds = before + time.monotonic() - began
                if self.step % LOG_EVERY == 0:
                    speed = (self.step - first) / (self.seconds - before)
                    log.info("step %d: loss %.3f, %.1f steps/s, %s", self.step, float(loss), speed, self._end(speed))
                    bar.update(round(100 * self.progress) - bar.n)
                if self.step % self._config.checkpoint_every == 0:
                    self.save(path)
        self.save(path)
        log.info("trained %d steps in %.1f minutes", self.step, self.seconds / 60)

    def average(self) -> None:
        """Give the model the average of its weights over the last steps."""
        with torch.no_grad():
            for name, tensor in self._floats():
                tensor.copy_(self._average[name])

    @torch.no_grad()
    def validate(self, corpus: TraceCorpus) -> float:
        """Return the mean loss of a swipe, in nats, of all that last at most 8 s."""
        self.parts.eval()
        total = count = 0.0
        for rows in ordered(corpus):
            total += float(self._loss(corpus.batch(rows))) * len(rows)
            count += len(rows)
        return total / max(count, 1)

    def _train_step(self) -> Tensor:
        # What a step draws depends on the seed and the step alone, so that a resumed run goes on alike.
        self._generator.manual_seed(self._config.seed * 1_000_003 + self.step)
        torch.manual_seed(self._config.seed * 1_000_003 + self.step)
        self.parts.train()
        self.model.loss.train()
        batch = self._corpus.batch(*self._batches.at(self.step))
        batch = augment(batch, self._config.augmentation, self._generator)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        loss = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self._optimizer.step()
        self._update_average()
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        features, frames = batched_features(batch)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            encoded, lengths = self.model.encoder(audio_signal=features, length=frames)
            predicted, *_ = self.model.decoder(targets=batch.labels, target_length=batch.label_lengths)
            logits = self.model.joint.joint(encoded.transpose(1, 2), predicted.transpose(1, 2))
            ranking = self._ranking(encoded, lengths, batch)
        loss: Tensor = self.model.loss(
            log_probs=logits.float(),
            targets=batch.labels,
            input_lengths=lengths,
            target_lengths=batch.label_lengths,
        )
        if self.parts.training and self._config.ctc_weight:
            scores = self._ctc(encoded.transpose(1, 2).float()).log_softmax(-1).transpose(0, 1)
            blank = scores.shape[2] - 1
            ctc = ctc_loss(
                scores, batch.labels, lengths, batch.label_lengths, blank, reduction="none", zero_infinity=True
            )
            loss = loss + self._config.ctc_weight * ctc.mean()
        return loss if ranking is None else loss + self._config.rivals_weight * ranking

    def _ranking(self, encoded: Tensor, lengths: Tensor, batch: Batch) -> Tensor | None:
        # A config of one's own may be older than this setting.
        if not self.parts.training or not self._config.get("rivals_weight"):
            return None
        return ranking_loss(self.model, encoded, lengths, batch)

    def _learning_rate(self) -> float:
        """Warm up linearly, then cool down along a cosine."""
        optim = self._config.optimizer
        warm = min(self.progress / optim.warmup, 1.0)
        return float(max(optim.lr * warm * (0.5 + 0.5 * math.cos(math.pi * self.progress)), optim.min_lr))

    def _build_optimizer(self) -> torch.optim.AdamW:
        optim = self._config.optimizer
        parameters = [*self.parts.parameters(), *self._ctc.parameters()]
        matrices = {"params": [p for p in parameters if p.ndim > 1], "weight_decay": optim.weight_decay}
        others = {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}
        fused = self._device.type == "cuda"
        return torch.optim.AdamW([matrices, others], lr=optim.lr, betas=tuple(optim.betas), fused=fused)

    @torch.no_grad()
    def _update_average(self) -> None:
        # A young average forgets its random start sooner.
        keep = min(self._config.average, (self.step + 1) / (self.step + 10))
        current = [tensor for _, tensor in self._floats()]
        torch._foreach_lerp_(list(self._average.values()), current, 1 - keep)

    def _floats(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, tensor) for name, tensor in self.parts.state_dict().items() if tensor.is_floating_point())

    def _end(self, speed: float) -> str:
        """Return when the run will end, by the time that it has taken so far."""
        left = 60 * self._minutes - self.seconds if self._minutes else (self._config.steps - self.step) / speed
        return f"ends at {time.strftime('%H:%M', time.localtime(time.time() + left))}"
