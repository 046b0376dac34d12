"""Random changes of swipes, as other people, hands and screens would make them, by tensor operations.

Example:
    batch = augment(batch, config.augmentation, generator)

Tempo is not among them: see MixedBatches. All magnitudes are standard deviations in a config's `augmentation` section:
places in [0, 1] of the letter area.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transducer.swipe.batch import Batch
from transducer.swipe.batched_features import interpolate


def augment(batch: Batch, config: Any, generator: torch.Generator) -> Batch:
    """Return a batch of the same words with other places, times and numbers of points.

    Args:
        generator: of the batch's device.
    """
    places = _transform(batch.places, config, batch.size[:, None], generator)
    duration = batch.seconds[:, -1:]
    share = batch.seconds / duration.clamp(min=1e-3)
    places = places + _drift(share.float(), config, generator)
    share = _warp(share, config, generator)
    places, seconds = _resample(places, share * duration, config, generator)
    places = places + config.noise * _normal(places.shape, generator)
    return replace(batch, places=places, seconds=seconds)


def _transform(places: Tensor, config: Any, size: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, stretch, slant and shift around the middle of the letter area.

    size: float32 [B, 1, 2], the letter area in key widths, in which rotation and slant are undistorted.
    """
    count = len(places)
    angle = config.rotation * _normal((count,), generator)
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    change = torch.diag_embed((config.size * _normal((count, 2), generator)).exp())
    slant = config.slant * _normal((count, 2), generator)
    change = change + torch.diag_embed(slant).flip(-1)
    # A row is lower than a key is wide when fingers aim, so they miss it by more of its height.
    shift = config.shift * _normal((count, 1, 2), generator) * torch.tensor([1.0, 1.6], device=places.device)
    return ((places - 0.5) * size @ rotation @ change) / size + 0.5 + shift


def _drift(share: Tensor, config: Any, generator: torch.Generator) -> Tensor:
    """Return slow, smooth wandering of a path, [B, N, 2]."""
    drift = torch.zeros((*share.shape, 2), device=share.device)
    axes = torch.tensor([1.0, 2.0], device=share.device)
    for half_waves in (1, 2, 3):
        phase = _uniform((len(share), 1), 0, 2, generator)
        wave = torch.cos(math.pi * (half_waves * share + phase))[..., None]
        drift = drift + config.drift * _normal((len(share), 1, 2), generator) * axes * wave
    return drift


def _warp(share: Tensor, config: Any, generator: torch.Generator) -> Tensor:
    """Return times, as shares of the duration [B, N], moved smoothly: faster here, slower there."""
    for waves, weight in ((1, 1.0), (2, 0.5)):
        amount = config.warp * weight * _normal((len(share), 1), generator).clamp(-2, 2)
        share = share + amount * torch.sin(waves * math.pi * share) / (waves * math.pi)
    return torch.cummax(share, 1).values


def _resample(places: Tensor, seconds: Tensor, config: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return what a screen with another sampling interval would have reported, some reports lost."""
    low, high = config.interval
    last = seconds[:, -1:]
    interval = _uniform((len(places), 1), low, high, generator)
    count = int((last / interval).max().ceil()) + 2
    times = torch.arange(count, device=places.device) * interval
    lost = _uniform(times.shape, 0, 1, generator) < config.lost
    lost[:, 0] = False
    # A lost report is put where the one before it is, which says nothing new.
    times = torch.cummax(times.masked_fill(lost, 0.0), 1).values
    times = torch.minimum(torch.cat([times, last.expand(-1, 1)], 1), last).cummax(1).values
    return interpolate(places, seconds, times), times


def _normal(shape: Any, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(shape: Any, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low
