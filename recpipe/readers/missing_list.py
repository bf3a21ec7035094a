"""The reason for a missing list."""

from __future__ import annotations

from datetime import date

import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.lake.reader import Reader
from recpipe.readers.accounts import events_with_items, read_account


def why_no_list(reader: Reader, settings: Settings, user_id: str, day: date) -> str:
    """Say why a user has no list of a day, in sentences; empty where the tables did not know such a user by then.

    A list holds what is available and was not met, so whoever met everything that could be shown has none.
    """
    if not _was_known(reader, user_id, day):
        return ""
    items = reader.as_of("items", day, ["day", "item_id", "available"], only=ds.field("item_id").is_valid())
    could = set(items.filter(items["available"])["item_id"].to_pylist())
    met = set[str]()
    if settings.lists.seen_items == "exclude":
        account = read_account(reader, user_id, day)
        met = set(events_with_items(reader, settings.history, account, day, ["item_id"])["item_id"].to_pylist())
    return f"User {user_id} is known, and has no list on {day}: {_cause(len(could), len(could & met))}"


def _cause(could: int, met: int) -> str:
    if not could:
        return "no item was available at the end of that day."
    if met == could:
        every = "the one item" if could == 1 else f"all {could:,} items"
        return (
            f"such a user had met {every} that could be shown, and a list holds nothing that was met (RECPIPE_SEEN_ITEMS is "
            f"'exclude'; with 'allow' there is a list)."
        )
    return (
        f"of {could:,} items that were available, {met:,} had been met, and the others are barred by the shop's own rules "
        f"(docs/knowledge.md), or were delivered, as the user may have been, after the lists were made (`recpipe stale`)."
    )


def _was_known(reader: Reader, user_id: str, day: date) -> bool:
    mine = ds.field("user_id") == user_id
    if reader.as_of("users", day, ["day", "user_id"], only=mine).num_rows:
        return True
    return bool(reader.read("events", last=day, columns=["day"], only=mine).num_rows)
