"""The cohorts of a day: its new users, and the support of every user."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import FEW, WARM, ZERO
from recpipe.dataset.as_of import Known, Traces, country_codes, distinct_pairs
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.persons import Links, link_accounts, merge_accounts
from recpipe.dataset.support import Support, build_support
from recpipe.days import day_start

_NONE: NDArray[np.int32] = np.array([], np.int32)
_NO_TEXT: NDArray[np.object_] = np.array([], object)
NOBODY = Traces(
    _NO_TEXT, np.array([], "datetime64[us]"), _NONE, _NO_TEXT, _NONE, _NONE, met_user=_NONE, met_item=_NONE,
    earlier_user_ids=_NO_TEXT,
)  # fmt: skip


@dataclass(frozen=True)
class UserDay:
    """Every user as of the end of a day; entry u of everything is the same user. Sorted by user id.

    Attributes
    ----------
    user_ids
        (users,) text, sorted: those of the table ``users``, and those whom only events name.
    person_ids
        (users,) text: the first, by id, of the accounts of the same person; a user without another account is the person.
        Accounts of one person have everything below in common.
    cohort
        (users,) text: zero, few or warm.
    country
        (users,) text, empty if unknown.
    registered_at
        (users,) datetime64[us], UTC. The first event stands for it where the shop never delivered the user; NaT where
        that is older than what the night reads.
    support
        Supports of the users, for the end of the day.
    support_ts
        (entries of the supports,) datetime64[us], UTC.
    query_texts
        (users,) newest distinct search texts, newest first.
    returns
        (returns, 2) int32: user and item of everything sent back, also where the history no longer holds the purchase.
    met
        (pairs, 2) int32, sorted: user and item of everything met or sent back in the days that the night reads, also
        where it weighs nothing or the support holds only newer events.
    """

    user_ids: NDArray[np.object_]
    person_ids: NDArray[np.object_]
    cohort: NDArray[np.object_]
    country: NDArray[np.object_]
    registered_at: NDArray[np.datetime64]
    support: Support
    support_ts: NDArray[np.datetime64]
    query_texts: list[tuple[str, ...]]
    returns: NDArray[np.int32]
    met: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.user_ids)


def users_of(known: Known, settings: Settings, day: date) -> UserDay:
    """Return every user of a day, from all that was known at its end."""
    return assign_cohorts(known.evidence, known.users, settings, day, known.traces)


def assign_cohorts(evidence: Evidence, users: pa.Table, settings: Settings, day: date, traces: Traces = NOBODY) -> UserDay:
    """Say of every user what the cohort is and what the support holds.

    Zero: no positive event yet. Few: registered within the last
    ``settings.history.new_user_days`` days, the day itself included, and at most ``settings.history.few_items`` distinct items.
    Warm: the rest; among them the lapsed, whose positive events are all older than what the night reads: their support
    is empty.

    Parameters
    ----------
    evidence
        As of the end of the day.
    users
        user_id, registered_at, country and person_id as of the day, one row a user (`read_users`).
    settings
        Bounds of the cohorts, half-life of the weights, number of search texts.
    day
        The day.
    traces
        Searches, returns, what was met, users whom only events name, and those of before the days that were read.
    """
    links = link_accounts(users)
    found = _persons(evidence, merge_accounts(users, links), settings, day, traces)
    return found if links is None else _every_account(found, links)


def _persons(evidence: Evidence, users: pa.Table, settings: Settings, day: date, traces: Traces) -> UserDay:
    ids = _all_ids(users, evidence, traces)
    earlier = np.zeros(len(ids), np.bool_)
    earlier[np.searchsorted(ids, traces.earlier_user_ids)] = True
    support, support_ts = build_support(evidence.history, evidence.until, settings.history.half_life_days)
    support = _spread(support, np.searchsorted(ids, evidence.history.user_ids), len(ids))
    place = np.searchsorted(ids, users["user_id"].to_numpy().astype(object))
    country = np.full(len(ids), "", object)
    country[place] = [name or "" for name in users["country"].to_pylist()]
    if evidence.history.country is not None:
        support = replace(support, country=country_codes(country, evidence.history.country_names))
    registered = _first_seen(ids, evidence.history, traces)
    registered[place] = users["registered_at"].cast(pa.timestamp("us")).to_numpy()
    return UserDay(
        user_ids=ids,
        person_ids=ids,
        cohort=_cohorts(support.k, registered, earlier, settings, day),
        country=country,
        registered_at=registered,
        support=support,
        support_ts=support_ts,
        query_texts=_query_texts(ids, traces, settings.history.last_queries),
        returns=_returns(ids, traces),
        met=_met(ids, support, traces),
    )


def _every_account(persons: UserDay, links: Links) -> UserDay:
    """Return a day of persons as one of accounts: each has what its person has."""
    ids = np.unique(np.concatenate([persons.user_ids, links.accounts]))
    who = links.persons_of(ids)
    row = np.searchsorted(persons.user_ids, who)
    entry, indptr = _runs(persons.support.indptr, row)
    own, country = persons.support, persons.support.country
    return UserDay(
        user_ids=ids,
        person_ids=who,
        cohort=persons.cohort[row],
        country=persons.country[row],
        registered_at=persons.registered_at[row],
        support=Support(
            indptr, own.item[entry], own.label[entry], own.weight[entry], own.age_days[entry],
            country=None if country is None else country[row],
        ),
        support_ts=persons.support_ts[entry],
        query_texts=[persons.query_texts[at] for at in row],
        returns=_pairs(persons.returns[np.argsort(persons.returns[:, 0], kind="stable")], row, len(persons)),
        met=_pairs(persons.met, row, len(persons)),
    )  # fmt: skip


def _runs(indptr: NDArray[np.int64], row: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the entries of some rows, one row after the other, and where each row then begins."""
    size = np.diff(indptr)[row]
    starts = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return np.arange(starts[-1]) + np.repeat(indptr[row] - starts[:-1], size), starts


def _pairs(pairs: NDArray[np.int32], row: NDArray[np.intp], persons: int) -> NDArray[np.int32]:
    """Return pairs, by person, as those of accounts, given the person of each."""
    entry, starts = _runs(np.searchsorted(pairs[:, 0], np.arange(persons + 1)).astype(np.int64), row)
    account = np.repeat(np.arange(len(row)), np.diff(starts))
    return np.stack([account, pairs[entry, 1]], axis=1).astype(np.int32)


def _all_ids(users: pa.Table, evidence: Evidence, traces: Traces) -> NDArray[np.object_]:
    delivered = users["user_id"].to_numpy().astype(object)
    return np.unique(np.concatenate([delivered, evidence.history.user_ids, traces.user_ids, traces.earlier_user_ids]))


def _spread(support: Support, place: NDArray[np.intp], users: int) -> Support:
    """Give every user a support: those who have none get an empty one."""
    counts = np.zeros(users, np.int64)
    counts[place] = support.k
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Support(indptr, support.item, support.label, support.weight, support.age_days)


def _first_seen(ids: NDArray[np.object_], history: History, traces: Traces) -> NDArray[np.datetime64]:
    first = np.full(len(ids), np.datetime64("NaT", "us"))
    users, row = np.unique(history.user, return_index=True)
    first[np.searchsorted(ids, history.user_ids[users])] = history.ts[row]
    first[np.searchsorted(ids, traces.user_ids)] = traces.first_ts
    return first


def _cohorts(
    k: NDArray[np.int64], registered: NDArray[np.datetime64], earlier: NDArray[np.bool_], settings: Settings, day: date
) -> NDArray[np.object_]:
    begin = day_start(day - timedelta(days=settings.history.new_user_days - 1), settings.shop.zone)
    new = registered >= np.datetime64(begin.replace(tzinfo=None), "us")
    few = new & (k <= settings.history.few_items)
    return np.where(k == 0, np.where(earlier, WARM, ZERO), np.where(few, FEW, WARM)).astype(object)


def _query_texts(ids: NDArray[np.object_], traces: Traces, most: int) -> list[tuple[str, ...]]:
    texts: list[tuple[str, ...]] = [()] * len(ids)
    place = np.searchsorted(ids, traces.user_ids)
    bounds = np.searchsorted(traces.search_user, np.arange(len(traces.user_ids) + 1))
    for user in np.flatnonzero(np.diff(bounds)):
        newest_first = traces.search_text[bounds[user] : bounds[user + 1]][::-1]
        texts[place[user]] = tuple(dict.fromkeys(newest_first))[:most]
    return texts


def _returns(ids: NDArray[np.object_], traces: Traces) -> NDArray[np.int32]:
    user = np.searchsorted(ids, traces.user_ids)[traces.return_user]
    return np.stack([user, traces.return_item], axis=1).astype(np.int32)


def _met(ids: NDArray[np.object_], support: Support, traces: Traces) -> NDArray[np.int32]:
    place = np.searchsorted(ids, traces.user_ids)
    user = np.concatenate([place[traces.met_user], np.repeat(np.arange(len(ids)), support.k)])
    return np.stack(distinct_pairs(user, np.concatenate([traces.met_item, support.item])), axis=1)


def met_pairs(users: UserDay, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return what some users have already met or sent back, for the lists and for what is counted as new.

    Parameters
    ----------
    users
        Of the day.
    rows
        Places of the wanted users among ``users``.

    Returns
    -------
    tuple
        (pairs,) place in ``rows``, and (pairs,) row in the catalogue; each pair once, by place and then item.
    """
    first = np.searchsorted(users.met[:, 0], rows)
    size = np.searchsorted(users.met[:, 0], rows, side="right") - first
    pair = np.arange(size.sum()) + np.repeat(first - (np.cumsum(size) - size), size)
    return np.repeat(np.arange(len(rows)), size), users.met[pair, 1]
