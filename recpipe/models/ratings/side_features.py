"""The evidence on every item before a task begins: once with its ratings, once as if it were new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from recpipe.models.ratings.content_features import Block
from recpipe.models.ratings.content_kernel import Guess, Kernel, fit_kernel, guess, taste_axes
from recpipe.models.ratings.factors import Factors
from recpipe.models.ratings.ratings import Floats, Ints, Ratings

MOST_RATED = 4000


@dataclass(frozen=True)
class Side:
    """Two rows an item: row i as it is known, row items + i as if nobody had rated it.

    Attributes
    ----------
    items
        How many items there are.
    bias, variance
        (2 items,) expected bias, and how uncertain it is.
    features
        (2 items, d) columns whose weights are a user's taste.
    groups
        (d,) block of each column; the columns of a block share one scale, which is learned.
    user
        (users, d) what is expected of a user's weights from what is said of the user.
    log_count
        (2 items,) log(1 + ratings), 0 for a fresh row.
    """

    items: int
    bias: Floats
    variance: Floats
    features: Floats
    groups: Ints
    user: Floats
    log_count: Floats


def build_side(
    factors: Factors, item_blocks: Sequence[Block], user_blocks: Sequence[Block], axes: int = 48, seed: int = 0
) -> Side:
    """Smooth biases and factors over the catalogue, and lay out the features of a user's taste.

    The blocks of features: the collaborative side (constant and factors, whitened by the users' covariance), the expected
    bias itself (some users agree with the crowd more than others), axes of the catalogue, and whether the item is new.
    """
    taught = _most_rated(factors.count)
    bias, _ = _smooth(item_blocks, taught, factors.bias[:, None], factors.count, seed)
    factor, kernel = _smooth(item_blocks, taught, factors.factor, factors.count, seed)
    lower = np.linalg.cholesky(factors.spread + 1e-9 * np.eye(len(factors.spread)))
    ones = np.ones((len(factors.count), 1))
    expected = np.r_[bias.known_mean, bias.fresh_mean]
    parts = (
        np.vstack([np.hstack([ones, mean]) @ lower for mean in (factor.known_mean, factor.fresh_mean)]),
        expected,
        np.tile(taste_axes(item_blocks, kernel, taught, len(ones), axes, seed), (2, 1)),
        np.vstack([0 * ones, ones]),
    )
    groups = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    user = np.zeros((len(factors.user), len(groups)))
    user[:, : len(lower)] = expected_users(factors.user @ np.linalg.inv(lower).T, user_blocks)
    log_count = np.r_[np.log1p(factors.count), 0 * ones[:, 0]]
    variance = np.r_[bias.known_variance, bias.fresh_variance]
    return Side(len(ones), expected[:, 0], variance, np.hstack(parts), groups, user, log_count)


def _smooth(blocks: Sequence[Block], taught: Ints, value: Floats, count: Ints, seed: int) -> tuple[Guess, Kernel]:
    """Guess all items from the taught ones, in the values' own units."""
    scale = max(float(value[taught].std()), 1e-6)
    kernel = fit_kernel(blocks, taught, value[taught] / scale, count[taught], seed=seed)
    found = guess(blocks, kernel, taught, value / scale, count)
    square = scale * scale
    means, variances = (
        (scale * found.known_mean, scale * found.fresh_mean),
        (square * found.known_variance, square * found.fresh_variance),
    )
    return Guess(means[0], variances[0], means[1], variances[1]), kernel


def _most_rated(count: Ints) -> Ints:
    order = np.lexsort((np.arange(len(count)), -count))[:MOST_RATED]
    return np.sort(order[count[order] > 0])


def expected_users(weights: Floats, blocks: Sequence[Block], damping: float = 50.0) -> Floats:
    """Return (users, d) ridge predictions of users' whitened weights from what is said of them; zeros if nothing is.

    A user without ratings has weights of 0 and teaches nothing.
    """
    taught = np.flatnonzero(np.abs(weights).sum(1) > 0)
    if not blocks or not len(taught):
        return np.zeros_like(weights)
    parts = [sp.csr_matrix(np.ones((len(weights), 1))), *(block.rows for block in blocks)]
    rows = sp.csr_matrix(sp.hstack(parts))
    known = rows[taught]
    left = (known.T @ known).toarray() + damping * np.eye(rows.shape[1])
    return np.asarray(rows @ np.linalg.solve(left, known.T @ weights[taught]))


def refs(side: Side, item: Ints) -> Ints:
    """Return the rows of items as they are known; an item without ratings is fresh."""
    return np.where(side.log_count[item] > 0, item, item + side.items)


def of_user(ratings: Ratings, user: int) -> slice:
    """Return where the ratings of a user stand."""
    first, last = np.searchsorted(ratings.user, (user, user + 1))
    return slice(int(first), int(last))
