"""The evidence on items from behaviour: popularity that fades, and items that meet in the same hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence, History, ages_in_days, events_of

YEAR_DAYS = 364
"""The same weekday a year ago."""


SEASON_DAYS = 42
"""Whole weeks, so that every weekday counts alike. Six of them: what the default's weights were learned with, and on
weeks inside the log of Online Retail better beside what sells now than three or four."""


SEASONS_AHEAD = 27
"""Weeks after the end of the evidence for which a season is counted."""


LEAST_BUYERS = 2
"""Users who met an item before it is a favourite of their country."""


def faded_counts(evidence: Evidence, half_life_days: float) -> NDArray[np.float64]:
    """Return (items,) positive events of anybody, each counting half after so many days.

    Old events never count nothing, so items that last sold long ago keep an order among themselves.
    """
    age = ages_in_days(evidence.popularity_ts, evidence.until)
    counts = np.bincount(evidence.popularity_item, np.exp2(-age / half_life_days), minlength=len(evidence.catalogue))
    return np.asarray(counts, dtype=np.float64)


def faded_users(evidence: Evidence, half_life_days: float) -> NDArray[np.float64]:
    """Return (items,) named users who met each item, each by the last time, counting half after so many days."""
    history, items = evidence.history, len(evidence.catalogue)
    order = np.lexsort((history.ts, history.item, history.user))
    user, item = history.user[order], history.item[order]
    last = order[np.r_[(user[1:] != user[:-1]) | (item[1:] != item[:-1]), True][: len(order)]]
    age = ages_in_days(history.ts[last], evidence.until)
    counts = np.bincount(history.item[last], np.exp2(-age / half_life_days), minlength=items)
    return np.asarray(counts, dtype=np.float64)


def season_counts(evidence: Evidence, ahead_days: float = 0.0) -> NDArray[np.float64]:
    """Return (items,) positive events of anybody in the `SEASON_DAYS` that began a year before a list's day.

    Days that the evidence does not reach back to count nothing (`knows_season`).

    Parameters
    ----------
    ahead_days
        Days between the end of the evidence and the list's day.
    """
    age = ages_in_days(evidence.popularity_ts, evidence.until)
    start = YEAR_DAYS - ahead_days
    then = evidence.popularity_item[(age <= start) & (age > start - SEASON_DAYS)]
    return np.asarray(np.bincount(then, minlength=len(evidence.catalogue)), dtype=np.float64)


def knows_season(evidence: Evidence, ahead_days: float = 0.0) -> bool:
    """Return whether the evidence reaches back to a year before a list's day."""
    age = ages_in_days(evidence.popularity_ts, evidence.until)
    return bool(age.max(initial=-np.inf) >= YEAR_DAYS - ahead_days)


def trusted_countries(history: History, least_customers: int) -> list[int]:
    """Return the codes of the countries of which so many users met something; none where nobody asked."""
    if history.country is None:
        return []
    country = history.country[np.unique(history.user)]  # who meets nothing before an earlier instant is no customer there
    customers = np.bincount(country[country >= 0], minlength=len(history.country_names))
    return [int(code) for code in np.flatnonzero(customers >= max(least_customers, 1))]


def of_country(evidence: Evidence, code: int) -> Evidence:
    """Return what the named users of one country did, and nobody else."""
    history = evidence.history
    lives_there = np.zeros(len(history.user_ids), np.bool_) if history.country is None else history.country == code
    own = events_of(history, np.flatnonzero(lives_there[history.user]))
    return replace(evidence, history=own, popularity_item=own.item, popularity_ts=own.ts)


def met_by_several(evidence: Evidence) -> NDArray[np.bool_]:
    """Return (items,) whether at least `LEAST_BUYERS` named users met an item: what one takes says little of the next."""
    return faded_users(evidence, np.inf) >= LEAST_BUYERS


def log_popularity(evidence: Evidence, half_life_days: float) -> NDArray[np.float32]:
    """Return (items,) log(1 + faded count), divided by its maximum: 0 for items nobody met, 1 for the first."""
    return log_share(faded_counts(evidence, half_life_days))


def log_share(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (items,) log(1 + count), divided by its maximum."""
    logs = np.log1p(counts)
    return np.asarray(logs / max(float(logs.max(initial=0.0)), 1e-12), dtype=np.float32)
