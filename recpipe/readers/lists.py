"""One user's list of a day, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import WARM
from recpipe.errors import RecpipeError
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.readers.accounts import newest_items, read_account, stored_support
from recpipe.readers.freshness import published_day
from recpipe.readers.session import open_reader


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
    day = published_day(lake, "recommendations", day)
    reader = open_reader(settings)
    rows = list_rows(reader, user_id, day)
    if not rows:
        from recpipe.readers.missing_list import why_no_list

        raise RecpipeError(
            why_no_list(reader, settings, user_id, day)
            or f"User {user_id} has no list on {day}: such a user was not known by then. See `recpipe days --table users` for what was delivered."
        )
    account = read_account(reader, user_id, day)
    kept, query_texts = stored_support(reader, user_id, day)  # nothing is stored of a long-known user
    support = tuple(entry["item_id"] for entry in kept if entry["label"] > 0)
    if rows[0]["cohort"] == WARM:
        support = newest_items(reader, settings.history, account, day)
    titles = read_titles(reader, day, {*named_items(rows), *support})
    named = tuple(titles.get(item) or item for item in support)
    about = (user_id, day, rows[0]["cohort"], rows[0]["model_version"])
    return UserList(*about, entries_of(rows, titles, account.country), named, query_texts, settings.history.lookback_days)


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


def read_titles(reader: Reader, day: date, items: set[str]) -> dict[str, str]:
    """Return the titles of items as of a day, of those that have one."""
    found = reader.as_of("items", day, ["day", "item_id", "title"], only=ds.field("item_id").isin(sorted(items)))
    return {item: title for item, title in zip(found["item_id"].to_pylist(), found["title"].to_pylist(), strict=True) if title}
