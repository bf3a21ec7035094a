"""What is known of items from behaviour: popularity that fades, and which items meet in the same hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.learn.data import Evidence, History, events_of

CELLS_A_BLOCK = 4_000_000
"""Entries of a block of dense similarities (16 MB): bounds memory for large catalogues."""
YEAR_DAYS = 364
"""The same weekday a year ago."""
SEASON_DAYS = 42
"""Whole weeks, so that every weekday counts alike. Six of them: what the default's weights were learned with, and on
weeks inside the log of Online Retail better beside what sells now than three or four."""
SEASONS_AHEAD = 27
"""Weeks after the end of the evidence for which a season is counted."""
LEAST_BUYERS = 2
"""Users who met an item before it is a favourite of their country."""


def ages_in_days(ts: NDArray[np.datetime64], until: np.datetime64) -> NDArray[np.float64]:
    """Return the days from each moment to ``until``."""
    return np.asarray((until - ts) / np.timedelta64(1, "D"), dtype=np.float64)


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


def interactions(history: History, items: int) -> sp.csr_matrix:
    """Return (users, items): the greatest event weight of each pair that met."""
    shape = (len(history.user_ids), items)
    pair = history.user.astype(np.int64) * items + history.item
    order = np.lexsort((-history.weight, pair))
    keep = order[np.r_[True, np.diff(pair[order]) != 0]] if len(pair) else order
    return sp.csr_matrix((history.weight[keep], (history.user[keep], history.item[keep])), shape=shape, dtype=np.float32)


def similar_items(
    matrix: sp.csr_matrix, *, neighbours: int, shrinkage: float, user_power: float = 0.0, candidate_power: float = 0.5
) -> sp.csr_matrix:
    r"""Return (items, items): row i holds how much each of its best neighbours j speaks for item i.

    .. math:: s_{ij} = \frac{c_{ij}}{c_{ii}^{a} c_{jj}^{1-a} + \lambda}, \quad c = X^T D X, \quad D_{uu} = n_u^{-p}

    Damped cosine similarity (Sarwar et al. 2001, section 3.1; shrinkage after Bell and Koren 2007, section 2.2).

    Parameters
    ----------
    matrix
        (users, items), as `interactions` gives it.
    neighbours
        Items j kept for each item i, the most similar first.
    shrinkage
        Lambda: pairs seen together this often count about half.
    user_power
        p: how much less a user of many items says about each pair.
    candidate_power
        a: 0.5 is the cosine; less favours popular candidates i, more favours rare ones.
    """
    items = matrix.shape[1]
    if not items:  # of no blocks there is no stack
        return sp.csr_matrix(matrix.T @ matrix, dtype=np.float32)
    lengths = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)
    scaled = sp.csr_matrix(sp.diags(lengths ** (-user_power / 2)) @ matrix).astype(np.float32)
    columns = sp.csr_matrix(scaled.T)
    own = np.asarray(scaled.multiply(scaled).sum(0), dtype=np.float32).ravel()
    rows = max(1, CELLS_A_BLOCK // max(items, 1))
    blocks = [
        _best(columns[start : start + rows] @ scaled, own, start, neighbours, shrinkage, candidate_power)
        for start in range(0, items, rows)
    ]
    return sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32)


def _best(
    together: sp.csr_matrix, own: NDArray[np.float32], start: int, neighbours: int, shrinkage: float, power: float
) -> sp.csr_matrix:
    """Turn rows of co-occurrence into damped similarities and keep the greatest of each row."""
    dense = together.toarray()
    count, items = dense.shape
    mine = np.arange(start, start + count)
    dense[np.arange(count), mine] = 0
    dense /= (own[mine] ** power)[:, None] * (own ** (1 - power))[None, :] + np.float32(shrinkage + 1e-9)
    column, value, kept = greatest(dense, neighbours)
    return sp.csr_matrix((value, column, np.r_[0, np.cumsum(kept)]), shape=(count, items))


def greatest(dense: NDArray[np.float32], keep: int) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
    """Return columns and values of the greatest positive entries of each row, and how many each row has.

    Of equal ones the first columns count. Whole rows are sorted: where most entries are zero that is thirty times as fast as
    `numpy.argpartition`.
    """
    keep = min(keep, dense.shape[1])
    if not keep or not len(dense):
        return np.zeros(0, np.intp), np.zeros(0, np.float32), np.zeros(len(dense), np.intp)
    bar = np.maximum(np.sort(dense, axis=1)[:, dense.shape[1] - keep], 0)[:, None]
    chosen = (dense >= bar) & (dense > 0)
    over = np.flatnonzero(chosen.sum(1) > keep)
    equal, above = dense[over] == bar[over], dense[over] > bar[over]
    chosen[over] = above | (equal & (np.cumsum(equal, axis=1) <= keep - above.sum(1, keepdims=True)))
    row, column = np.nonzero(chosen)
    return column, dense[row, column], np.bincount(row, minlength=len(dense))
