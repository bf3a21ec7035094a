"""Baselines without adaptation: the rows that a learner has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from recpipe.models.ratings.ratings import Floats, Ratings, Task, levels_of, nearest_level

Predict = Callable[[Sequence[Task]], list[Floats]]


def user_mean(ratings: Ratings, damping: float = 2.0) -> Predict:
    """Answer with the mean of a task's support, drawn to the mean of all ratings."""
    centre = float(ratings.value.mean())
    return lambda tasks: [np.full(len(t.query), _damped(t.value - centre, damping) + centre) for t in tasks]


def user_median(ratings: Ratings, damping: float = 4.0) -> Predict:
    """Answer with the median of a task's support and of some ratings as they usually are."""
    levels = levels_of(ratings.value)
    base = np.bincount(nearest_level(ratings.value, levels), minlength=len(levels)) / len(ratings.value)

    def one(task: Task) -> Floats:
        counts = np.bincount(nearest_level(task.value, levels), minlength=len(levels)) + damping * base
        return np.full(len(task.query), levels[int((np.cumsum(counts) >= counts.sum() / 2 - 1e-9).argmax())])

    return lambda tasks: [one(task) for task in tasks]


def biases(ratings: Ratings, damping: float = 5.0, rounds: int = 10) -> tuple[float, Floats]:
    """Return the mean rating and (items,) damped item biases, found in turns with damped user biases."""
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
    rest = ratings.value - centre - item[ratings.item]
    bias = np.bincount(ratings.user, rest, ratings.users) / (np.bincount(ratings.user, minlength=ratings.users) + damping)
    table = sp.csr_matrix((rest - bias[ratings.user], (ratings.user, ratings.item)), (ratings.users, ratings.items))
    length = np.sqrt(np.asarray(table.multiply(table).sum(0)).ravel() + own)
    unit = sp.csr_matrix(table @ sp.diags(1 / length))
    cosine = (unit.T @ unit).toarray()

    def one(task: Task) -> Floats:
        left = task.value - centre - item[task.item]
        level = _damped(left, damping)
        among = cosine[np.ix_(task.item, task.item)] + penalty * np.eye(len(task.item))
        pull = np.linalg.solve(among, left - level)
        return np.asarray(centre + item[task.query] + level + cosine[np.ix_(task.query, task.item)] @ pull)

    return lambda tasks: [one(task) for task in tasks]


def _damped(values: Floats, damping: float) -> float:
    return float(values.sum() / (len(values) + damping))


BASELINES: dict[str, Callable[[Ratings], Predict]] = {
    "user-mean": user_mean,
    "user-median": user_median,
    "damped-bias": damped_bias,
    "item-kernel": item_kernel,
}
"""Baselines by name."""
