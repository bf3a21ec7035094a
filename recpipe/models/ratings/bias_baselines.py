"""Closed forms, each a learner of its own: means of a support, damped biases, and a ridge on the kernel of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import scipy.sparse as sp

from recpipe.models.ratings.ratings import Floats, Ints, Ratings, Task, levels_of, nearest_level

Predict = Callable[[Sequence[Task]], list[Floats]]
DENSE_ITEMS = 4000
"""Up to as many items the cosines of all pairs are worked out once; of more, those of a task when it is asked."""


def user_mean(ratings: Ratings, damping: float = 2.0) -> Predict:
    """Answer with the mean of all that is known of a user, drawn to the mean of all ratings.

    Of likes this is the user's share of likes.
    """
    centre = float(ratings.value.mean())
    return lambda tasks: [np.full(len(t.query), _damped(t.value - centre, damping) + centre) for t in tasks]


def support_mean(ratings: Ratings, damping: float = 2.0) -> Predict:
    """Answer with the mean of the ratings that came with the task, drawn to the mean of all that is known of the user.

    Of likes this is the share of likes in the support. It differs from `user_mean` for users who were known before:
    their habits may have changed since.
    """
    centre = float(ratings.value.mean())

    def one(task: Task) -> Floats:
        usual = centre + _damped(task.value - centre, damping)
        return np.full(len(task.query), usual + _damped(task.given() - usual, damping))

    return lambda tasks: [one(task) for task in tasks]


def user_median(ratings: Ratings, damping: float = 4.0) -> Predict:
    """Answer with the median of a task's support and of some ratings as they usually are."""
    levels = levels_of(ratings.value)
    base = np.bincount(nearest_level(ratings.value, levels), minlength=len(levels)) / len(ratings.value)

    def one(task: Task) -> Floats:
        counts = np.bincount(nearest_level(task.value, levels), minlength=len(levels)) + damping * base
        return np.full(len(task.query), levels[int((np.cumsum(counts) >= counts.sum() / 2 - 1e-9).argmax())])

    return lambda tasks: [one(task) for task in tasks]


def biases(ratings: Ratings, damping: float = 5.0, rounds: int = 10) -> tuple[float, Floats]:
    """Return the mean rating and (items,) damped item biases, found in turns with damped user biases.

    Koren 2009 (The BellKor solution to the Netflix grand prize, section III.A).
    """
    centre = float(ratings.value.mean())
    user, item = np.zeros(ratings.users), np.zeros(ratings.items)
    users, items = np.bincount(ratings.user, minlength=ratings.users), np.bincount(ratings.item, minlength=ratings.items)
    for _ in range(rounds):
        item = np.bincount(ratings.item, ratings.value - centre - user[ratings.user], ratings.items) / (items + damping)
        user = np.bincount(ratings.user, ratings.value - centre - item[ratings.item], ratings.users) / (users + damping)
    return centre, item


def damped_bias(ratings: Ratings, damping: float = 5.0) -> Predict:
    """Answer with mean + item bias + the task's own bias, both damped."""
    centre, item = biases(ratings, damping)
    return lambda tasks: [centre + item[t.query] + _damped(t.value - centre - item[t.item], damping) for t in tasks]


def item_kernel(ratings: Ratings, damping: float = 5.0, own: float = 30.0, penalty: float = 0.5) -> Predict:
    """Answer with damped biases and kernel ridge regression of what they leave, on the cosine of items' residuals.

    Parameters
    ----------
    own
        Damps the cosine of items with few ratings in common with anybody.
    penalty
        Of the ridge, in units of an item's similarity to itself.
    """
    centre, item = biases(ratings, damping)
    rows = _residuals(ratings, centre, item, damping, own)
    table = (rows @ rows.T).toarray() if ratings.items <= DENSE_ITEMS else None

    def one(task: Task) -> Floats:
        left = task.value - centre - item[task.item]
        level = _damped(left, damping)
        cosine = _cosine(rows, table, np.r_[task.item, task.query], task.item)
        among = cosine[: len(task.item)] + penalty * np.eye(len(task.item))
        pull = np.linalg.solve(among, left - level)
        return np.asarray(centre + item[task.query] + level + cosine[len(task.item) :] @ pull)

    return lambda tasks: [one(task) for task in tasks]


def _residuals(ratings: Ratings, centre: float, item: Floats, damping: float, own: float) -> sp.csr_matrix:
    """Return (items, users) what the biases leave, each row of length 1 but for its damping."""
    rest = ratings.value - centre - item[ratings.item]
    bias = np.bincount(ratings.user, rest, ratings.users) / (np.bincount(ratings.user, minlength=ratings.users) + damping)
    rows = sp.csr_matrix((rest - bias[ratings.user], (ratings.item, ratings.user)), (ratings.items, ratings.users))
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel() + own)
    return sp.csr_matrix(sp.diags(1 / length) @ rows)


def _cosine(rows: sp.csr_matrix, table: Floats | None, left: Ints, right: Ints) -> Floats:
    if table is not None:
        return table[np.ix_(left, right)]
    return np.asarray((rows[left] @ rows[right].T).toarray())


def _damped(values: Floats, damping: float) -> float:
    return float(values.sum() / (len(values) + damping))


BASELINES: dict[str, Callable[[Ratings], Predict]] = {
    "user-mean": user_mean,
    "support-mean": support_mean,
    "user-median": user_median,
    "damped-bias": damped_bias,
    "item-kernel": item_kernel,
}
"""Closed forms by name."""
CANDIDATES: dict[str, Callable[[Ratings], Predict]] = {
    **{name: form for name, form in BASELINES.items() if name != "user-median"},
    **{
        f"{form.__name__} {damping:g}": partial(form, damping=damping)
        for form in (user_mean, support_mean)
        for damping in (0.5, 8)
    },
    **{f"damped_bias {damping:g}": partial(damped_bias, damping=damping) for damping in (2, 20)},
    "item_kernel 2": partial(item_kernel, penalty=2.0),
}
"""Closed forms that a pool chooses from: each with some values of its number."""
