"""Rank the word of a swipe above its rivals, the words that a decoder takes it for.

A transducer is trained to give a word much probability, and decoded by which word has most. Where the two part, this
loss follows the second: the cross entropy of the word among itself and its rivals, each with its probability over the
whole lattice and its prior. (Maximum mutual information over an n-best list: Povey 2003; for transducers with minimum
word error, Guo et al. 2020, arXiv:2007.13802.)

Example:
    loss = loss + config.rivals_weight * ranking_loss(model, encoded, lengths, batch)
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from transducer.swipe.batch import Batch
from transducer.train.losses import rnnt_costs


def ranking_loss(model: Any, encoded: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    """Return the mean over a batch of -log of a word's share among itself and its rivals, 0 where it has none.

    Args:
        model: NeMo's; its joint gives raw logits.
        encoded: encoder frames [B, D, T]; lengths: int64 [B].
    """
    rivals = batch.rivals
    if rivals is None or not len(rivals.owners):
        return encoded.new_zeros(())
    rows, place = rivals.owners.unique_consecutive(return_inverse=True)
    owners = torch.cat([rows, rivals.owners])
    width = max(batch.labels.shape[1], rivals.labels.shape[1])
    labels = torch.cat([pad(own, (0, width - own.shape[1])) for own in (batch.labels[rows], rivals.labels)])
    label_lengths = torch.cat([batch.label_lengths[rows], rivals.label_lengths])
    predicted, *_ = model.decoder(targets=labels, target_length=label_lengths)
    logits = model.joint.joint(encoded.transpose(1, 2)[owners], predicted.transpose(1, 2))
    costs = rnnt_costs(logits, labels, lengths[owners], label_lengths, blank=logits.shape[-1] - 1)
    own, others = costs[: len(rows)], costs[len(rows) :]
    # Log odds [rows, 1 + most rivals] against the word itself, whose own are 0.
    counts = place.bincount()
    column = 1 + torch.arange(len(place), device=place.device) - (counts.cumsum(0) - counts)[place]
    odds = torch.full((len(rows), 1 + int(counts.max())), -torch.inf, device=costs.device)
    odds[:, 0] = 0.0
    odds = odds.index_put((place, column), rivals.advantages + own[place] - others)
    return odds.logsumexp(1).sum() / len(lengths)
