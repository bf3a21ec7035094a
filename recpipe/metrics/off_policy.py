"""The value of logged lists by propensity: inverse propensity scores, plain and normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class Logged:
    """Rows that a draw placed.

    Attributes
    ----------
    user
        (rows,) row of the user, from 0.
    users
        Users with a draw, those whose rows came to nothing included.
    reward
        (rows,) what came of the row, such as 1 for a hit.
    propensity
        (rows,) probability that the row's item had of standing among its list's drawn places, above 0.
    """

    user: NDArray[np.int64]
    users: int
    reward: NDArray[np.float64]
    propensity: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse propensities that no draw has."""
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise ValueError("A propensity is above 0 and at most 1: what could not be drawn was not drawn.")

    def of(self, users: NDArray[np.bool_]) -> Logged:
        """Return the rows of the users for whom ``users`` is true."""
        keep = users[self.user]
        place = np.cumsum(users) - 1
        return Logged(place[self.user[keep]], int(users.sum()), self.reward[keep], self.propensity[keep])


def naive(rows: Logged, draws: int, rng: np.random.Generator, min_users: int) -> Interval:
    """Return the mean reward of a drawn row: the value of the rule that drew, and of no other."""
    return _ratio(rows, np.ones_like(rows.reward), draws, rng, min_users)


def ips(
    rows: Logged, draws: int, rng: np.random.Generator, min_users: int, target: NDArray[np.float64] | None = None
) -> Interval:
    r"""Return the reward that a list's drawn places would bring under another rule, :math:`\sum r_i t_i / \pi_i` a user.

    Parameters
    ----------
    rows
        What was drawn.
    draws, rng, min_users
        As in `recpipe.metrics.intervals.mean_interval`; draws are of users.
    target
        (rows,) probability that the row's item would have had under the rule asked about. None: 1, the rule that shows a
        user every item of the pool; the estimate is then the sum of the rewards of all of them.
    """
    weight = (np.ones_like(rows.reward) if target is None else target) / rows.propensity
    return mean_interval(_by_user(rows, weight * rows.reward), draws, rng, min_users)


def snips(
    rows: Logged, draws: int, rng: np.random.Generator, min_users: int, target: NDArray[np.float64] | None = None
) -> Interval:
    r"""Return the reward of one place under another rule, :math:`\sum r_i t_i / \pi_i` over :math:`\sum t_i / \pi_i`.

    Parameters as in `ips`. Without a target it is the mean over the pool: the value of a rule that draws each item alike.
    """
    return _ratio(rows, (np.ones_like(rows.reward) if target is None else target) / rows.propensity, draws, rng, min_users)


def effective_rows(rows: Logged) -> float:
    """Return how many rows of equal weights would say as much (Kish 1965, section 11.7): few where propensities differ much."""
    weight = 1 / rows.propensity
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def _ratio(rows: Logged, weight: NDArray[np.float64], draws: int, rng: np.random.Generator, min_users: int) -> Interval:
    """Return a ratio of two sums over users; its interval is that of the linearised ratio (Cochran 1977, section 6.3)."""
    above, below = _by_user(rows, weight * rows.reward), _by_user(rows, weight)
    if rows.users < max(min_users, 1) or not below.sum() > 0:
        return Interval(None, None, None, rows.users)
    value = float(above.sum() / below.sum())
    found = mean_interval(value + (above - value * below) / below.mean(), draws, rng, min_users)
    if found.low is None or found.high is None:
        return found
    return Interval(value, min(max(found.low, 0.0), value), max(found.high, value), rows.users)


def _by_user(rows: Logged, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(rows.user, weights=values, minlength=rows.users).astype(np.float64)
