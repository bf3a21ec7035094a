"""A few inner steps on the taught parameters: first-order MAML and Reptile over the language model itself.

One user is one task. What the method teaches (LoRA's small matrices, the last layer) is the initialisation: a copy of it takes
some steps on the user's support, and what the query then says changes the initialisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from recpipe.training.encoder.objectives import on
from recpipe.training.encoder.pair_batches import Batch

Encode = Callable[[NDArray[np.int64]], torch.Tensor]
"""Rows of a batch's texts to (texts, d) unit vectors, with gradients."""


@dataclass(frozen=True)
class Task:
    """A user: what is known, what was taken, and what was not.

    Attributes
    ----------
    support, weight
        (k,) rows of the batch's texts, and float32 weights of sum 1.
    target
        Row of the item that was taken.
    wrong
        (negatives,) rows that the user neither knows nor took.
    """

    support: NDArray[np.int64]
    weight: NDArray[np.float32]
    target: int
    wrong: NDArray[np.int64]


def tasks_of(batch: Batch) -> list[Task]:
    """Return the users of a batch who have a support and something that they did not take."""
    tasks = []
    for user, place in enumerate(batch.target):
        support = np.flatnonzero(batch.support[user])
        free = ~batch.blocked[user]
        free[place] = False
        if len(support) and free.any():
            weight = batch.support[user, support]
            tasks.append(Task(support, weight, int(batch.candidate[place]), batch.candidate[free]))
    return tasks


def support_loss(encode: Encode, task: Task, temperature: float) -> torch.Tensor:
    """Return the loss that a user's support has by itself: each item, by the prototype of the others, among what was not taken.

    An item that is alone stands for itself.
    """
    k = len(task.support)
    vectors = encode(np.r_[task.support, task.wrong])
    known, wrong = vectors[:k], vectors[k:]
    weighted = on(vectors, task.weight)[:, None] * known
    prototypes = functional.normalize(weighted.sum(0) - weighted if k > 1 else known, dim=1)
    right = (prototypes * known).sum(1, keepdim=True)
    logits = torch.cat([right, prototypes @ wrong.T], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(k, dtype=torch.long, device=logits.device))


def query_loss(encode: Encode, task: Task, temperature: float) -> torch.Tensor:
    """Return the loss of the item that was taken, by the prototype of the support, among what was not taken."""
    k = len(task.support)
    vectors = encode(np.r_[task.support, task.target, task.wrong])
    prototype = functional.normalize(on(vectors, task.weight) @ vectors[:k], dim=0)
    logits = (vectors[k:] @ prototype / temperature)[None]
    return functional.cross_entropy(logits, torch.zeros(1, dtype=torch.long, device=logits.device))


def go_down(parameters: Mapping[str, Any], loss: Callable[[], torch.Tensor], steps: int, rate: float) -> None:
    """Move parameters, in place, by some steps of plain gradient descent."""
    held = list(parameters.values())
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(), held, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(held, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=rate)


def copies(parameters: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the values of parameters as they are now."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def put_back(parameters: Mapping[str, Any], values: Mapping[str, torch.Tensor]) -> None:
    """Write values over parameters, in place."""
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)


def add_first_order(
    parameters: Mapping[str, Any], encode: Encode, task: Task, temperature: float, steps: int, rate: float, share: float
) -> float:
    """Add a share of a task's gradient by first-order MAML (Finn et al. 2017, section 5.2); return its loss after the steps.

    The gradient of the query's loss is taken where the inner steps end, and stands for that where they began.
    """
    start = copies(parameters)
    go_down(parameters, lambda: support_loss(encode, task, temperature), steps, rate)
    lost = query_loss(encode, task, temperature)
    (share * lost).backward()  # type: ignore[no-untyped-call]
    put_back(parameters, start)
    return float(lost.detach())


def add_reptile(
    parameters: Mapping[str, Any], encode: Encode, task: Task, temperature: float, steps: int, rate: float, share: float
) -> float:
    """Add a share of a task's gradient by Reptile (Nichol et al. 2018, section 3); return its loss after the steps.

    The inner steps go down the loss of support and query together; (start − end) / rate stands for the gradient (section 3, below
    equation 1): the sum of the gradients along the way.
    """
    start = copies(parameters)
    go_down(
        parameters, lambda: support_loss(encode, task, temperature) + query_loss(encode, task, temperature), max(steps, 1), rate
    )
    with torch.no_grad():
        lost = float(query_loss(encode, task, temperature))
        for name, parameter in parameters.items():
            gradient = (start[name] - parameter) * (share / rate)
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    put_back(parameters, start)
    return lost
