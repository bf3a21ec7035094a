"""The evidence at the end of a day: the catalogue, the history, and the traces of users that make no history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import EVENT_TYPES, POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.catalogue_reader import read_catalogue
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.persons import Links, as_persons, link_accounts, merge_accounts
from recpipe.days import ONE_DAY, day_start
from recpipe.lake.reader import Reader, window

USER_COLUMNS = ["day", "user_id", "registered_at", "country", "person_id"]
EVENT_COLUMNS = ["user_id", "item_id", "event_type", "ts", "query"]
POSITIVE = np.array([name in POSITIVE_EVENT_TYPES for name in EVENT_TYPES])
RETURN = EVENT_TYPES.index("return")
SEARCH = EVENT_TYPES.index("search")


@dataclass(frozen=True)
class Traces:
    """What named users did in the days that were read, beside the positive events of the history.

    Attributes
    ----------
    user_ids
        (users,) text, sorted: every user whom an event names.
    first_ts
        (users,) datetime64[us]: the user's first event in the days that were read.
    search_user, search_text
        (searches,) row in ``user_ids``, and what was typed; oldest first within a user.
    return_user, return_item
        (returns,) row in ``user_ids``, row in the catalogue.
    met_user, met_item
        (pairs,) row in ``user_ids``, row in the catalogue: all that a user met or sent back in the days that were read,
        whatever it weighs and however much came after it; each pair once.
    earlier_user_ids
        Text, sorted: users with a positive event in the days before those that were read.
    """

    user_ids: NDArray[np.object_]
    first_ts: NDArray[np.datetime64]
    search_user: NDArray[np.int32]
    search_text: NDArray[np.object_]
    return_user: NDArray[np.int32]
    return_item: NDArray[np.int32]
    met_user: NDArray[np.int32]
    met_item: NDArray[np.int32]
    earlier_user_ids: NDArray[np.object_]


@dataclass(frozen=True)
class Known:
    """All that a night works on.

    Attributes
    ----------
    evidence
        What learners see.
    users
        Table of user_id, registered_at, country and person_id as of the day, by user_id.
    traces
        Searches, returns, and users whom only events name.
    """

    evidence: Evidence
    users: pa.Table
    traces: Traces


@dataclass(frozen=True)
class _Events:
    """Events of the days that are read, as arrays in the order of time."""

    user: NDArray[np.int32]  # row in user_ids, -1 for anonymous traffic
    item: NDArray[np.int32]  # row in the catalogue, -1 for none
    kind: NDArray[np.int32]  # index in EVENT_TYPES
    ts: NDArray[np.datetime64]
    query: pa.ChunkedArray
    user_ids: NDArray[np.object_]

    @property
    def about_items(self) -> NDArray[np.bool_]:
        return POSITIVE[self.kind] & (self.item >= 0)


def build_evidence(reader: Reader, settings: Settings, day: date) -> Evidence:
    """Return the catalogue and the history as of the end of a day.

    Parameters
    ----------
    reader
        Sees the lake at fixed versions.
    settings
        Say how much history is read, what an event type weighs, and which encoder reads the texts.
    day
        The last day that is looked at, by delivery and by time of event.
    """
    return read_known(reader, settings, day).evidence


def read_known(reader: Reader, settings: Settings, day: date) -> Known:
    """Return the evidence of a day together with its users and their traces (parameters as in `build_evidence`)."""
    until = np.datetime64(day_start(day + ONE_DAY, settings.shop.zone).replace(tzinfo=None), "us")
    catalogue, users = read_catalogue(reader, settings, day), read_users(reader, day)
    if not settings.fairness.use_country:
        nowhere = pa.nulls(users.num_rows, pa.string())
        users = users.set_column(users.schema.get_field_index("country"), "country", nowhere)
    links = link_accounts(users)
    events = _read_events(reader, settings, day, catalogue, until, links)
    popular = events.about_items
    evidence = Evidence(
        catalogue=catalogue,
        history=_with_countries(_history(events, settings), merge_accounts(users, links)),
        popularity_item=events.item[popular],
        popularity_ts=events.ts[popular],
        until=until,
    )
    return Known(evidence, users, _traces(events, _earlier_users(reader, settings, day, links)))


def read_users(reader: Reader, day: date) -> pa.Table:
    """Return user_id, registered_at, country and person_id of the users delivered by a day, by user_id.

    Country and person are as last delivered. The earliest registration that was delivered counts: a user whom the shop delivers
    again is not new again.
    """
    rows = reader.read("users", last=day, columns=USER_COLUMNS).sort_by([("user_id", "ascending"), ("day", "ascending")])
    last = [(name, "last", pc.ScalarAggregateOptions(skip_nulls=False)) for name in ("country", "person_id")]
    found = pa.TableGroupBy(rows, "user_id", use_threads=False).aggregate([("registered_at", "min"), *last])
    return found.rename_columns(["user_id", "registered_at", "country", "person_id"]).sort_by("user_id")


def _earlier_users(reader: Reader, settings: Settings, day: date, links: Links | None) -> NDArray[np.object_]:
    """Return the users with a positive event, of a type that counts, before the days that a night reads; sorted."""
    first, _ = window(day, settings.history.lookback_days)
    kinds = [name for name in POSITIVE_EVENT_TYPES if settings.history.event_weights.get(name, 0.0) > 0]
    positive = ds.field("event_type").isin(kinds) & ds.field("user_id").is_valid()
    rows = reader.read("events", last=first - ONE_DAY, columns=["user_id", "event_type"], only=positive)
    return _coded(as_persons(rows["user_id"], links))[1]


def _read_events(
    reader: Reader, settings: Settings, day: date, catalogue: Catalogue, until: np.datetime64, links: Links | None
) -> _Events:
    rows = reader.events(*window(day, settings.history.lookback_days), EVENT_COLUMNS)
    user, user_ids = _coded(as_persons(rows["user_id"], links))
    item = _rows_in(rows["item_id"], catalogue.item_ids)
    kind = _rows_in(rows["event_type"], EVENT_TYPES)
    ts = rows["ts"].cast(pa.timestamp("us")).to_numpy()
    # the order of files in a table is no property of the day: the arrays get a total order
    order = np.lexsort((kind, item, user, ts))
    order = order[ts[order] < until]
    return _Events(user[order], item[order], kind[order], ts[order], rows["query"].take(pa.array(order)), user_ids)


def _history(events: _Events, settings: Settings) -> History:
    """Return the newest positive events of each named user, by user and then time; types of weight 0 make no history."""
    weights = np.array([settings.history.event_weights.get(name, 0.0) for name in EVENT_TYPES], np.float32)
    rows = np.flatnonzero(events.about_items & (events.user >= 0) & (weights[events.kind] > 0))
    rows = rows[np.argsort(events.user[rows], kind="stable")]
    rows = _newest_of_each(rows, events.user[rows], settings.history.last_events)
    known, user = np.unique(events.user[rows], return_inverse=True)
    return History(
        user_ids=events.user_ids[known],
        user=user.astype(np.int32),
        item=events.item[rows],
        ts=events.ts[rows],
        weight=weights[events.kind[rows]],
        returned_at=_returned_at(events, rows),
    )


def _with_countries(history: History, users: pa.Table) -> History:
    """Return a history that says where its users live: empty and unknown countries are none."""
    place = pc.index_in(pa.array(history.user_ids, pa.string()), value_set=users["user_id"].combine_chunks())
    given = users["country"].take(place).to_numpy(zero_copy_only=False).astype(object)
    names = tuple(sorted({name for name in given if name}))
    return replace(history, country=country_codes(given, names), country_names=names)


def country_codes(given: NDArray[np.object_], names: tuple[str, ...]) -> NDArray[np.int32]:
    """Return (users,) int32: the row of each country in ``names``, −1 where it is unknown there."""
    code = {name: row for row, name in enumerate(names)}
    return np.array([code.get(name, -1) for name in given], np.int32)


def _newest_of_each(rows: NDArray[np.intp], user: NDArray[np.int32], most: int) -> NDArray[np.intp]:
    """Keep the last rows of each run of equal users."""
    ends = np.searchsorted(user, user, side="right")
    return rows[ends - np.arange(len(rows)) <= most]


def _returned_at(events: _Events, rows: NDArray[np.intp]) -> NDArray[np.datetime64]:
    """Return, for each row, when the same user next sent the same item back; NaT if never."""
    returns = np.flatnonzero(_returns(events))
    both = np.concatenate([rows, returns])
    is_return = np.arange(len(both)) >= len(rows)
    # by user, item and time; of the same moment the return comes last: it speaks of what was just bought
    order = np.lexsort((is_return, events.ts[both], events.item[both], events.user[both]))
    place = np.where(is_return[order], np.arange(len(both)), len(both))
    following = np.minimum.accumulate(place[::-1])[::-1]
    found = np.full(len(both), -1)
    has = following < len(both)
    found[order[has]] = both[order[following[has]]]
    found = found[: len(rows)]
    same = (found >= 0) & (events.user[found] == events.user[rows]) & (events.item[found] == events.item[rows])
    return np.where(same, events.ts[found], np.datetime64("NaT", "us"))


def _returns(events: _Events) -> NDArray[np.bool_]:
    return np.asarray((events.kind == RETURN) & (events.user >= 0) & (events.item >= 0), np.bool_)


def _traces(events: _Events, earlier: NDArray[np.object_]) -> Traces:
    named = events.user >= 0
    users, first = np.unique(events.user[named], return_index=True)  # events are in the order of time
    returns = _returns(events)
    typed = np.asarray(pc.is_valid(events.query).to_numpy(), dtype=np.bool_)
    searches = np.flatnonzero((events.kind == SEARCH) & named & typed)
    text = events.query.take(pa.array(searches)).to_numpy().astype(object)
    met = np.flatnonzero(returns | (named & events.about_items))
    met_user, met_item = distinct_pairs(np.searchsorted(users, events.user[met]), events.item[met])
    order = np.array(sorted(range(len(searches)), key=lambda i: (events.user[searches[i]], events.ts[searches[i]], text[i])), int)
    return Traces(
        user_ids=events.user_ids[users],
        first_ts=events.ts[named][first],
        search_user=np.searchsorted(users, events.user[searches[order]]).astype(np.int32),
        search_text=text[order],
        return_user=np.searchsorted(users, events.user[returns]).astype(np.int32),
        return_item=events.item[returns],
        met_user=met_user,
        met_item=met_item,
        earlier_user_ids=earlier,
    )


def distinct_pairs(user: NDArray[np.integer], item: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return each pair of (user, item) once, by user and then item."""
    items = int(item.max(initial=0)) + 1
    code = np.unique(user.astype(np.int64) * items + item)
    return (code // items).astype(np.int32), (code % items).astype(np.int32)


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    """Return (rows,) places in the sorted distinct values, -1 for null, and those values."""
    values = pc.unique(column).drop_null()
    values = values.take(pc.sort_indices(values))
    return _rows_in(column, values), values.to_numpy(zero_copy_only=False).astype(object)


def _rows_in(column: pa.ChunkedArray, values: pa.Array | NDArray[np.object_] | tuple[str, ...]) -> NDArray[np.int32]:
    """Return (rows,) places of a column's values among others, -1 where they are not."""
    found = pc.index_in(column, value_set=pa.array(values, pa.string()), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int32)
