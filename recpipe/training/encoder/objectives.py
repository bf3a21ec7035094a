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
    states = network(input_ids=ids, attention_mask=mask).last_hidden_state
    return functional.normalize(mean_of_states(states.float(), mask), dim=1)


def contrastive_loss(vectors: torch.Tensor, batch: Batch, temperature: float) -> torch.Tensor:
    """Return the cross-entropy of each user's item among all candidates of the batch (multiple negatives ranking).

    The user is the unit mean of the support's vectors (Snell et al. 2017, section 2.2), the logit the cosine through the
    temperature; items that the user knows or took as well are left out (Henderson et al. 2017, section 4, for the loss).

    Parameters
    ----------
    vectors
        (texts, d) unit vectors of ``batch.item``.
    """
    prototypes = functional.normalize(on(vectors, batch.support) @ vectors, dim=1)
    return user_loss(prototypes, vectors, batch, temperature)


def user_loss(prototypes: torch.Tensor, vectors: torch.Tensor, batch: Batch, temperature: float) -> torch.Tensor:
    """Return the cross-entropy of each user's item among all candidates, the users given as (users, d) unit vectors."""
    logits = prototypes @ vectors[on(vectors, batch.candidate)].T / temperature
    logits = logits.masked_fill(on(vectors, batch.blocked), float("-inf"))
    return functional.cross_entropy(logits, on(vectors, batch.target))


def prototypical_loss(vectors: torch.Tensor, batch: Batch, temperature: float) -> torch.Tensor:
    """Return the loss of a prototypical network whose classes are users (Snell et al. 2017, section 2.2, equation 2).

    A user's prototype is the mean of the support's vectors, as long as they agree. Half of the loss is Snell's: each item that was
    taken, among the users' prototypes. The other half tells the items apart, hard negatives among them, by the distance to the
    prototype of who took one. Users who know an item, or took it as well, are no wrong answer for it.

    Parameters
    ----------
    vectors
        (texts, d) unit vectors of ``batch.item``.
    temperature
        What squared distances are divided by, twice: 2 − 2 cos of unit vectors then has the scale of `contrastive_loss`.
    """
    prototypes = on(vectors, batch.support) @ vectors
    candidates = vectors[on(vectors, batch.candidate)]
    distance = prototypes.square().sum(1)[:, None] + candidates.square().sum(1)[None] - 2 * prototypes @ candidates.T
    logits = (-distance / (2 * temperature)).masked_fill(on(vectors, batch.blocked), float("-inf"))
    target = on(vectors, batch.target)
    items = functional.cross_entropy(logits, target)
    users = logits[:, target].T.clone()  # row u: the item of user u to all users
    same = target[:, None] == target[None]
    users = users.masked_fill(same & ~torch.eye(len(target), dtype=torch.bool, device=users.device), float("-inf"))
    return (items + functional.cross_entropy(users, torch.arange(len(target), device=users.device))) / 2


def on(vectors: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
    """Return an array as a tensor that lies where the vectors do."""
    return torch.from_numpy(values).to(vectors.device)


def views_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the loss that brings two views of each text together and others apart (SimCSE: Gao et al. 2021, equation 1)."""
    return functional.cross_entropy(first @ second.T / temperature, torch.arange(len(first), device=first.device))


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
    pooled = mean_of_states(network(**tokens).last_hidden_state.float(), tokens["attention_mask"])
    return functional.cross_entropy(head(pooled).float(), on(pooled, labels))
