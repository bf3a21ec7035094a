"""The words of the page."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

from recpipe.contract import DAYS, FEW, TABLES, WARM, ZERO

COHORTS: Final = {
    ZERO: "new: nothing met yet",
    FEW: "new: few items met",
    WARM: "long known",
    "all": "all users",
}
DONE: Final = {
    "view": "viewed",
    "cart": "put into the cart",
    "favourite": "marked",
    "purchase": "bought",
    "return": "sent back",
    "search": "searched",
    "review": "reviewed",
}


def done(event_types: Collection[str]) -> str:
    """Say what a user did with an item.

    >>> done(("view", "purchase"))
    'viewed, bought'
    """
    return ", ".join(DONE.get(kind, kind) for kind in event_types) or "met"


def long_day(day: date) -> str:
    """Write a day for a person.

    >>> long_day(date(2011, 9, 3))
    'Saturday, 3 September 2011'
    """
    return f"{day:%A}, {day.day} {day:%B %Y}"


def short_day(day: date) -> str:
    """Write a day in a table.

    >>> short_day(date(2011, 9, 3))
    '3 Sep 2011'
    """
    return f"{day.day} {day:%b %Y}"


def ago(age: timedelta) -> str:
    """Say how long ago something was.

    >>> ago(timedelta(minutes=5)), ago(timedelta(hours=30)), ago(timedelta(days=9))
    ('5 minutes ago', '30 hours ago', '9 days ago')
    """
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} {'minute' if minutes == 1 else 'minutes'} ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} hours ago"
    return f"{minutes // (24 * 60)} days ago"


def unknown_user(typed: str, keyed: bool) -> str:
    """Say that a user has no list, and what to do."""
    said = (
        f"User {typed} has no list. Either the id is not the one that the shop delivers, or the account was not delivered by the "
        f"end of that day: a user who registers today has a list tomorrow."
    )
    return said + (
        " Ids are kept under a key here: type the shop's own id, or the 64 digits that stand in the tables." if keyed else ""
    )


def absent_tables(there: Collection[str]) -> str:
    """Name the tables of which no day was ever published; empty if there is none."""
    return ", ".join(name for name in TABLES if name not in there and name != DAYS.name)
