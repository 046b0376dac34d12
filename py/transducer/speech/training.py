"""What training needs besides the model: utterances in memory, and their batches.

Example:
    corpus = Corpus([Source(Path("models/validation/manifest.jsonl"))], 16000, model.tokenizer.text_to_ids)
    loader = DataLoader(corpus, batch_size=32, collate_fn=collate)
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from transducer.core.progress import progress
from transducer.core.sources import Source
from transducer.speech.audio import Stretch, read_audio
from transducer.speech.augmentation import Augmentation, Plan
from transducer.speech.manifest import read_manifest, stretch

Sample = tuple[Tensor, Tensor]
# Utterance, epoch, and place in the epoch.
Draw = tuple[int, int, int]


class Corpus(Dataset[Sample]):
    """Utterances held in memory as 16 bit samples: (waveform float32 [samples], token ids int64 [U]).

    Args:
        manifests: NeMo manifests; an utterance may be a part of its file, by offset and duration.
        sample_rate: that all audio must have.
        encode: text to token ids.
        augment: what an utterance is heard with, or None for the utterance as it is.
    """

    def __init__(
        self,
        manifests: list[Source],
        sample_rate: int,
        encode: Callable[[str], list[int]],
        augment: Augmentation | None = None,
    ):
        parts = [read_manifest(source.path) for source in manifests]
        entries = [entry for part in parts for entry in part]
        self._waves = [_read_samples(stretch(entry), sample_rate) for entry in progress(entries, "audio")]
        self._tokens = [torch.tensor(encode(entry["text"]), dtype=torch.int64) for entry in entries]
        self._augment = augment
        self.lengths = [len(wave) for wave in self._waves]
        weights = [source.weight / len(part) for source, part in zip(manifests, parts, strict=True) for _ in part]
        # How often each utterance comes relative to the others; the sum is 1.
        self.weights = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return len(self._waves)

    def samples(self, index: Draw) -> int:
        """Return the length of what `__getitem__` returns for this index, to within a few samples."""
        plan, _ = self._plan(index)
        return plan.samples(self.lengths)

    def __getitem__(self, index: int | Draw) -> Sample:
        """Return an utterance; an index of (utterance, epoch, place) names the draw of its augmentation."""
        if self._augment is None or isinstance(index, int):
            utterance = index if isinstance(index, int) else index[0]
            return torch.from_numpy(self._wave(utterance)), self._tokens[utterance]
        plan, rng = self._plan(index)
        wave = self._augment(plan, [self._wave(member) for member in plan.members], rng)
        nothing = torch.zeros(0, dtype=torch.int64)
        return torch.from_numpy(wave), torch.cat([nothing, *(self._tokens[member] for member in plan.members)])

    def _plan(self, index: Draw) -> tuple[Plan, np.random.Generator]:
        """Return what the recording of a draw holds, and the generator that goes on to augment it."""
        assert self._augment is not None
        rng = np.random.default_rng(index)
        return self._augment.plan(index[0], self.lengths, self.weights, index[1], rng), rng

    def _wave(self, utterance: int) -> np.ndarray:
        return self._waves[utterance].astype(np.float32) / 32768


def _read_samples(part: Stretch, sample_rate: int) -> np.ndarray:
    return np.round(read_audio(part.path, sample_rate, part.offset, part.duration) * 32767).astype(np.int16)


def collate(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what NeMo's training steps take: waveforms [B, samples], lengths, token ids [B, U], lengths."""
    waves, tokens = (list(column) for column in zip(*samples, strict=True))
    return (
        pad_sequence(waves, batch_first=True),
        torch.tensor([len(wave) for wave in waves]),
        pad_sequence(tokens, batch_first=True),
        torch.tensor([len(ids) for ids in tokens]),
    )


def convolve_channels_last(convolutions: nn.Module) -> None:
    """Let a subsampling of 2-d convolutions run in fp32, channels last: twice as fast on a CPU as in bf16."""
    forward = convolutions.forward

    def convolve(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", enabled=False):
            return forward(x.float(), lengths)

    for parameter in convolutions.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    convolutions.forward = convolve


def standardise_input(conv: nn.Conv2d, mean: float, std: float, raw_weights: bool = False) -> Callable[[], None]:
    """Train a convolution as if its input were (x - mean) / std, and return what folds that into its weights.

    With `raw_weights` the weights that it starts from were folded so before.

    Features that no statistics of the utterance normalise lie far from zero, where training hardly gets away from
    ignoring them. The change is one of variables only: what is computed, padding with zeros included, is a plain
    convolution of x all along.
    """

    class Scaled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / std

    def shift() -> Tensor:
        """What the mean adds to each channel, [channels]."""
        return mean * conv.weight.sum(dim=(1, 2, 3))

    def fold() -> None:
        hook.remove()
        with torch.no_grad():
            assert conv.bias is not None
            conv.bias -= shift()
        remove_parametrizations(conv, "weight", leave_parametrized=True)

    if raw_weights:
        with torch.no_grad():
            assert conv.bias is not None
            conv.bias += shift()
            conv.weight *= std
    register_parametrization(conv, "weight", Scaled())
    hook = conv.register_forward_hook(lambda module, inputs, output: output - shift()[:, None, None])
    return fold
