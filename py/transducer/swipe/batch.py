"""Swipes of one step of training, as tensors on the device that trains; TraceCorpus makes them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Rivals:
    """R rivals of a batch's swipes, those of a swipe side by side.

    owners: int64 [R], the swipe's row, never falling. labels: int64 [R, U]; label_lengths: int64 [R].
    advantages: float32 [R], what a decoder adds to the rival's log probability beyond what it adds to the word's.
    """

    owners: Tensor
    labels: Tensor
    label_lengths: Tensor
    advantages: Tensor


@dataclass(frozen=True)
class Batch:
    """B swipes of N points, each padded with its last point, their labels, and the keys that they were swiped on.

    places: float32 [B, N, 2], x and y in [0, 1] of the letter area. seconds: float64 [B, N], from 0 on.
    labels: int64 [B, U]; label_lengths: int64 [B].
    centres: float32 [B, K, 2], the key of each letter; size: float32 [B, 2], the letter area; both in key widths.
    rivals: those of the swipes, where the corpus has any.
    """

    places: Tensor
    seconds: Tensor
    labels: Tensor
    label_lengths: Tensor
    centres: Tensor
    size: Tensor
    rivals: Rivals | None = None
