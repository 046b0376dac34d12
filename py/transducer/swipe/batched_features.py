"""The features of many swipes at once, by tensor operations on the device that trains.

Example:
    features, frames = batched_features(batch)

They equal `swipe_features` within 1e-4, which is the specification.
"""

import torch
from torch import Tensor

from transducer.swipe.batch import Batch
from transducer.swipe.features import FRAME_SECONDS, PROXIMITY_WIDTH

# A trace's times are whole milliseconds, a 25th of a frame; anything less is rounding.
TOLERANCE = 1e-3


def batched_features(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return features, float32 [B, 12 + K, T], zero beyond a trace's frames, and these frames, int64 [B]."""
    size, last = batch.size[:, None], batch.seconds[:, -1]
    frames = (last / FRAME_SECONDS - TOLERANCE).ceil().clamp(min=0).long() + 1
    number = torch.arange(int(frames.max()), device=last.device)
    times = number.double() * FRAME_SECONDS
    path = interpolate(batch.places, batch.seconds, torch.minimum(times, last[:, None])) * size
    velocity, acceleration = derivatives(path, frames)
    squared = (velocity**2).sum(-1, keepdim=True)
    turning = velocity[..., :1] * acceleration[..., 1:] - velocity[..., 1:] * acceleration[..., :1]
    distances = ((path[:, :, None] - batch.centres[:, None]) ** 2).sum(-1)
    columns = [
        2 * path / size - 1,
        velocity / 10,
        squared.sqrt().log1p(),
        acceleration / 100,
        velocity / (squared + 1).sqrt(),
        turning / (squared + 25) / 10,
        times.float()[None, :, None].expand(len(path), -1, 1),
        ((frames[:, None] - 1 - number) * FRAME_SECONDS)[..., None],
        torch.exp(distances / (-2 * PROXIMITY_WIDTH**2)),
    ]
    features = torch.cat(columns, -1) * (number < frames[:, None])[..., None]
    return features.transpose(1, 2).contiguous(), frames


def interpolate(values: Tensor, seconds: Tensor, times: Tensor) -> Tensor:
    """Return values [B, N, 2], known at `seconds` [B, N], at `times` [B, T]; at equal times values are equal too."""
    after = torch.searchsorted(seconds.contiguous(), times.contiguous(), right=True).clamp(1, seconds.shape[1] - 1)
    begin, end = seconds.gather(1, after - 1), seconds.gather(1, after)
    share = ((times - begin) / (end - begin).clamp(min=1e-9)).clamp(0, 1).float()[..., None]
    before, behind = (values.gather(1, index[..., None].expand(-1, -1, 2)) for index in (after - 1, after))
    return before + (behind - before) * share


def derivatives(path: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return velocity and acceleration of paths [B, T, 2] by the parabola fitted to five frames; ends repeat."""
    number = torch.arange(path.shape[1], device=path.device)
    ends = (frames - 1)[:, None]
    p = [
        path.gather(1, torch.minimum((number + shift).clamp(min=0), ends)[..., None].expand(-1, -1, 2))
        for shift in range(-2, 3)
    ]
    velocity = (2 * (p[4] - p[0]) + (p[3] - p[1])) / (10 * FRAME_SECONDS)
    acceleration = (2 * (p[4] + p[0]) - (p[3] + p[1]) - 2 * p[2]) / (7 * FRAME_SECONDS**2)
    return velocity, acceleration
