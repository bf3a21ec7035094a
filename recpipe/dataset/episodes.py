"""Episodes cut from the past: the support of a user at an instant, and the items that the user took next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence, History, events_of
from recpipe.dataset.support import Support, build_support, event_strength, newest, ranges, take


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
        history=events_of(history, np.flatnonzero(history.ts < cutoff)),
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
    before = _newest(events_of(history, np.flatnonzero(history.ts < cutoff)), last_events)
    seen = np.unique(before.user.astype(np.int64) * items + before.item)
    query = np.setdiff1d(np.unique(history.user[after].astype(np.int64) * items + history.item[after]), seen)
    user = np.unique(query // max(items, 1)).astype(np.int32)
    support, _ = build_support(before, cutoff, half_life_days, user)
    return Episodes(
        support=support,
        seen_indptr=support.indptr,
        seen_item=support.item,
        query_indptr=np.searchsorted(query, np.r_[user.astype(np.int64), 1 << 40] * items),
        query_item=(query % max(items, 1)).astype(np.int32),
        user=user,
    )


def cut_as_new(
    history: History,
    cutoff: np.datetime64,
    *,
    window_days: float,
    horizon_days: float,
    half_life_days: float,
    sizes: Sequence[int],
) -> Episodes:
    """Cut users who come in the days after an instant, at their first items, while the evidence stays that of the instant.

    A user makes an episode for each size k: the support is the first k distinct items, the instant t0 the time of the
    last of them, the query what is met first in (t0, t0 + horizon]; for k = 0 from t0, the first event, on. What is met
    up to t0 and is not in the support (the rest of one order) counts as seen.

    Parameters
    ----------
    history
        What reaches beyond ``cutoff`` is behaviour; users with an event before it are known, and not cut.
    window_days
        Days after the cutoff in which a user's first event lies.
    sizes
        Sizes k of the supports.
    """
    first = _first_meetings(history)
    bounds = np.flatnonzero(np.r_[True, np.diff(history.user[first]) != 0, True]) if len(first) else np.zeros(1, np.intp)
    late = cutoff + np.timedelta64(round(window_days * 86_400), "s")
    users = [first[a:b] for a, b in pairwise(bounds) if cutoff <= history.ts[first[a]] < late]
    horizon = np.timedelta64(round(horizon_days * 86_400), "s")
    found = [one for rows in users for k in sizes if (one := _first_items(history, rows, k, horizon)) is not None]
    return _stack_new(history, found, cutoff, half_life_days)


def cut_at_order(
    history: History, cutoff: np.datetime64, *, window_days: float, horizon_days: float, half_life_days: float
) -> Episodes:
    """Cut every user who comes in the days after an instant at the order they come with, while the evidence stays that of the instant.

    The order's time is t0, the first event of the user in [cutoff, cutoff + window). The support is all that was met up to t0,
    that order included, the query what is met first in (t0, t0 + horizon]; users without a query are left out.

    Parameters
    ----------
    history
        As far back as supports may reach; what reaches beyond ``cutoff`` is behaviour.
    """
    first, horizon = _first_meetings(history), np.timedelta64(round(horizon_days * 86_400), "s")
    late = cutoff + np.timedelta64(round(window_days * 86_400), "s")
    come = np.flatnonzero((history.ts >= cutoff) & (history.ts < late))
    t0 = np.full(len(history.user_ids), np.datetime64("9999-01-01", "us"))
    np.minimum.at(t0, history.user[come], history.ts[come])
    found = []
    for user in np.unique(history.user[come]):
        rows = first[slice(*np.searchsorted(history.user[first], [user, user + 1]))]
        ts = history.ts[rows]
        known, query = rows[ts <= t0[user]], rows[(ts > t0[user]) & (ts <= t0[user] + horizon)]
        if len(query):
            found.append(_NewUser(known, known, query, t0[user]))
    return _stack_new(history, found, cutoff, half_life_days)


@dataclass(frozen=True)
class _NewUser:
    """Rows of a history, first meetings all: support, all that counts as seen, query; and the instant of the list."""

    support: NDArray[np.intp]
    seen: NDArray[np.intp]
    query: NDArray[np.intp]
    t0: np.datetime64


def _first_meetings(history: History) -> NDArray[np.intp]:
    """Return the row of the first time that each user met each item, by user and then time."""
    order = np.lexsort((np.arange(len(history.ts)), history.ts, history.item, history.user))
    user, item = history.user[order], history.item[order]
    new = np.r_[True, (user[1:] != user[:-1]) | (item[1:] != item[:-1])][: len(order)]
    return np.sort(order[new])


def _first_items(history: History, rows: NDArray[np.intp], k: int, horizon: np.timedelta64) -> _NewUser | None:
    """Return one user's episode, or None where nothing follows."""
    if len(rows) <= k:
        return None
    ts = history.ts[rows]
    t0 = ts[k - 1] if k else ts[0]
    later = (ts[k:] > t0) if k else (ts >= t0)
    query = rows[k:][later & (ts[k:] <= t0 + horizon)]
    return _NewUser(rows[:k], np.r_[rows[:k], rows[k:][~later]], query, t0) if len(query) else None


def _one_after_the_other(rows: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the bounds of some rows in one array, and that array."""
    flat = np.concatenate(rows) if rows else np.zeros(0, np.intp)
    return np.r_[0, np.cumsum([len(some) for some in rows])].astype(np.int64), flat


def _stack_new(
    history: History,
    found: Sequence[_NewUser],
    cutoff: np.datetime64,
    half_life_days: float,
) -> Episodes:
    """Lay episodes one after the other."""
    (indptr, support), (seen_indptr, seen), (query_indptr, query) = (
        _one_after_the_other([one.support for one in found]),
        _one_after_the_other([one.seen for one in found]),
        _one_after_the_other([one.query for one in found]),
    )
    t0 = np.array([one.t0 for one in found], "datetime64[us]")
    age = (np.repeat(t0, np.diff(indptr)) - history.ts[support]) / np.timedelta64(1, "D")
    user = np.array([history.user[one.query[0]] for one in found], np.int32)
    return Episodes(
        support=Support(
            indptr=indptr,
            item=history.item[support],
            label=np.ones(len(support), np.float32),
            weight=event_strength(history.weight[support], age, half_life_days).astype(np.float32),
            age_days=age.astype(np.float32),
            ahead_days=((t0 - cutoff) / np.timedelta64(1, "D")).astype(np.float32),
            country=None if history.country is None else history.country[user],
        ),
        seen_indptr=seen_indptr,
        seen_item=history.item[seen],
        query_indptr=query_indptr,
        query_item=history.item[query],
        user=user,
    )


def without_users(history: History, user: NDArray[np.integer], until: np.datetime64) -> History:
    """Return a history that has forgotten what some users did before an instant."""
    return events_of(history, np.flatnonzero((history.ts >= until) | ~np.isin(history.user, user)))


def shorten(episodes: Episodes, most: NDArray[np.int64]) -> Episodes:
    """Cut known users as if they were new: of each support only the newest ``most`` (episodes,) entries stay."""
    return replace(episodes, support=newest(episodes.support, most))


def choose(episodes: Episodes, rows: NDArray[np.integer]) -> Episodes:
    """Return some episodes, in the order of the rows."""
    seen, seen_out = ranges(episodes.seen_indptr, rows)
    query, query_out = ranges(episodes.query_indptr, rows)
    return Episodes(
        take(episodes.support, rows),
        seen_out,
        episodes.seen_item[seen],
        query_out,
        episodes.query_item[query],
        episodes.user[rows],
    )


def _newest(history: History, most: int) -> History:
    """Keep the newest events of each user; the history is by user and then time."""
    ends = np.searchsorted(history.user, history.user, side="right")
    return events_of(history, np.flatnonzero(ends - np.arange(len(ends)) <= most))
