"""One user's list of a day, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recpipe.config import Settings
from recpipe.consume.fresh import newest_published
from recpipe.consume.opened import open_reader
from recpipe.contract import POSITIVE_EVENT_TYPES, WARM
from recpipe.errors import RecpipeError
from recpipe.lake import Lake, Reader
from recpipe.lake.lake import window

NEWEST_SHOWN = 10
"""Items of a long-known user's history that are shown."""


@dataclass(frozen=True)
class Entry:
    """One place in a list, with names in place of ids where they are known."""

    rank: int
    item_id: str
    title: str
    score: float
    reason: str


@dataclass(frozen=True)
class UserList:
    """A user's list of a day.

    Attributes
    ----------
    user_id, day, cohort, model_version
        As in ``recommendations``.
    entries
        By rank.
    support
        Titles of what the list was made from, newest first: the stored support of a new user, the newest items of a
        long-known one.
    query_texts
        Search texts, newest first.
    lookback_days
        Days that a long-known user's list is made from.
    """

    user_id: str
    day: date
    cohort: str
    model_version: str
    entries: tuple[Entry, ...]
    support: tuple[str, ...]
    query_texts: tuple[str, ...]
    lookback_days: int


def read_list(settings: Settings, user_id: str, day: date | None = None) -> UserList:
    """Read the list of a user.

    Parameters
    ----------
    settings
        Where the lake is.
    user_id
        The user.
    day
        The day; the newest complete one if None.

    Raises
    ------
    MissingDay
        If no lists were published, or not those of the day.
    RecpipeError
        If the user has no list on the day.
    """
    lake = Lake.from_settings(settings)
    day = lake.require("recommendations", day).day if day else newest_published(lake, "recommendations")
    reader = open_reader(settings)
    rows = list_rows(reader, user_id, day)
    if not rows:
        from recpipe.consume.absent import why_no_list

        raise RecpipeError(
            why_no_list(reader, settings, user_id, day)
            or f"User {user_id} has no list on {day}: such a user was not known by then. See `recpipe days --table users` for what was delivered."
        )
    account = read_account(reader, user_id, day)
    kept, query_texts = stored_support(reader, user_id, day)  # nothing is stored of a long-known user
    support = tuple(entry["item_id"] for entry in kept if entry["label"] > 0)
    if rows[0]["cohort"] == WARM:
        support = _newest_items(reader, settings, account, day)
    titles = read_titles(reader, day, {*named_items(rows), *support})
    named = tuple(titles.get(item) or item for item in support)
    about = (user_id, day, rows[0]["cohort"], rows[0]["model_version"])
    return UserList(*about, entries_of(rows, titles, account.country), named, query_texts, settings.lookback_days)


def list_rows(reader: Reader, user_id: str, day: date) -> list[dict[str, Any]]:
    """Return the rows of ``recommendations`` of a user and day, by rank; none where the user has no list."""
    rows: list[dict[str, Any]] = (
        reader.read("recommendations", day, day, only=ds.field("user_id") == user_id).sort_by("rank").to_pylist()
    )
    return rows


def named_items(rows: Iterable[dict[str, Any]]) -> set[str]:
    """Return the items that stand in the rows of a list, or in their reasons."""
    return {item for row in rows for item in (row["item_id"], *row["reason"]["because_item_ids"])}


def entries_of(rows: Iterable[dict[str, Any]], titles: dict[str, str], country: str | None) -> tuple[Entry, ...]:
    """Return the places of a list with titles, and reasons in words."""
    return tuple(
        Entry(
            row["rank"], row["item_id"], titles.get(row["item_id"], ""), row["score"], reason_text(row["reason"], titles, country)
        )
        for row in rows
    )


def reason_text(reason: dict[str, Any], titles: dict[str, str], country: str | None) -> str:
    """Say a reason in words.

    Examples
    --------
    >>> reason_text({"kind": "support", "because_item_ids": ["85123A"]}, {"85123A": "WHITE HANGING HEART"}, None)
    'because of WHITE HANGING HEART'
    >>> reason_text({"kind": "new_item", "because_item_ids": ["85123A"]}, {"85123A": "WHITE HANGING HEART"}, None)
    'new in the shop, and close to WHITE HANGING HEART'
    """
    if reason["kind"] == "support":
        return "because of " + " and ".join(titles.get(item) or item for item in reason["because_item_ids"])
    if reason["kind"] == "new_item":
        near = " and ".join(titles.get(item) or item for item in reason["because_item_ids"])
        return "new in the shop" + (f", and close to {near}" if near else "")
    return {
        "search": "close to what was searched for",
        "popular_in_country": f"popular in {country or 'the same country'}",
        "popular_in_season": "popular at this time of the year",
        "popular": "popular these days",
        "least_exposure": "of a kind of product that the shop has a place in each list for",
    }[reason["kind"]]


@dataclass(frozen=True)
class Account:
    """What is known of an account as of a day: its country, and all accounts of its person, itself among them."""

    country: str | None
    of_person: tuple[str, ...]


def read_account(reader: Reader, user_id: str, day: date) -> Account:
    """Read what is known of an account as of a day; the list is made from what all accounts of its person met."""
    columns = ["day", "user_id", "country", "person_id"]
    found = reader.as_of("users", day, columns, only=ds.field("user_id") == user_id).to_pylist()
    if not found:
        return Account(None, (user_id,))
    country, person = found[0]["country"], found[0]["person_id"]
    if person is None:
        return Account(country, (user_id,))
    everybody = reader.as_of("users", day, columns)
    return Account(country, tuple(everybody.filter(pc.equal(everybody["person_id"], person))["user_id"].to_pylist()))


def stored_support(reader: Reader, user_id: str, day: date) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the support of a new user (entries of ``episodes.support``) and the search texts, both newest first."""
    rows = reader.read("episodes", day, day, only=ds.field("user_id") == user_id).to_pylist()
    return (rows[0]["support"][::-1], tuple(rows[0]["query_texts"])) if rows else ([], ())


def events_with_items(reader: Reader, settings: Settings, account: Account, day: date, columns: list[str]) -> pa.Table:
    """Return the events of a person's accounts that have an item, as far back as a night looks."""
    first, last = window(day, settings.lookback_days)
    mine = ds.field("user_id").isin(account.of_person)
    days = pc.unique(
        reader.read("events", first, last, ["day"], only=mine)["day"]
    )  # few days hold any: the others are not read whole
    return reader.events(first, last, columns, only=mine & ds.field("day").isin(days) & ds.field("item_id").is_valid())


def _newest_items(reader: Reader, settings: Settings, account: Account, day: date) -> tuple[str, ...]:
    events = events_with_items(reader, settings, account, day, ["item_id", "event_type", "ts"])
    met = events.filter(pc.is_in(events["event_type"], pa.array(POSITIVE_EVENT_TYPES)))
    newest = met.group_by("item_id").aggregate([("ts", "max")]).sort_by([("ts_max", "descending"), ("item_id", "ascending")])
    return tuple(islice(newest["item_id"].to_pylist(), NEWEST_SHOWN))


def read_titles(reader: Reader, day: date, items: set[str]) -> dict[str, str]:
    """Return the titles of items as of a day, of those that have one."""
    found = reader.as_of("items", day, ["day", "item_id", "title"], only=ds.field("item_id").isin(sorted(items)))
    return {item: title for item, title in zip(found["item_id"].to_pylist(), found["title"].to_pylist(), strict=True) if title}
