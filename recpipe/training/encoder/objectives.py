"""The objectives of fine-tuning: users' prototypes near the items they took next, or such pairs told from others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from recpipe.text.loaders import mean_of_states
from recpipe.training.encoder.pair_batches import Batch


def unit_vectors(network: Any, tokens: Any) -> torch.Tensor:
    """Return (texts, d) unit vectors of tokenised texts, with gradients."""
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    pooled = mean_of_states(network(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
    return functional.normalize(pooled.float(), dim=1)


def contrastive_loss(vectors: torch.Tensor, batch: Batch, temperature: float) -> torch.Tensor:
    """Return the cross-entropy of each user's item among all candidates of the batch (multiple negatives ranking).

    The user is the unit mean of the support's vectors (Snell et al. 2017, section 2.2), the logit the cosine through the
    temperature; items that the user knows or took as well are left out (Henderson et al. 2017, section 4, for the loss).

    Parameters
    ----------
    vectors
        (texts, d) unit vectors of ``batch.item``.
    """
    prototypes = functional.normalize(torch.from_numpy(batch.support) @ vectors, dim=1)
    logits = prototypes @ vectors[torch.from_numpy(batch.candidate)].T / temperature
    logits = logits.masked_fill(torch.from_numpy(batch.blocked), float("-inf"))
    return functional.cross_entropy(logits, torch.from_numpy(batch.target))


def views_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the loss that brings two views of each text together and others apart (SimCSE: Gao et al. 2021, equation 1)."""
    return functional.cross_entropy(first @ second.T / temperature, torch.arange(len(first)))


def pairs_of(batch: Batch, negatives: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (pairs, 2) user and row of ``batch.item``, and (pairs,) labels: what a user took, and candidates he did not."""
    pairs, labels = [], []
    for user, target in enumerate(batch.target):
        free = np.flatnonzero(~batch.blocked[user])
        free = free[free != target]
        others = random.choice(free, min(negatives, len(free)), replace=False)
        pairs += [(user, int(batch.candidate[place])) for place in (target, *others)]
        labels += [1, *[0] * len(others)]
    return np.array(pairs, np.int64), np.array(labels, np.int64)


def pair_loss(network: Any, head: torch.nn.Linear, tokens: Any, labels: NDArray[np.int64]) -> torch.Tensor:
    """Return the cross-entropy of a two-class head over pooled pairs of texts: the plain sequence classification."""
    pooled = mean_of_states(network(**tokens).last_hidden_state, tokens["attention_mask"])
    return functional.cross_entropy(head(pooled), torch.from_numpy(labels))
