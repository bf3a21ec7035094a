"""The few numbers of the closed-form solve, learned through it on simulated tasks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recpipe.models.ratings.rating_episodes import by_length, padded
from recpipe.models.ratings.ratings import Floats, Task
from recpipe.models.ratings.side_features import Side
from recpipe.models.ratings.solve import Fit, ridge

log = logging.getLogger(__name__)
BATCH = 64
NOISE, UNCERTAIN, SLOPE, USER, SHIFT = range(5)


@dataclass(frozen=True)
class Batch:
    """Padded tasks: rows of `Side`, ratings, and which of them are there."""

    user: Tensor
    item: Tensor
    value: Tensor
    there: Tensor
    query: Tensor
    asked: Tensor


def pad(tasks: Sequence[Task], size: int = 0) -> Batch:
    """Stack tasks of one padded length; ``size`` tasks, filled up with empty ones, so that shapes never depend on neighbours."""
    wide = padded(max(len(task.item) for task in tasks))
    long = padded(max(len(task.query) for task in tasks))
    size = max(size, len(tasks))
    user, item, query = np.zeros(size, np.int64), np.zeros((size, wide), np.int64), np.zeros((size, long), np.int64)
    value, there, asked = np.zeros((size, wide)), np.zeros((size, wide), bool), np.zeros((size, long), bool)
    for row, task in enumerate(tasks):
        known, wanted = len(task.item), len(task.query)
        user[row] = task.user
        item[row, :known], value[row, :known], there[row, :known] = task.item, task.value, True
        query[row, :wanted], asked[row, :wanted] = task.query, True
    return Batch(*map(torch.from_numpy, (user, item, value, there, query, asked)))


class Head:
    """The solve with its learned numbers.

    Parameters
    ----------
    side
        What is known of items and users.
    scales
        (groups,) log variance of a user's weights, a block of features each.
    numbers
        Log noise variance; log of how much an item's uncertainty adds to it; slopes of expected bias and expected user;
        shift of new items.
    """

    def __init__(self, side: Side, scales: Tensor, numbers: Tensor) -> None:
        self.scales, self.numbers, self._groups = scales, numbers, torch.from_numpy(side.groups)
        self._features, self._user = torch.from_numpy(side.features), torch.from_numpy(side.user)
        self._bias, self._variance = torch.from_numpy(side.bias), torch.from_numpy(side.variance)
        self._items = side.items

    def fit(self, batch: Batch) -> Fit:
        """Fit a batch of tasks; means include what was expected before the support."""
        scale = (0.5 * self.scales)[self._groups].exp()
        known, asked = self._features[batch.item], self._features[batch.query]
        user = self.numbers[USER] * self._user[batch.user]
        before, expected = self._expected(batch.item, known, user), self._expected(batch.query, asked, user)
        weight = batch.there / self.noise(batch.item)
        found = ridge(known * scale * batch.there[..., None], (batch.value - before) * batch.there, weight, asked * scale)
        return Fit(expected + found.mean, found.variance, found.left_out)

    def noise(self, rows: Tensor) -> Tensor:
        """Return the variance of a rating of an item around its mean."""
        return self.numbers[NOISE].exp() + self.numbers[UNCERTAIN].exp() * self._variance[rows]

    def _expected(self, rows: Tensor, features: Tensor, user: Tensor) -> Tensor:
        fresh = (rows >= self._items).to(features.dtype)
        return self.numbers[SLOPE] * self._bias[rows] + self.numbers[SHIFT] * fresh + (features @ user[..., None])[..., 0]


def start(side: Side) -> tuple[Tensor, Tensor]:
    """Return scales and numbers to begin with."""
    groups = int(side.groups.max()) + 1
    scales = torch.tensor([0.0] + [-3.0] * (groups - 1), dtype=torch.float64)
    return scales, torch.tensor([-0.5, 0.0, 1.0, 0.5, 0.0], dtype=torch.float64)


def train_head(
    side: Side, tasks: Sequence[Task], answers: Sequence[Floats], epochs: int = 3, rate: float = 0.05, seed: int = 0
) -> Head:
    """Learn scales and numbers by the Gaussian log-likelihood of the queries, through the solve."""
    scales, numbers = (value.requires_grad_(True) for value in start(side))
    optimizer = torch.optim.Adam([scales, numbers], lr=rate)
    batches = by_length(tasks, BATCH)
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - epoch / epochs)
        total, asked = 0.0, 0
        for place in random.permutation(len(batches)):
            loss, rows = _loss(Head(side, scales, numbers), tasks, answers, batches[place])
            optimizer.zero_grad()
            (loss / rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, asked = total + float(loss.detach()), asked + rows
        log.info("ratings head: epoch %d of %d, loss a rating %.4f", epoch + 1, epochs, total / max(asked, 1))
    return Head(side, scales.detach(), numbers.detach())


def _loss(head: Head, tasks: Sequence[Task], answers: Sequence[Floats], some: NDArray[np.intp]) -> tuple[Tensor, int]:
    batch = pad([tasks[row] for row in some])
    truth = torch.zeros(batch.query.shape, dtype=torch.float64)
    for place, row in enumerate(some):
        truth[place, : len(answers[row])] = torch.from_numpy(answers[row])
    fit = head.fit(batch)
    variance = fit.variance + head.noise(batch.query)
    loss = 0.5 * ((truth - fit.mean) ** 2 / variance + variance.log())
    return loss[batch.asked].sum(), int(batch.asked.sum())
