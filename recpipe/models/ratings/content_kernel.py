"""The catalogue's prediction of an item's bias and factors: Gaussian processes over blocks of features."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.models.ratings.content_features import Block
from recpipe.models.ratings.ratings import Floats, Ints
from recpipe.text.subspace import leading_axes

log = logging.getLogger(__name__)
JITTER = 1e-6
ROWS = 4096


@dataclass(frozen=True)
class Kernel:
    """Covariance of two items' values: constant + sum of weight times block kernel, and what is an item's own.

    Attributes
    ----------
    weights
        (blocks,) of the blocks.
    constant
        Variance that all items share.
    own
        Variance of an item that nothing else shares.
    noise
        An item with n ratings is known with the error variance noise / n.
    """

    weights: Floats
    constant: float
    own: float
    noise: float


@dataclass(frozen=True)
class Guess:
    """Values of items, smoothed by the catalogue.

    Attributes
    ----------
    known_mean, known_variance
        (items, outputs), (items,) with the item's own ratings, if there are any.
    fresh_mean, fresh_variance
        The same as if nobody had rated the item: from the others alone.
    """

    known_mean: Floats
    known_variance: Floats
    fresh_mean: Floats
    fresh_variance: Floats


def fit_kernel(
    blocks: Sequence[Block],
    rated: NDArray[np.intp],
    value: Floats,
    count: Ints,
    steps: int = 60,
    sample: int = 900,
    seed: int = 0,
) -> Kernel:
    """Learn the kernel's numbers by maximal marginal likelihood on a random sample of rated items.

    Rasmussen and Williams 2006, section 5.4.1; several outputs share one kernel.

    Parameters
    ----------
    rated
        (n,) rows of the blocks.
    value
        (n, outputs) what is to be predicted, its outputs of like variance.
    count
        (n,) ratings behind each value.
    """
    import torch

    some = np.sort(np.random.default_rng(seed).choice(len(rated), min(sample, len(rated)), replace=False))
    ones = np.ones((len(some), len(some)))
    stack = torch.from_numpy(np.stack([*(block.kernel(rated[some], rated[some]) for block in blocks), ones]))
    wanted, error = torch.from_numpy(value[some]), torch.from_numpy(1 / count[some].astype(np.float64))
    scale = max(float(value.var()), 1e-3)
    begin = [scale / (2 * max(1, len(blocks)))] * len(blocks) + [0.1 * scale, scale / 4, 1.0]
    logs = torch.tensor(begin, dtype=torch.float64).log().requires_grad_(True)
    optimizer = torch.optim.Adam([logs], lr=0.1)
    for step in range(steps):
        weights = logs.exp()
        diagonal = torch.diag(weights[-2] + weights[-1] * error + JITTER)
        lower = torch.linalg.cholesky(torch.tensordot(weights[:-2], stack, 1) + diagonal)
        solved = torch.linalg.solve_triangular(lower, wanted, upper=False)
        loss = 0.5 * (solved**2).sum() + value.shape[1] * lower.diagonal().log().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 20 == 0:
            log.info("catalogue: step %d of %d, loss an item %.4f", step + 1, steps, loss.item() / len(some))
    found = logs.detach().exp().numpy()
    return Kernel(found[:-3], float(found[-3]), float(found[-2]), float(found[-1]))


def covariance(blocks: Sequence[Block], kernel: Kernel, left: NDArray[np.intp], right: NDArray[np.intp]) -> Floats:
    """Return (left, right) what the catalogue makes two items share."""
    total = np.full((len(left), len(right)), kernel.constant)
    for block, weight in zip(blocks, kernel.weights, strict=True):
        total += weight * block.kernel(left, right)
    return total


def guess(blocks: Sequence[Block], kernel: Kernel, taught: NDArray[np.intp], value: Floats, count: Ints) -> Guess:
    """Return posterior means and variances of all items, rated or not.

    What a rated item would be guessed to be without its own ratings comes from the same inverse: Rasmussen and Williams
    2006, section 5.4.2 (leave one out).

    Parameters
    ----------
    taught
        (n,) items that the others are guessed from, each with ratings.
    value, count
        (items, outputs), (items,) of all items.
    """
    fresh_mean, fresh_variance = _from_others(blocks, kernel, taught, value, count)
    error = kernel.noise / np.maximum(count, 1e-9)
    trust = np.where(count > 0, fresh_variance / (fresh_variance + error), 0.0)
    known_mean = fresh_mean + trust[:, None] * (value - fresh_mean)
    return Guess(known_mean, fresh_variance * (1 - trust), fresh_mean, fresh_variance)


def _from_others(
    blocks: Sequence[Block], kernel: Kernel, taught: NDArray[np.intp], value: Floats, count: Ints
) -> tuple[Floats, Floats]:
    """Return means and variances of all items as if each had no ratings itself."""
    error = kernel.noise / count[taught]
    inverse = np.linalg.inv(covariance(blocks, kernel, taught, taught) + np.diag(kernel.own + error + JITTER))
    pull, sharp = inverse @ value[taught], np.diag(inverse)
    mean, variance = np.zeros_like(value), _alone(blocks, kernel, len(value))
    for start in range(0, len(value), ROWS):
        rows = np.arange(start, min(start + ROWS, len(value)))
        across = covariance(blocks, kernel, rows, taught)
        mean[rows] = across @ pull
        variance[rows] -= np.einsum("ij,ij->i", across @ inverse, across)
    mean[taught] = value[taught] - pull / sharp[:, None]
    variance[taught] = 1 / sharp - error
    return mean, np.maximum(variance, JITTER)


def _alone(blocks: Sequence[Block], kernel: Kernel, items: int) -> Floats:
    """Return (items,) variances before anything is known."""
    total = np.full(items, kernel.constant + kernel.own)
    for block, weight in zip(blocks, kernel.weights, strict=True):
        total += weight * block.squares()
    return total


def taste_axes(blocks: Sequence[Block], kernel: Kernel, rated: NDArray[np.intp], items: int, size: int, seed: int = 0) -> Floats:
    """Return (items, size) coordinates whose inner products come near `covariance` without its constant.

    Nyström's way: eigenvectors among the rated items (`recpipe.text.subspace`) reach out to the others. Scaled so that the mean squared length of a rated item is 1.
    """
    bare = Kernel(kernel.weights, 0.0, kernel.own, kernel.noise)
    among = covariance(blocks, bare, rated, rated)
    if not blocks or not among.any():
        return np.zeros((items, 0))
    vectors, values = leading_axes(among, min(size, len(rated)), extra=16, seed=seed)
    kept = values > 1e-6 * values[0]
    reach = vectors[:, kept] / np.sqrt(values[kept])
    parts = (np.arange(start, min(start + ROWS, items)) for start in range(0, items, ROWS))
    axes = np.concatenate([covariance(blocks, bare, rows, rated) @ reach for rows in parts])
    return np.asarray(axes / np.sqrt((axes[rated] ** 2).sum(1).mean()))
