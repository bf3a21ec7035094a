"""Cut the past into episodes: what was known of a user at an instant, and what the user took next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recpipe.learn.data import Evidence, History, Support
from recpipe.learn.sales import ages_in_days


@dataclass(frozen=True)
class Episodes:
    """Users at one instant, each with what is known and what came next.

    Attributes
    ----------
    support
        What is known of each user: entries strictly before the cut.
    seen_indptr, seen_item
        Every item that each user had met before the cut, in the layout of a CSR matrix: never in the query, never ranked.
        The same items as the support's, unless the support was shortened.
    query_indptr, query_item
        Distinct items that each user met first between the cut and the end of the horizon; at least one.
    user
        (episodes,) row in the history's ``user_ids``.
    """

    support: Support
    seen_indptr: NDArray[np.int64]
    seen_item: NDArray[np.int32]
    query_indptr: NDArray[np.int64]
    query_item: NDArray[np.int32]
    user: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.user)


def as_of(evidence: Evidence, cutoff: np.datetime64, last_day: np.datetime64) -> Evidence:
    """Return what was known at an earlier instant: later events are gone, later items cannot be recommended.

    Rows of the catalogue stay where they are. Texts, prices and what is off sale are as of the evidence: the folder
    holds no older ones.

    Parameters
    ----------
    evidence
        As of a later instant.
    cutoff
        Events at or after it are forgotten.
    last_day
        datetime64[D] of the shop: items first delivered after it become unavailable.
    """
    history, catalogue = evidence.history, evidence.catalogue
    early = evidence.popularity_ts < cutoff
    return Evidence(
        catalogue=replace(catalogue, available=catalogue.available & (catalogue.first_day <= last_day)),
        history=_rows(history, np.flatnonzero(history.ts < cutoff)),
        popularity_item=evidence.popularity_item[early],
        popularity_ts=evidence.popularity_ts[early],
        until=cutoff,
    )


def cut_episodes(
    history: History, cutoff: np.datetime64, *, horizon_days: float, half_life_days: float, last_events: int = 200
) -> Episodes:
    """Cut every user who met something new within the horizon after an instant.

    Parameters
    ----------
    history
        May reach beyond the horizon; nothing beyond it is looked at, and nothing after the cut enters a support.
    cutoff
        Support is strictly before it, query at or after it.
    horizon_days
        Days after the cut that make the query.
    half_life_days
        Age at which an event of the support counts half.
    last_events
        Newest events of a user that make the support.
    """
    after = (history.ts >= cutoff) & (history.ts < cutoff + np.timedelta64(round(horizon_days * 86_400), "s"))
    items = int(history.item.max(initial=-1)) + 1
    before = _newest(_rows(history, np.flatnonzero(history.ts < cutoff)), last_events)
    seen = np.unique(before.user.astype(np.int64) * items + before.item)
    query = np.setdiff1d(np.unique(history.user[after].astype(np.int64) * items + history.item[after]), seen)
    user = np.unique(query // max(items, 1)).astype(np.int32)
    support = supports_at(before, cutoff, half_life_days, user)
    return Episodes(
        support=support,
        seen_indptr=support.indptr,
        seen_item=support.item,
        query_indptr=np.searchsorted(query, np.r_[user.astype(np.int64), 1 << 40] * items),
        query_item=(query % max(items, 1)).astype(np.int32),
        user=user,
    )


def supports_at(history: History, until: np.datetime64, half_life_days: float, user: NDArray[np.int32]) -> Support:
    """Return the supports of some users, as the nights make them (``recpipe.episodes.build_support``).

    An item's strongest event stands for it, weight of the event type × 0.5^(age / half-life); of equally strong ones the
    latest. The label is 0 where the item was sent back after the last time the user met it.

    Parameters
    ----------
    history
        Events before ``until``.
    user
        (users,) rows of ``user_ids``, sorted; users without history get an empty support.
    """
    history = _rows(history, np.flatnonzero(np.isin(history.user, user)))
    age = ages_in_days(history.ts, until)
    strength = history.weight * np.exp2(-age / half_life_days)
    best = _last_of_pairs(history, strength, history.ts)
    label = np.ones(len(best), np.float32)
    if history.returned_at is not None:
        label[history.returned_at[_last_of_pairs(history, history.ts)] < until] = 0
    order = np.lexsort((history.item[best], history.ts[best], history.user[best]))
    rows = best[order]
    return Support(
        indptr=np.r_[np.searchsorted(history.user[rows], user), len(rows)].astype(np.int64),
        item=history.item[rows],
        label=label[order],
        weight=strength[rows].astype(np.float32),
        age_days=age[rows].astype(np.float32),
    )


def shorten(episodes: Episodes, most: NDArray[np.int64]) -> Episodes:
    """Cut known users as if they were new: of each support only the newest ``most`` (episodes,) entries stay."""
    support = episodes.support
    left = np.repeat(support.indptr[1:], support.k) - np.arange(len(support.item))
    keep = left <= np.repeat(most, support.k)
    indptr = np.r_[0, np.cumsum(np.minimum(support.k, most))].astype(np.int64)
    short = Support(indptr, support.item[keep], support.label[keep], support.weight[keep], support.age_days[keep])
    return replace(episodes, support=short)


def choose(episodes: Episodes, rows: NDArray[np.integer]) -> Episodes:
    """Return some episodes, in the order of the rows."""
    support, seen_indptr = episodes.support, episodes.seen_indptr
    entries, indptr = _ranges(support.indptr, rows)
    seen, seen_out = _ranges(seen_indptr, rows)
    query, query_out = _ranges(episodes.query_indptr, rows)
    return Episodes(
        Support(indptr, support.item[entries], support.label[entries], support.weight[entries], support.age_days[entries]),
        seen_out,
        episodes.seen_item[seen],
        query_out,
        episodes.query_item[query],
        episodes.user[rows],
    )


def _ranges(indptr: NDArray[np.int64], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the entries that some rows own, one row after the other, and their new bounds."""
    counts = indptr[rows + 1] - indptr[rows]
    out = np.r_[0, np.cumsum(counts)].astype(np.int64)
    return np.repeat(indptr[rows] - out[:-1], counts) + np.arange(out[-1]), out


def _rows(history: History, rows: NDArray[np.intp]) -> History:
    returned = None if history.returned_at is None else history.returned_at[rows]
    return replace(
        history,
        user=history.user[rows],
        item=history.item[rows],
        ts=history.ts[rows],
        weight=history.weight[rows],
        returned_at=returned,
    )


def _newest(history: History, most: int) -> History:
    """Keep the newest events of each user; the history is by user and then time."""
    ends = np.searchsorted(history.user, history.user, side="right")
    return _rows(history, np.flatnonzero(ends - np.arange(len(ends)) <= most))


def _last_of_pairs(history: History, *by: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return the row of each (user, item) that is greatest by some values, the first being foremost."""
    order = np.lexsort((*by[::-1], history.item, history.user))
    user, item = history.user[order], history.item[order]
    last = np.r_[(user[1:] != user[:-1]) | (item[1:] != item[:-1]), True][: len(order)]
    return np.asarray(order[last])
