"""Estimates for rules that were not in force, from logged draws: inverse propensities, with intervals.

Lists give some places to new items by a draw that favours good scores, so the mean over what was drawn is the value of that
rule alone. Each drawn row, weighed by what the rule asked about would have made of it, over the probability that it had
(`recommendations.propensity`), makes an estimate of another rule's value without bias (Horvitz & Thompson 1952, JASA 47,
section 3), whatever the number of drawn places: the propensity is that of standing among them. Self-normalised, the estimate
has a bias that vanishes with the number of users, and often a much smaller spread (Swaminathan & Joachims 2015, "The
self-normalized estimator for counterfactual learning", section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import COHORTS, NEW_ITEM
from recpipe.dataset.catalogue_reader import codes_of
from recpipe.metrics.intervals import Interval, seed_of
from recpipe.metrics.off_policy import Logged, ips, naive, snips
from recpipe.metrics.ranking import Truth

ALL: Final = "all"


NAIVE: Final = "explored_hit_rate"


HITS: Final = "explored_hits_ips"


RATE: Final = "explored_hit_rate_snips"


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
            rng = seed_of(settings.training.seed, day, name, metric)
            yield name, metric, estimate(some, settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)
