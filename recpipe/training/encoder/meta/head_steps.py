"""A few inner steps on the head: the user's own vector, with the encoder as it is; differentiable all the way."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from recpipe.training.encoder.objectives import on, user_loss
from recpipe.training.encoder.pair_batches import Batch

NO_LOGIT = -1e4
"""Logit of what is no negative: far below any cosine through a temperature, and with a gradient, which −∞ has not."""


def stepped_users(
    vectors: torch.Tensor, batch: Batch, temperature: float, steps: int, rate: float, *, learns: bool = True
) -> torch.Tensor:
    """Return (users, d) unit vectors of users after some gradient steps on their supports.

    A user starts as the prototype, the unit mean of the support's vectors, and goes down the cross-entropy of the items of the
    support, each among the batch's candidates that the user neither knows nor took: the head of a network adapted in the inner
    loop (Raghu et al. 2020, section 4), started as a prototype (Triantafillou et al. 2020, section 3.2).

    Parameters
    ----------
    vectors
        (texts, d) unit vectors of ``batch.item``.
    steps, rate
        Of plain gradient descent.
    learns
        Whether gradients of second order go through the steps, back to the vectors (Finn et al. 2017, section 2.2).
    """
    support, candidates = on(vectors, batch.support), vectors[on(vectors, batch.candidate)]
    barred = on(vectors, batch.blocked).clone()
    barred[torch.arange(len(barred)), on(vectors, batch.target)] = True  # the query is not known when the user is served
    users = functional.normalize(support @ vectors, dim=1)
    if not (learns and users.requires_grad):
        users = users.detach().requires_grad_(True)
    for _ in range(steps):
        unit = functional.normalize(users, dim=1)
        wrong = (unit @ candidates.T / temperature).masked_fill(barred, NO_LOGIT).logsumexp(1, keepdim=True)
        loss = (support * functional.softplus(wrong - unit @ vectors.T / temperature)).sum()
        (gradient,) = torch.autograd.grad(loss, users, create_graph=learns)
        users = users - rate * gradient
    return functional.normalize(users, dim=1)


def head_loss(vectors: torch.Tensor, batch: Batch, temperature: float, steps: int, rate: float) -> torch.Tensor:
    """Return the loss of the users' queries after their inner steps: second-order MAML on the head.

    Users of whose support nothing counts (all of it was sent back) have no start, and are left out.
    """
    known = batch.support.sum(1) > 0
    if not known.any():
        return vectors.sum() * 0.0
    batch = replace(batch, support=batch.support[known], target=batch.target[known], blocked=batch.blocked[known])
    return user_loss(stepped_users(vectors, batch, temperature, steps, rate), vectors, batch, temperature)
