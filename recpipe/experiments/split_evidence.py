"""A split as learners see it: the evidence at the cutoff, and the support of every row that is to be served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.contract import EVENT_TYPES, POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.catalogue_reader import item_texts
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.support import Support
from recpipe.experiments.split import Split, item_rows, moments, rows_of

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
SEPARATOR = ">"
ONE_DAY = np.timedelta64(1, "D")
NOT_POSITIVE = tuple(name for name in EVENT_TYPES if name not in POSITIVE_EVENT_TYPES)


def split_evidence(split: Split, encode: Encode, weights: Mapping[str, float], tuned: Encode | None = None) -> Evidence:
    """Return what was known at the cutoff, in the form that the nights give it.

    Parameters
    ----------
    split
        As `recpipe.experiments.split.read_split` gives it.
    encode
        Texts to unit vectors, (texts, dimensions) float32.
    weights
        What an event type weighs; a type that is not named weighs what a purchase weighs.
    tuned
        As ``encode``, by the encoder that was fine-tuned on the log; None where there is none.
    """
    events = _distinct(split.events)
    item, ts = item_rows(events["item_id"], split.items), moments(events["ts"])
    weight = type_weights(events["event_type"], weights)
    about = (item >= 0) & _positive(events["event_type"])
    return Evidence(
        catalogue=split_catalogue(split, encode, tuned),
        history=_history(events["user_id"], item, ts, weight, about & (weight > 0)),
        popularity_item=item[about].astype(np.int32),
        popularity_ts=ts[about],
        until=split.cutoff,
    )


def split_catalogue(split: Split, encode: Encode, tuned: Encode | None = None) -> Catalogue:
    """Return the items of a split; what the file does not say is unknown.

    A split does not say since when an item could be had, so all count as delivered before the first event: an item that
    nobody has bought yet can be recommended, at the cutoff as at every earlier instant that training cuts at.
    """
    items = split.items
    categories = [category_path(value) for value in _column(items, "category_path", "category", "categories")]
    titles = [None if value is None else str(value) for value in _column(items, "title", "title_keywords")]
    brands = [None if value is None else str(value) for value in _column(items, "brand")]
    texts = item_texts(titles, categories, brands)
    first = moments(split.events["ts"]).min().astype("datetime64[D]") - ONE_DAY
    return Catalogue(
        item_ids=np.array(items["item_id"].to_pylist(), dtype=object),
        texts=texts,
        vectors=encode(texts),
        first_day=np.full(len(items), first),
        available=np.ones(len(items), np.bool_),
        price=np.array([_number(value) for value in _column(items, "price")], np.float32),
        categories=categories,
        brands=[name or "" for name in brands],
        tuned=None if tuned is None else tuned(texts),
    )


def split_support(split: Split, half_life_days: float, weights: Mapping[str, float]) -> Support:
    """Return the support of every row of ``users``, each from its own rows of ``support`` alone.

    Parameters
    ----------
    split
        As `recpipe.experiments.split.read_split` gives it.
    half_life_days
        Age at which an event counts half.
    weights
        What an event type weighs. A split may not name the type of a support's events: then they weigh what the first
        event of most pairs of user and item in the training log weighs.
    """
    user, t0 = rows_of(split), moments(split.users["t0"])
    age = days_between(moments(split.support["ts"]), t0[user])
    counts = np.bincount(user, minlength=len(t0))
    if "event_type" in split.support.column_names:
        weight = type_weights(split.support["event_type"], weights)
    else:
        weight = np.full(len(user), first_meeting_weight(split, weights), np.float32)
    return Support(
        indptr=np.r_[0, np.cumsum(counts)].astype(np.int64),
        item=item_rows(split.support["item_id"], split.items).astype(np.int32),
        label=np.ones(len(user), np.float32),
        weight=(weight * np.exp2(-age / half_life_days)).astype(np.float32),
        age_days=age.astype(np.float32),
        ahead_days=days_between(split.cutoff, t0).astype(np.float32),
    )


def days_between(start: NDArray[np.datetime64] | np.datetime64, end: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return the days from each moment to another one."""
    return np.asarray((end - start) / ONE_DAY, dtype=np.float64)


def type_weights(kinds: pa.ChunkedArray, weights: Mapping[str, float]) -> NDArray[np.float32]:
    """Return (events,) what each event's type weighs; unknown types weigh what a purchase weighs."""
    codes = pc.dictionary_encode(pc.cast(kinds, pa.string())).combine_chunks()
    default = weights.get("purchase", 1.0)
    table = [weights.get(name, 0.0 if name in EVENT_TYPES else default) for name in codes.dictionary.to_pylist()]
    return np.asarray(np.array(table, np.float32)[codes.indices.to_numpy()], np.float32)


def first_meeting_weight(split: Split, weights: Mapping[str, float]) -> float:
    """Return what the first event of most (user, item) pairs weighs; of equally frequent weights the greatest."""
    known = pc.and_(
        pc.is_valid(split.events["user_id"]), pc.is_in(split.events["item_id"], value_set=split.items["item_id"].combine_chunks())
    )
    pairs = split.events.filter(known).group_by(["user_id", "item_id"], use_threads=False).aggregate([("event_type", "first")])
    weight = type_weights(pairs["event_type_first"], weights)
    values, counts = np.unique(weight[weight > 0], return_counts=True)
    return float(values[counts == counts.max()].max()) if len(values) else weights.get("purchase", 1.0)


def category_path(value: object) -> tuple[str, ...]:
    """Return a path in the category tree, root first, from 'A > B > C' or a list of levels; empty if unknown."""
    if value is None:
        return ()
    levels = value.split(SEPARATOR) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    return tuple(text for level in levels if level is not None and (text := str(level).strip()))


def _positive(kinds: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.invert(pc.is_in(kinds, value_set=pa.array(NOT_POSITIVE))).to_numpy(), np.bool_)


def _distinct(events: pa.Table) -> pa.Table:
    """Keep one of each event: the intake knows an event without an id by user, item, type and time."""
    columns = ["ts", "user_id", "item_id", "event_type"]
    rows = events.select(columns).group_by(columns, use_threads=False).aggregate([])
    return rows.sort_by([(column, "ascending") for column in columns])


def _history(
    users: pa.ChunkedArray,
    item: NDArray[np.int64],
    ts: NDArray[np.datetime64],
    weight: NDArray[np.float32],
    counts: NDArray[np.bool_],
) -> History:
    """Return the events that count of named users, by user and then time; events come in the order of time."""
    codes = pc.dictionary_encode(users.combine_chunks())
    named = np.asarray(pc.is_valid(users).to_numpy(), np.bool_)
    rows = np.flatnonzero(counts & named)
    code = pc.fill_null(codes.indices, -1).to_numpy()[rows]
    known, user = np.unique(np.array(codes.dictionary.to_pylist(), dtype=object)[code], return_inverse=True)
    order = np.argsort(user, kind="stable")
    rows = rows[order]
    return History(known, user[order].astype(np.int32), item[rows].astype(np.int32), ts[rows], weight[rows])


def _column(table: pa.Table, *names: str) -> list[object]:
    """Return the first of some columns that is there and not empty, as objects; Nones where there is none."""
    for name in names:
        if name in table.column_names and table[name].null_count < len(table):
            return list(table[name].to_pylist())
    return [None] * len(table)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
