"""The report on one user's list: its items, its inputs, and its difference from the day before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from recpipe.config.settings import Settings
from recpipe.contract import EVENT_TYPES, POSITIVE_EVENT_TYPES, WARM
from recpipe.days import ONE_DAY, day_of
from recpipe.errors import MissingDay, RecpipeError
from recpipe.lake.reader import Reader
from recpipe.readers.accounts import NEWEST_SHOWN, Account, events_with_items, read_account, stored_support
from recpipe.readers.lists import Entry, entries_of, list_rows, named_items, read_titles
from recpipe.readers.missing_list import why_no_list
from recpipe.readers.session import open_reader


@dataclass(frozen=True)
class Met:
    """One item that a list was made from.

    Attributes
    ----------
    item_id, title
        The item; the title is empty where none is known.
    event_types
        What the user did with it, in the contract's order.
    last_day
        The shop's day of the last of these events.
    """

    item_id: str
    title: str
    event_types: tuple[str, ...]
    last_day: date


@dataclass(frozen=True)
class Story:
    """A user's list of a day, what it was made from, and the list of the day before.

    Attributes
    ----------
    user_id, day, cohort, model_version, country
        As in ``recommendations`` and ``users``.
    entries
        By rank.
    met
        Newest first: the stored support of a new user, the newest items of a long-known one.
    query_texts
        Search texts, newest first.
    before
        The list of the day before; None where the user has none, or that day is not published.
    lookback_days
        Days that a long-known user's list is made from.
    """

    user_id: str
    day: date
    cohort: str
    model_version: str
    country: str | None
    entries: tuple[Entry, ...]
    met: tuple[Met, ...]
    query_texts: tuple[str, ...]
    before: tuple[Entry, ...] | None
    lookback_days: int

    @property
    def new_items(self) -> frozenset[str]:
        """Items that the list of the day before did not hold; none where there was no such list."""
        return frozenset() if self.before is None else _items(self.entries) - _items(self.before)

    @property
    def gone_items(self) -> frozenset[str]:
        """Items of the list of the day before that this one does not hold."""
        return frozenset() if self.before is None else _items(self.before) - _items(self.entries)


def read_story(settings: Settings, user_id: str) -> Story | None:
    """Read the newest list of a user with all that belongs to it; None where no such user was known by then.

    Raises
    ------
    MissingDay
        If no lists were published.
    RecpipeError
        If the user is known and has no list all the same; the text says why.
    """
    reader = open_reader(settings)
    days = reader.days("recommendations")
    if not days:
        raise MissingDay(f"No lists are published in {settings.places.lake_root} yet: run the DAG recommend_nightly first.")
    rows = list_rows(reader, user_id, days[-1])
    if not rows:
        if why := why_no_list(reader, settings, user_id, days[-1]):
            raise RecpipeError(why)
        return None
    earlier = list_rows(reader, user_id, days[-1] - ONE_DAY)
    account = read_account(reader, user_id, days[-1])
    met, query_texts = _made_from(reader, settings, user_id, account, days[-1], rows[0]["cohort"])
    titles = read_titles(reader, days[-1], {*named_items(rows), *named_items(earlier), *met})
    return Story(
        user_id=user_id,
        day=days[-1],
        cohort=rows[0]["cohort"],
        model_version=rows[0]["model_version"],
        country=account.country,
        entries=entries_of(rows, titles, account.country),
        met=tuple(Met(item, titles.get(item, ""), *what) for item, what in met.items()),
        query_texts=query_texts,
        before=entries_of(earlier, titles, account.country) if earlier else None,
        lookback_days=settings.history.lookback_days,
    )


def _items(entries: Iterable[Entry]) -> frozenset[str]:
    return frozenset(entry.item_id for entry in entries)


def _made_from(
    reader: Reader, settings: Settings, user_id: str, account: Account, day: date, cohort: str
) -> tuple[dict[str, tuple[tuple[str, ...], date]], tuple[str, ...]]:
    """Return what was done with each item behind a list and when last, newest first, and the search texts."""
    done = _done_with(reader, settings, account, day)
    if cohort == WARM:
        liked = [item for item, (types, _) in done.items() if not {*POSITIVE_EVENT_TYPES}.isdisjoint(types)]
        return {item: done[item] for item in liked[:NEWEST_SHOWN]}, ()
    support, query_texts = stored_support(reader, user_id, day)
    alone = {
        entry["item_id"]: ((), day_of(entry["ts"], settings.shop.zone)) for entry in support
    }  # events may be corrected since
    return {item: done.get(item, known) for item, known in alone.items()}, query_texts


def _done_with(reader: Reader, settings: Settings, account: Account, day: date) -> dict[str, tuple[tuple[str, ...], date]]:
    """Return for each item that the person's accounts had to do with: types of events, and the last day; newest first."""
    events = events_with_items(reader, settings.history, account, day, ["item_id", "event_type", "ts"])
    grouped = events.group_by("item_id").aggregate([("ts", "max"), ("event_type", "distinct")])
    found: list[dict[str, Any]] = grouped.sort_by([("ts_max", "descending"), ("item_id", "ascending")]).to_pylist()
    return {
        row["item_id"]: (
            tuple(kind for kind in EVENT_TYPES if kind in row["event_type_distinct"]),
            day_of(row["ts_max"], settings.shop.zone),
        )
        for row in found
    }
