"""The account behind a list: its events, support and persons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recpipe.config.shop_settings import HistorySettings
from recpipe.contract import POSITIVE_EVENT_TYPES
from recpipe.lake.reader import Reader, window

NEWEST_SHOWN = 10
"""Items of a long-known user's history that are shown."""


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


def events_with_items(reader: Reader, history: HistorySettings, account: Account, day: date, columns: list[str]) -> pa.Table:
    """Return the events of a person's accounts that have an item, as far back as a night looks."""
    first, last = window(day, history.lookback_days)
    mine = ds.field("user_id").isin(account.of_person)
    days = pc.unique(
        reader.read("events", first, last, ["day"], only=mine)["day"]
    )  # few days hold any: the others are not read whole
    return reader.events(first, last, columns, only=mine & ds.field("day").isin(days) & ds.field("item_id").is_valid())


def newest_items(reader: Reader, history: HistorySettings, account: Account, day: date) -> tuple[str, ...]:
    events = events_with_items(reader, history, account, day, ["item_id", "event_type", "ts"])
    met = events.filter(pc.is_in(events["event_type"], pa.array(POSITIVE_EVENT_TYPES)))
    newest = met.group_by("item_id").aggregate([("ts", "max")]).sort_by([("ts_max", "descending"), ("item_id", "ascending")])
    return tuple(islice(newest["item_id"].to_pylist(), NEWEST_SHOWN))
