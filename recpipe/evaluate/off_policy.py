r"""What logged draws say of rules that were not in force: inverse propensity estimates, and their intervals.

Lists give some places to new items by a draw that favours good scores, so the mean over what was drawn is the value of that
rule alone. Each drawn row, weighed by what the rule asked about would have made of it, over the probability that it had
(`recommendations.propensity`), makes an estimate of another rule's value without bias (Horvitz & Thompson 1952, JASA 47,
section 3), whatever the number of drawn places: the propensity is that of standing among them. Self-normalised, the estimate
has a bias that vanishes with the number of users, and often a much smaller spread (Swaminathan & Joachims 2015, "The
self-normalized estimator for counterfactual learning", section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.contract import COHORTS, NEW_ITEM
from recpipe.evaluate.intervals import Interval, mean_interval, seed_of
from recpipe.evaluate.metrics import Truth
from recpipe.evaluate.truth import codes_of

ALL: Final = "all"
NAIVE: Final = "explored_hit_rate"
HITS: Final = "explored_hits_ips"
RATE: Final = "explored_hit_rate_snips"


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
        As in `recpipe.evaluate.intervals.mean_interval`; draws are of users.
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


def logged(lists: pa.Table, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_], truth: Truth) -> Logged:
    """Return the drawn rows of published lists, with 1 for what the user newly met since.

    Parameters
    ----------
    lists
        Rows of ``recommendations`` of one day; those without a propensity are of before the column was added.
    user_ids
        (users,) sorted: the users who are measured; other rows are left out.
    item_ids
        (items,) catalogue, which the truth's codes are of.
    truth
        Of the same users.
    """
    kind = pc.struct_field(lists["reason"], "kind")
    some = lists.filter(pc.and_(pc.equal(kind, NEW_ITEM), pc.is_valid(lists["propensity"])))
    user, item = codes_of(some["user_id"], user_ids), codes_of(some["item_id"], item_ids)
    known = (user >= 0) & (item >= 0)
    user, item, propensity = user[known], item[known], some["propensity"].to_numpy()[known]
    taken = np.repeat(np.arange(len(truth)), truth.size) * len(item_ids) + truth.item
    hit = np.isin(user * len(item_ids) + item, taken).astype(np.float64)
    return Logged(user, len(user_ids), hit, propensity)


def measured(rows: Logged, cohort: NDArray[np.object_], day: date, settings: Settings) -> Iterator[tuple[str, str, Interval]]:
    """Yield what is said of a night's draws, as (cohort, metric, interval); nothing where nothing was drawn.

    ``explored_hit_rate``: of what was drawn, the share that was taken. ``explored_hit_rate_snips``: of everything that could
    have been drawn. ``explored_hits_ips``: how many of these a user takes. Users without a draw are left out.

    Parameters
    ----------
    rows
        As `logged` gives them.
    cohort
        (users,) of the same users.
    day
        For the seeds of the intervals, as are the names of cohort and metric.
    settings
        Draws, least number of users, seed.
    """
    drawn = np.zeros(rows.users, np.bool_)
    drawn[rows.user] = True
    for name in (ALL, *COHORTS) if drawn.any() else ():
        some = rows.of(drawn if name == ALL else drawn & (cohort == name))
        for metric, estimate in ((NAIVE, naive), (RATE, snips), (HITS, ips)):
            rng = seed_of(settings.seed, day, name, metric)
            yield name, metric, estimate(some, settings.bootstrap_draws, rng, settings.min_users)
