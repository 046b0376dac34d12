"""What training needs besides the model: utterances in memory, their augmentation, and batches by length.

Example:
    corpus = Corpus(Path("models/validation/manifest.jsonl"), 16000, model.tokenizer.text_to_ids)
    loader = DataLoader(corpus, batch_size=32, collate_fn=collate)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from transducer.core.cli import InputError
from transducer.speech.corpus import NoiseBank
from transducer.speech.manifest import read_manifest

Sample = tuple[Tensor, Tensor]


class Corpus(Dataset[Sample]):
    """Utterances held in memory as 16 bit samples: (waveform float32 [samples], token ids int64 [U]).

    Args:
        manifest: a NeMo manifest.
        sample_rate: that all audio must have.
        encode: text to token ids.
        augment: what an utterance is heard with, or None for the utterance as it is.
        seed: of the augmentation, with the index of the utterance and the number of times it was read.
    """

    def __init__(
        self,
        manifest: Path,
        sample_rate: int,
        encode: Callable[[str], list[int]],
        augment: "Augmentation | None" = None,
    ):
        entries = read_manifest(manifest)
        self._waves = [_read_audio(entry["audio_filepath"], sample_rate) for entry in entries]
        self._tokens = [torch.tensor(encode(entry["text"])) for entry in entries]
        self._augment = augment
        self.lengths = [len(wave) for wave in self._waves]

    def __len__(self) -> int:
        return len(self._waves)

    def __getitem__(self, index: "int | tuple[int, int]") -> Sample:
        """Return an utterance; an index of (utterance, draw) names the draw of its augmentation."""
        utterance, draw = index if isinstance(index, tuple) else (index, 0)
        members = [utterance]
        wave = self._waves[utterance].astype(np.float32) / 32768
        if self._augment:
            rng = np.random.default_rng([utterance, draw])
            members += self._augment.companions(draw, len(self), rng)
            waves = [self._waves[member].astype(np.float32) / 32768 for member in members]
            wave = self._augment(waves, rng)
        return torch.from_numpy(wave), torch.cat([self._tokens[member] for member in members])


def _read_audio(path: Path, sample_rate: int) -> np.ndarray:
    try:
        wave, rate = soundfile.read(path, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable as audio ({error}); replace it.") from error
    if rate != sample_rate or wave.ndim != 1:
        raise InputError(f"{path}: has {rate} Hz and {wave.ndim} channels; make it {sample_rate} Hz mono.")
    return np.asarray(wave)


class Augmentation:
    """Random silence, gain, noise and companions, as the `augmentation` part of a config says."""

    def __init__(self, config: Any, sample_rate: int, seed: int):
        self._config = config
        self._sample_rate = sample_rate
        self._noise = NoiseBank(np.random.default_rng(seed))

    def companions(self, draw: int, count: int, rng: np.random.Generator) -> list[int]:
        """Return which of `count` utterances follow one at this draw, so that recordings hold several too."""
        joined = self._config.get("joined")
        if joined is None or draw < joined.from_draw or rng.random() >= joined.share:
            return []
        return [int(member) for member in rng.integers(count, size=rng.integers(1, joined.most))]

    def __call__(self, waves: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return one recording, float32 [samples], of utterances that follow one another."""
        config = self._config
        seconds = config.silence_seconds if len(waves) == 1 else config.joined.silence_seconds
        if len(waves) > 1 or rng.random() < config.silent_share:
            gaps = (rng.uniform(0, seconds, len(waves) + 1) * self._sample_rate).astype(int)
            waves = [np.pad(wave, (0, gap)) for wave, gap in zip(waves, gaps[1:], strict=True)]
            waves[0] = np.pad(waves[0], (gaps[0], 0))
        wave = np.concatenate(waves)
        if rng.random() < config.noisy_share:
            wave = self._noise.mix(wave, rng.uniform(*config.snr_db), rng)
        return np.asarray(wave * 10 ** (rng.uniform(*config.gain_db) / 20), dtype=np.float32)


def collate(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what NeMo's training steps take: waveforms [B, samples], lengths, token ids [B, U], lengths."""
    waves, tokens = (list(column) for column in zip(*samples, strict=True))
    return (
        pad_sequence(waves, batch_first=True),
        torch.tensor([len(wave) for wave in waves]),
        pad_sequence(tokens, batch_first=True),
        torch.tensor([len(ids) for ids in tokens]),
    )


def standardise_input(conv: nn.Conv2d, mean: float, std: float) -> Callable[[], None]:
    """Train a convolution as if its input were (x - mean) / std, and return what folds that into its weights.

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

    register_parametrization(conv, "weight", Scaled())
    hook = conv.register_forward_hook(lambda module, inputs, found: found - shift()[:, None, None])
    return fold
