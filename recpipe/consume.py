"""What the readers of the tables ask for: one user's list in words, one day as a file, and how fresh each table is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recpipe.config import Settings
from recpipe.contract import POSITIVE_EVENT_TYPES, TABLES, USER_PROFILES, WARM
from recpipe.days import days_between
from recpipe.errors import BadSetting, MissingDay, RecpipeError
from recpipe.lake import DayRecord, Lake, Reader
from recpipe.lake.lake import window

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[str, ...] = get_args(Format)

NEWEST_SHOWN = 10
"""Items of a long-known user's history that are shown."""
LINES_AT_A_TIME = 50_000


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


# --- one user's list ----------------------------------------------------------------------------------------------


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
    day = lake.require("recommendations", day).day if day else _newest(lake, "recommendations")
    reader = lake.reader()
    mine = ds.field("user_id") == user_id
    rows = reader.read("recommendations", day, day, only=mine).sort_by("rank").to_pylist()
    if not rows:
        raise RecpipeError(
            f"User {user_id} has no list on {day}: such a user was not known by then. See `recpipe days --table users` for what was delivered."
        )
    support, query_texts = _support(reader, settings, user_id, day, rows[0]["cohort"])
    because = [item for row in rows for item in row["reason"]["because_item_ids"]]
    titles = _titles(reader, day, {row["item_id"] for row in rows} | {*support, *because})
    country = _country(reader, day, user_id)
    entries = tuple(
        Entry(
            row["rank"], row["item_id"], titles.get(row["item_id"], ""), row["score"], reason_text(row["reason"], titles, country)
        )
        for row in rows
    )
    named = tuple(titles.get(item) or item for item in support)
    about = (user_id, day, rows[0]["cohort"], rows[0]["model_version"])
    return UserList(*about, entries, named, query_texts, settings.lookback_days)


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


def _newest(lake: Lake, table: str) -> date:
    newest = lake.newest_day(table)
    if newest is None:
        raise MissingDay(f"No day of table {table} is published in {lake.root} yet: run the DAG that writes it first.")
    return newest


def _support(reader: Reader, settings: Settings, user_id: str, day: date, cohort: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the item ids and search texts behind a list, newest first."""
    if cohort == WARM:
        return _newest_items(reader, settings, user_id, day), ()
    rows = reader.read("episodes", day, day, only=ds.field("user_id") == user_id).to_pylist()
    if not rows:
        return (), ()
    liked = [entry["item_id"] for entry in rows[0]["support"] if entry["label"] > 0]
    return tuple(reversed(liked)), tuple(rows[0]["query_texts"])


def _newest_items(reader: Reader, settings: Settings, user_id: str, day: date) -> tuple[str, ...]:
    first, last = window(day, settings.lookback_days)
    mine = ds.field("user_id").isin(_accounts(reader, user_id, day))
    met = mine & ds.field("event_type").isin(POSITIVE_EVENT_TYPES) & ds.field("item_id").is_valid()
    events = reader.events(first, last, ["item_id", "ts"], only=met)
    newest = events.group_by("item_id").aggregate([("ts", "max")]).sort_by([("ts_max", "descending"), ("item_id", "ascending")])
    return tuple(islice(newest["item_id"].to_pylist(), NEWEST_SHOWN))


def _accounts(reader: Reader, user_id: str, day: date) -> list[str]:
    """Return the accounts of the user's person as of a day: the list is made from what all of them met."""
    columns = ["day", "user_id", "person_id"]
    person = reader.as_of("users", day, columns, only=ds.field("user_id") == user_id)["person_id"].to_pylist()
    if person in ([], [None]):
        return [user_id]
    everybody = reader.as_of("users", day, columns)
    return list(everybody.filter(pc.equal(everybody["person_id"], person[0]))["user_id"].to_pylist())


def _titles(reader: Reader, day: date, items: set[str]) -> dict[str, str]:
    found = reader.as_of("items", day, ["day", "item_id", "title"], only=ds.field("item_id").isin(sorted(items)))
    return {item: title for item, title in zip(found["item_id"].to_pylist(), found["title"].to_pylist(), strict=True) if title}


def _country(reader: Reader, day: date, user_id: str) -> str | None:
    found = reader.as_of("users", day, ["day", "user_id", "country"], only=ds.field("user_id") == user_id)
    return found["country"][0].as_py() if len(found) else None


# --- one user's profile -------------------------------------------------------------------------------------------


def read_profile(settings: Settings, user_id: str, day: date | None = None) -> tuple[date, list[dict[str, Any]]]:
    """Read the tags of a user, heaviest first within each kind, as rows of ``user_profiles``.

    Parameters
    ----------
    settings
        Where the lake is.
    user_id
        The user.
    day
        The day; the newest complete one if None.

    Returns
    -------
    tuple
        The day, and its rows.

    Raises
    ------
    MissingDay
        If no profiles were published, or not those of the day.
    RecpipeError
        If the user has no tags on the day.
    """
    lake = Lake.from_settings(settings)
    day = lake.require(USER_PROFILES.name, day).day if day else _newest(lake, USER_PROFILES.name)
    rows = lake.reader().read(USER_PROFILES.name, day, day, only=ds.field("user_id") == user_id)
    if not rows.num_rows:
        raise RecpipeError(f"User {user_id} has no tags on {day}: nothing was seen of such a user in the days before.")
    return day, rows.sort_by([("kind", "ascending"), ("weight", "descending"), ("tag", "ascending")]).to_pylist()


# --- a day as a file ----------------------------------------------------------------------------------------------


def export_day(settings: Settings, day: date, file_format: str, out: Path) -> int:
    """Write the recommendations of a complete day into one file, by user and rank; return the number of rows.

    The file appears whole or not at all, and replaces one that stands there. Parquet has the table's schema; csv has
    one column a value (``reason_kind``, ``because_item_ids`` with ids separated by |); jsonl has one object a row.

    Raises
    ------
    MissingDay
        If the day was not published.
    BadSetting
        If the format is unknown, or the file's folder does not exist.
    """
    if file_format not in FORMATS:
        raise BadSetting(f"There is no format '{file_format}'; choose one of: {', '.join(FORMATS)}.")
    if not out.parent.is_dir() or out.is_dir():
        raise BadSetting(f"{out} cannot be written: its folder has to exist, and the name must not be that of a folder.")
    lake = Lake.from_settings(settings)
    lake.require("recommendations", day)
    rows = lake.reader().read("recommendations", day, day).sort_by([("user_id", "ascending"), ("rank", "ascending")])
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
    try:
        _write(rows, file_format, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return int(rows.num_rows)


def _write(rows: pa.Table, file_format: str, file: Path) -> None:
    if file_format == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(rows, file)
    elif file_format == "csv":
        from pyarrow import csv

        csv.write_csv(_flat(rows), file)
    else:
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(_json_lines(rows))


def _flat(rows: pa.Table) -> pa.Table:
    """Return a table without nested values."""
    kind, because = (pc.struct_field(rows["reason"], name) for name in ("kind", "because_item_ids"))
    place = rows.schema.get_field_index("reason")
    flat = rows.remove_column(place).add_column(place, "reason_kind", kind)
    return flat.add_column(place + 1, "because_item_ids", pc.binary_join(because, "|"))


def _json_lines(rows: pa.Table) -> Iterator[str]:
    for batch in rows.to_batches(max_chunksize=LINES_AT_A_TIME):
        for row in batch.to_pylist():
            yield json.dumps(row | {"day": row["day"].isoformat()}, ensure_ascii=False) + "\n"


# --- how fresh each table is --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Freshness:
    """How far a table has come: its newest complete day, and the days up to there that are missing."""

    table: str
    newest: DayRecord
    first_day: date
    days: int
    missing: tuple[date, ...]


def freshness(settings: Settings) -> list[Freshness]:
    """Return how far every table has come; tables of which no day is complete are left out."""
    records = Lake.from_settings(settings).days()
    found = []
    for table in TABLES:
        complete = [record for record in records if record.table == table and record.complete]
        if complete:
            days = {record.day for record in complete}
            missing = tuple(day for day in days_between(min(days), max(days)) if day not in days)
            found.append(Freshness(table, complete[-1], min(days), len(days), missing))
    return found
