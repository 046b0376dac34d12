"""The vectorised losses against brute force and against NeMo's own reference."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from transducer.train.losses import RNNTLoss, TDTLoss

BLANK = 4
INPUT_LENGTHS = [5, 3, 4, 1]
TARGET_LENGTHS = [3, 2, 0, 1]
TARGETS = torch.tensor([[1, 0, 3], [2, 2, 0], [0, 0, 0], [3, 0, 0]])


def logits(extra: int = 0) -> torch.Tensor:
    torch.manual_seed(3)
    return 2 * torch.randn(4, 6, 4, BLANK + 1 + extra, dtype=torch.float64)  # one frame of padding


def log_sum(paths: list[float]) -> float:
    return math.log(sum(math.exp(path) for path in paths))


def rnnt_paths(
    log_probs: torch.Tensor, target: list[int], frames: int, t: int = 0, u: int = 0, score: float = 0.0
) -> Iterator[float]:
    """Yield the log probability of every RNN-T path through one utterance."""
    if t == frames:
        if u == len(target):
            yield score
        return
    yield from rnnt_paths(log_probs, target, frames, t + 1, u, score + log_probs[t, u, BLANK].item())
    if u < len(target):
        yield from rnnt_paths(log_probs, target, frames, t, u + 1, score + log_probs[t, u, target[u]].item())


def tdt_paths(
    labels: torch.Tensor,
    durations: torch.Tensor,
    values: list[int],
    target: list[int],
    frames: int,
    t: int = 0,
    u: int = 0,
    score: float = 0.0,
    last_blank: bool = False,
) -> Iterator[float]:
    """Yield the log probability of every TDT path through one utterance."""
    if t == frames and u == len(target) and last_blank:
        yield score
    if t >= frames:
        return
    for k, value in enumerate(values):
        here = score + durations[t, u, k].item()
        if value > 0:
            blank = here + labels[t, u, BLANK].item()
            yield from tdt_paths(labels, durations, values, target, frames, t + value, u, blank, True)
        if u < len(target):
            label = here + labels[t, u, target[u]].item()
            yield from tdt_paths(labels, durations, values, target, frames, t + value, u + 1, label, False)


def test_rnnt_sums_every_path() -> None:
    raw = logits()
    log_probs = raw.log_softmax(-1)
    expected = [
        -log_sum(list(rnnt_paths(log_probs[b], TARGETS[b, :tokens].tolist(), frames)))
        for b, (frames, tokens) in enumerate(zip(INPUT_LENGTHS, TARGET_LENGTHS, strict=True))
    ]
    loss = RNNTLoss(BLANK)(raw, TARGETS, torch.tensor(INPUT_LENGTHS), torch.tensor(TARGET_LENGTHS))
    assert loss.item() == pytest.approx(sum(expected) / len(expected), abs=1e-5)


@pytest.mark.parametrize("values", [[0, 1, 2, 3, 4], [0, 1], [2, 0, 1]])
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_tdt_sums_every_path(values: list[int], sigma: float) -> None:
    check_tdt(values, sigma, list(range(4)))


@pytest.mark.parametrize("values", [[0, 2, 3], [1, 2]])
def test_tdt_without_duration_zero_or_one(values: list[int]) -> None:
    check_tdt(values, 0.05, [0, 1, 2])  # neither list fits the last utterance: one frame, a label and a blank


def check_tdt(values: list[int], sigma: float, rows: list[int]) -> None:
    raw = logits(len(values))
    labels = raw[..., : BLANK + 1].log_softmax(-1) - sigma
    durations = raw[..., BLANK + 1 :].log_softmax(-1)
    frames = [INPUT_LENGTHS[b] for b in rows]
    tokens = [TARGET_LENGTHS[b] for b in rows]
    expected = [
        -log_sum(list(tdt_paths(labels[b], durations[b], values, TARGETS[b, :u].tolist(), t)))
        for b, t, u in zip(rows, frames, tokens, strict=True)
    ]
    loss = TDTLoss(BLANK, values, sigma)(raw[rows], TARGETS[rows], torch.tensor(frames), torch.tensor(tokens))
    assert loss.item() == pytest.approx(sum(expected) / len(expected), abs=1e-5)


def test_tdt_with_an_impossible_utterance_is_huge_but_finite() -> None:
    raw = logits(2)[3:]
    loss = TDTLoss(BLANK, [2, 3])(raw, TARGETS[3:], torch.tensor([1]), torch.tensor([1]))
    assert torch.isfinite(loss) and loss > 1e29


@pytest.mark.parametrize("make", [lambda: (RNNTLoss(BLANK), 0), lambda: (TDTLoss(BLANK, [0, 1, 2], 0.05), 3)])
def test_padding_has_no_gradient(make: Callable[[], tuple[Any, int]]) -> None:
    loss, extra = make()
    raw = logits(extra).requires_grad_()
    loss(raw, TARGETS, torch.tensor(INPUT_LENGTHS), torch.tensor(TARGET_LENGTHS)).backward()
    assert raw.grad is not None and torch.isfinite(raw.grad).all()
    for b, (frames, tokens) in enumerate(zip(INPUT_LENGTHS, TARGET_LENGTHS, strict=True)):
        assert raw.grad[b, frames:].abs().max() == 0
        assert tokens == 3 or raw.grad[b, :, tokens + 1 :].abs().max() == 0
        assert raw.grad[b, :frames, : tokens + 1].abs().max() > 0


@pytest.mark.parametrize("durations", [[], [0], [1, 1], [-1, 1]])
def test_tdt_rejects_impossible_durations(durations: list[int]) -> None:
    with pytest.raises(ValueError, match="durations"):
        TDTLoss(BLANK, durations)


def test_rnnt_equals_nemo_in_value_and_gradient() -> None:
    from nemo.collections.asr.losses import rnnt_pytorch

    torch.manual_seed(5)
    frames, tokens = torch.tensor([9, 12, 7]), torch.tensor([5, 2, 4])
    targets = torch.randint(0, BLANK, (3, 5))
    ours = torch.randn(3, 12, 6, BLANK + 1, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    value = RNNTLoss(BLANK)(ours, targets, frames, tokens)
    reference = rnnt_pytorch.RNNTLossPytorch(BLANK, "mean_batch").forward(theirs, targets, frames, tokens)
    value.backward()
    reference.backward()
    assert value.item() == pytest.approx(reference.item(), abs=1e-4)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)
