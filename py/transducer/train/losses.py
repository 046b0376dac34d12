"""Transducer losses by tensor operations, on a CPU or a GPU: RNN-T and TDT, vectorised over the batch.

Only a loop over one side of the lattice remains in Python: over the encoder frames, or in RNN-T over the labels where
they are fewer. Along the other side, arcs chain from node to node; the chain is resolved in closed form by a cumulative
sum and a `logcumsumexp`, so a row costs a handful of tensor operations however long it is. Gradients come from
autograd.

Example:
    loss = TDTLoss(blank=128, durations=[0, 1, 2, 3, 4], sigma=0.02)
    loss(logits, targets, input_lengths, target_lengths).backward()
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

# Log probability of the impossible: finite, since -inf would turn gradients into NaN.
_NEVER = -1e30


class RNNTLoss(nn.Module):
    """Negative log likelihood of the transcripts under an RNN transducer (Graves 2012, arXiv:1211.3711).

    Args:
        blank: index of the blank label in the last dimension of the logits.
    """

    def __init__(self, blank: int):
        super().__init__()
        self.blank = blank

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """Return the loss, summed over each utterance and averaged over the batch (float32 scalar).

        NeMo's models call their loss with these argument names.

        Args:
            log_probs: raw logits, float [B, T, U + 1, V]; log probabilities work as well.
            targets: label IDs, int [B, U], padded with any ID from 0 to V - 1.
            input_lengths: encoder frames of each utterance, int [B], from 1 to T.
            target_lengths: labels of each utterance, int [B], from 0 to U.
        """
        return rnnt_costs(log_probs, targets, input_lengths, target_lengths, self.blank).mean()


def rnnt_costs(logits: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int) -> Tensor:
    """Return the negative log likelihood of each utterance, float32 [B]; the arguments are those of RNNTLoss."""
    logits, targets = _trim(logits, targets, input_lengths, target_lengths)
    leave, label = _blank_and_label(logits.float().log_softmax(-1), targets, blank)
    # alpha [B, T, U + 1]: log probability of having emitted u labels on reaching frame t.
    if label.shape[2] < label.shape[1]:
        alpha = _lattice(leave[:, :-1].mT, label.mT).mT
    else:
        alpha = _lattice(label, leave[:, :-1])
    return -_at(alpha + leave, input_lengths - 1, target_lengths)


class TDTLoss(nn.Module):
    """Negative log likelihood under a token-and-duration transducer (Xu et al. 2023, arXiv:2304.06795).

    Every arc emits a label or blank, and a duration by which it advances in time; a blank advances by one frame
    at least. The last arc is a blank that lands exactly on the end of the utterance.

    Args:
        blank: index of the blank label, which is the last label: V = blank + 1.
        durations: frames of each duration output, distinct and not negative.
        sigma: subtracted from all label log probabilities in training ("logit under-normalization" in the
            paper), which makes the model prefer longer durations.
    """

    def __init__(self, blank: int, durations: Sequence[int], sigma: float = 0.0):
        super().__init__()
        if not any(durations) or min(durations) < 0 or len(set(durations)) != len(durations):
            raise ValueError(f"durations must be distinct, not negative and not only zero, but are {list(durations)}")
        self.blank = blank
        self.durations = list(durations)
        self.sigma = sigma

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """Return the loss, summed over each utterance and averaged over the batch (float32 scalar).

        An utterance whose length is not a sum of durations has no path, and a loss of about 1e30.

        Args:
            log_probs: raw logits, float [B, T, U + 1, V + K]: V labels, then K durations.
            targets: label IDs, int [B, U], padded with any ID from 0 to V - 1.
            input_lengths: encoder frames of each utterance, int [B], from 1 to T.
            target_lengths: labels of each utterance, int [B], from 0 to U.
        """
        log_probs, targets = _trim(log_probs, targets, input_lengths, target_lengths)
        labels, durations = log_probs.float().split([self.blank + 1, len(self.durations)], dim=-1)
        blank, label = _blank_and_label(labels.log_softmax(-1) - self.sigma, targets, self.blank)
        duration = durations.log_softmax(-1)
        steps = [(index, frames) for index, frames in enumerate(self.durations) if frames > 0]
        advancing = duration[..., [index for index, _ in steps]]
        blank_arc = blank[..., None] + advancing  # [B, T, U + 1, steps]
        label_arc = label[..., None] + advancing[:, :, :-1]  # [B, T, U, steps]
        chain = None
        if 0 in self.durations:
            chain = _cumulative(label + duration[:, :, :-1, self.durations.index(0)])

        # left[t]: log probability of leaving (t, u) by blank; arrived[t]: of leaving frame t and having u labels.
        left: list[Tensor] = []
        arrived: list[Tensor] = []
        for t in range(blank.shape[1]):
            sources = [arrived[t - frames][..., k] for k, (_, frames) in enumerate(steps) if frames <= t]
            if t == 0:
                alpha = _only_first(blank[:, 0])
            elif sources:
                alpha = torch.logsumexp(torch.stack(sources), 0)
            else:
                alpha = torch.full_like(blank[:, 0], _NEVER)
            if chain is not None:
                alpha = _emit_within_frame(alpha, chain[:, t])
            left.append(alpha[..., None] + blank_arc[:, t])
            by_label = pad(alpha[:, :-1, None] + label_arc[:, t], (0, 0, 1, 0), value=_NEVER)
            arrived.append(torch.logaddexp(left[t], by_label))

        leaving = torch.stack(left, 1)
        ends = []
        for k, (_, frames) in enumerate(steps):
            start = input_lengths - frames
            reached = _at(leaving[..., k], start.clamp(min=0), target_lengths)
            ends.append(reached.masked_fill(start < 0, _NEVER))
        return -torch.logsumexp(torch.stack(ends), 0).mean()


def _trim(logits: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the padding beyond the longest utterance."""
    frames, tokens = int(input_lengths.max()), int(target_lengths.max())
    return logits[:, :frames, : tokens + 1], targets[:, :tokens].long()


def _blank_and_label(log_probs: Tensor, targets: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """Return the log probabilities of blank [B, T, U + 1] and of each next target [B, T, U]."""
    index = targets[:, None, :, None].expand(-1, log_probs.shape[1], -1, -1)
    return log_probs[..., blank], log_probs[:, :, :-1].gather(-1, index).squeeze(-1)


def _cumulative(arc: Tensor) -> Tensor:
    """Return the log probability [B, T, U + 1] of emitting the first u labels along arcs [B, T, U]."""
    return pad(arc.cumsum(-1), (1, 0))


def _lattice(along: Tensor, across: Tensor) -> Tensor:
    """Return the log probability [B, rows, columns] of reaching each node of a lattice from its first.

    Args:
        along: of the arcs from a node to the next in its row, [B, rows, columns - 1].
        across: of the arcs from a node to the same place in the next row, [B, rows - 1, columns].
    """
    chain = _cumulative(along)
    alpha = [chain[:, 0]]
    for row in range(1, chain.shape[1]):
        alpha.append(_emit_within_frame(alpha[-1] + across[:, row - 1], chain[:, row]))
    return torch.stack(alpha, 1)


def _emit_within_frame(alpha: Tensor, chain: Tensor) -> Tensor:
    """Solve alpha[u] = logaddexp(alpha[u], alpha[u - 1] + arc[u - 1]) for all u at once; all are [B, U + 1].

    A path that enters the frame at v and leaves it at u gains chain[u] - chain[v].
    """
    return chain + torch.logcumsumexp(alpha - chain, -1)


def _only_first(like: Tensor) -> Tensor:
    """Return log 1 at u = 0 and log 0 elsewhere."""
    start = torch.full_like(like, _NEVER)
    start[:, 0] = 0.0
    return start


def _at(values: Tensor, frames: Tensor, tokens: Tensor) -> Tensor:
    """Return values[b, frames[b], tokens[b]] for each utterance."""
    batch = torch.arange(len(values), device=values.device)
    return values[batch, frames.long(), tokens.long()]
