"""Item biases and factors from ratings, by expectation maximisation."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from recpipe.models.ratings.ratings import Floats, Ints, Ratings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Factors:
    """A rating is bias_i + [1, v_i] · w_u + noise, with w_u ~ N(0, spread); in units of the standardised scale.

    Attributes
    ----------
    bias
        (items,) 0 for an item without ratings.
    factor
        (items, d) v_i; 0 for an item without ratings.
    spread
        (1 + d, 1 + d) covariance of the users.
    noise
        Variance of a rating around its mean.
    count
        (items,) ratings an item.
    user
        (users, 1 + d) posterior mean of w_u; 0 for a user without ratings.
    """

    bias: Floats
    factor: Floats
    spread: Floats
    noise: float
    count: Ints
    user: Floats


def fit_factors(ratings: Ratings, size: int = 16, rounds: int = 8, shrink: float = 10.0, seed: int = 0) -> Factors:
    """Fit the linear factor model by expectation maximisation.

    Users are integrated out, item factors are points with the prior N(0, 1 / shrink): probabilistic PCA (Tipping and
    Bishop 1999, section 3) with missing values and a bias. Few rounds: the fit goes on improving on what it was fitted
    to long after new users stop gaining.

    Parameters
    ----------
    ratings
        Values standardised: mean 0, variance 1.
    size
        d, the number of factors.
    """
    random = np.random.default_rng(seed)
    seen = sp.csr_matrix((np.ones(len(ratings.value)), (ratings.user, ratings.item)), (ratings.users, ratings.items))
    value = sp.csr_matrix((ratings.value, (ratings.user, ratings.item)), (ratings.users, ratings.items))
    count = np.asarray(seen.sum(0)).ravel()
    bias = np.asarray(value.sum(0)).ravel() / (count + 5)
    side = np.hstack([np.ones((ratings.items, 1)), random.normal(0, 0.1, (ratings.items, size))])
    side[count == 0, 1:] = 0
    spread, noise = np.eye(1 + size), 0.65
    spread[0, 0] = 0.2
    mean = np.zeros((ratings.users, 1 + size))
    for turn in range(rounds):
        mean, second = posterior(seen, value, bias, side, spread, noise)
        spread = second[np.asarray(seen.sum(1)).ravel() > 0].mean(0)
        bias, side = _items(seen, value, mean, second, noise, shrink)
        noise = _noise(ratings, bias, side, mean, second)
        log.debug("factors: round %d of %d, noise %.4f", turn + 1, rounds, noise)
    log.info("fitted %d factors of %d items to %d ratings", size, ratings.items, len(ratings.value))
    return Factors(bias, side[:, 1:], spread, noise, count.astype(np.int64), mean)


def posterior(
    seen: sp.csr_matrix, value: sp.csr_matrix, bias: Floats, side: Floats, spread: Floats, noise: float
) -> tuple[Floats, Floats]:
    """Return the users' posterior means (users, 1 + d) and second moments (users, 1 + d, 1 + d)."""
    precision = sum_outer(seen, side[:, :, None] * side[:, None, :]) / noise + np.linalg.inv(spread)
    covariance = np.linalg.inv(precision)
    pull = (value @ side - seen @ (side * bias[:, None])) / noise
    mean = np.einsum("uij,uj->ui", covariance, pull)
    return mean, covariance + mean[:, :, None] * mean[:, None, :]


def sum_outer(seen: sp.csr_matrix, square: Floats) -> Floats:
    """Return (rows, d, d): symmetric (columns, d, d) matrices summed over what stands in each row; half of them suffices."""
    width = square.shape[1]
    row, column = np.triu_indices(width)
    out = np.empty((seen.shape[0], width, width))
    out[:, row, column] = seen @ square[:, row, column]
    out[:, column, row] = out[:, row, column]
    return out


def _items(
    seen: sp.csr_matrix, value: sp.csr_matrix, mean: Floats, second: Floats, noise: float, shrink: float
) -> tuple[Floats, Floats]:
    """Return biases and [1, v_i] that fit the users best; an item without ratings gets zeros."""
    width = mean.shape[1]
    left = sum_outer(sp.csr_matrix(seen.T), second)
    first = seen.T @ mean
    right = value.T @ mean - left[:, :, 0]  # the factor of the constant is 1, not fitted
    right[:, 0] = np.asarray(value.sum(0)).ravel() - first[:, 0]
    left[:, 0, :] = first
    left[:, :, 0] = first
    left[:, 0, 0] = np.asarray(seen.sum(0)).ravel()
    penalty = np.diag(np.r_[4 * noise, np.full(width - 1, shrink * noise)])
    found = np.linalg.solve(left + penalty, right[:, :, None])[:, :, 0]
    return found[:, 0].copy(), np.hstack([np.ones((len(found), 1)), found[:, 1:]])


def _noise(ratings: Ratings, bias: Floats, side: Floats, mean: Floats, second: Floats) -> float:
    """Return the mean squared error plus what the users' own uncertainty adds to it."""
    rest = ratings.value - bias[ratings.item] - (side[ratings.item] * mean[ratings.user]).sum(1)
    some = slice(None, None, max(1, len(rest) // 50_000))
    x, m = side[ratings.item[some]], mean[ratings.user[some]]
    spread = np.einsum("ni,nij,nj->n", x, second[ratings.user[some]], x) - (x * m).sum(1) ** 2
    return max(float((rest**2).mean() + spread.mean()), 1e-3)
