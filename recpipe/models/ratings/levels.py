"""The distribution over the levels of the scale, from mean and spread, and its median.

The mean absolute error is least at the median of what may come, not at the mean; on a scale of levels that is a level.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recpipe.models.ratings.meta_head import BATCH, Head, pad
from recpipe.models.ratings.rating_episodes import by_length
from recpipe.models.ratings.ratings import Floats, Task, nearest_level
from recpipe.models.ratings.side_features import Side

log = logging.getLogger(__name__)
PRIOR = 4.0
OWN, PERSON = 5, 3
QUERIES_A_STEP = 2048


@dataclass(frozen=True)
class Seen:
    """What the head sees of a query.

    Attributes
    ----------
    inputs
        (queries, n) numbers.
    mean, deviation
        (queries,) expected rating, and the standard deviation of a rating around it.
    """

    inputs: Floats
    mean: Floats
    deviation: Floats


def look(head: Head, side: Side, tasks: Sequence[Task], levels: Floats, base: Floats) -> list[Seen]:
    """Fit every task and describe its queries; a task's numbers do not depend on the others.

    Parameters
    ----------
    tasks
        Items as rows of the side, values standardised.
    levels, base
        Standardised levels, and how often each occurs.
    """
    out: dict[int, Seen] = {}
    for some in by_length(tasks, BATCH):
        batch = pad([tasks[row] for row in some], BATCH)
        with torch.no_grad():
            fit = head.fit(batch)
            parts = (fit.mean, fit.variance, head.noise(batch.query), fit.left_out, head.noise(batch.item))
        for place, row in enumerate(some):
            mean, variance, noise, left_out, known_noise = (part[place].numpy() for part in parts)
            person = _person(tasks[row], left_out, known_noise, levels, base, side)
            out[int(row)] = _seen(tasks[row], mean, variance, noise, person, side)
    return [out[row] for row in range(len(tasks))]


def _seen(task: Task, mean: Floats, variance: Floats, noise: Floats, person: Floats, side: Side) -> Seen:
    asked = len(task.query)
    mean, variance, noise = mean[:asked], variance[:asked], noise[:asked]
    own = (mean, np.sqrt(variance), np.sqrt(noise), side.log_count[task.query], side.bias[task.query])
    return Seen(np.hstack([np.column_stack(own), np.tile(person, (asked, 1))]), mean, np.sqrt(variance + noise))


def _person(task: Task, left_out: Floats, noise: Floats, levels: Floats, base: Floats, side: Side) -> Floats:
    """Describe a task's user: how much is known, how far off the others' word for each rating was, which levels they use."""
    known = len(task.item)
    ratio = (np.sum(left_out[:known] ** 2 / noise[:known]) + PRIOR) / (known + PRIOR)
    counts = np.bincount(nearest_level(task.value, levels), minlength=len(levels)) + PRIOR * base
    fresh = np.mean(task.item >= side.items) if known else 0.5
    return np.concatenate([[np.log1p(known), np.log(ratio), fresh], np.log(counts / counts.sum())])


@dataclass(frozen=True)
class Levels:
    """Gaussian chances of the levels, corrected by a small network.

    Attributes
    ----------
    levels
        Standardised, ascending.
    centre, width
        (n,) of the inputs in training.
    weights
        Matrix and offset of three layers.
    """

    levels: Floats
    centre: Floats
    width: Floats
    weights: tuple[Tensor, ...]

    def logits(self, inputs: Tensor, gaussian: Tensor) -> Tensor:
        """Return (queries, levels) logits; ``gaussian`` are those without the network."""
        first, bias, second, out, third, last = self.weights
        hidden = torch.nn.functional.silu(inputs @ first + bias)
        hidden = torch.nn.functional.silu(hidden @ second + out)
        return gaussian + hidden @ third + last

    def prepared(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Return inputs of the network, standardised, and Gaussian logits."""
        inputs = np.clip((seen.inputs - self.centre) / self.width, -5, 5)
        return torch.from_numpy(inputs), torch.from_numpy(gaussian_logits(seen.mean, seen.deviation, self.levels))

    def uncorrected(self, seen: Seen) -> Floats:
        """Return (queries, levels) probabilities of the Gaussian alone."""
        return np.asarray(np.exp(gaussian_logits(seen.mean, seen.deviation, self.levels)))

    def chances(self, seen: Seen) -> Floats:
        """Return (queries, levels) probabilities."""
        with torch.no_grad():
            return np.asarray(torch.softmax(self.logits(*self.prepared(seen)), 1).numpy())


def gaussian_logits(mean: Floats, deviation: Floats, levels: Floats) -> Floats:
    """Return (queries, levels) log chances that a Gaussian falls nearest to each level."""
    from scipy.special import ndtr

    cuts = np.r_[-np.inf, (levels[1:] + levels[:-1]) / 2, np.inf]
    below = ndtr((cuts - mean[:, None]) / deviation[:, None])
    chances = np.maximum(np.diff(below, axis=1), 1e-6)
    return np.asarray(np.log(chances / chances.sum(1, keepdims=True)))


def stacked(seen: Sequence[Seen], levels: int) -> Seen:
    """Put the queries of several tasks below each other; ``levels`` says how wide none are."""
    none = Seen(np.zeros((0, OWN + PERSON + levels)), np.zeros(0), np.zeros(0))
    return Seen(*(np.concatenate([getattr(one, part.name) for one in (none, *seen)]) for part in fields(Seen)))


def train_levels(
    seen: Seen, truth: NDArray[np.int64], levels: Floats, hidden: int = 32, epochs: int = 8, seed: int = 0
) -> Levels:
    """Learn the correction by cross-entropy; it begins as none, and stays none where there is nothing to learn from.

    Parameters
    ----------
    seen
        Queries of simulated tasks.
    truth
        (queries,) positions of the levels that came.
    """
    found = _begin(seen.inputs, levels, hidden, seed)
    if not len(truth):
        return found
    weights = [weight.requires_grad_(True) for weight in found.weights]
    inputs, base = found.prepared(seen)
    wanted = torch.from_numpy(truth)
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(wanted) // QUERIES_A_STEP))
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        total = 0.0
        for some in torch.from_numpy(random.permutation(len(wanted))).split(QUERIES_A_STEP):  # type: ignore[no-untyped-call]
            loss = torch.nn.functional.cross_entropy(found.logits(inputs[some], base[some]), wanted[some])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(some)
        log.info("levels: epoch %d of %d, loss a rating %.4f", epoch + 1, epochs, total / len(wanted))
    return replace(found, weights=tuple(weight.detach() for weight in weights))


def _begin(inputs: Floats, levels: Floats, hidden: int, seed: int) -> Levels:
    """Return a network that corrects nothing yet: its last layer is zero."""
    random = torch.Generator().manual_seed(seed)
    sizes = (OWN + PERSON + len(levels), hidden, hidden, len(levels))
    weights: list[Tensor] = []
    for rows, columns in pairwise(sizes):
        drawn = torch.randn(rows, columns, generator=random, dtype=torch.float64) / rows**0.5
        weights += [drawn, torch.zeros(columns, dtype=torch.float64)]
    weights[-2].zero_()
    centre, width = (inputs.mean(0), inputs.std(0)) if len(inputs) else (np.zeros(sizes[0]), np.ones(sizes[0]))
    return Levels(levels, centre, np.where(width > 1e-9, width, 1.0), tuple(weights))


def answer(chances: Floats, levels: Floats, tilt: float = 0.02) -> Floats:
    """Return one number a query: the median level, leaning a little towards the mean so that equal medians still rank.

    On a scale of two levels: the expected value, so on 0/1 the chance of a 1.
    """
    mean = chances @ levels
    if len(levels) == 2:
        return np.asarray(mean)
    median = levels[(np.cumsum(chances, 1) >= 0.5 - 1e-9).argmax(1)]
    return np.asarray(median + tilt * (mean - median))
