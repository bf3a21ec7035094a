"""How fresh each table is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from recpipe.config import Settings
from recpipe.contract import TABLES
from recpipe.days import days_between
from recpipe.errors import MissingDay
from recpipe.lake import DayRecord, Lake


def newest_published(lake: Lake, table: str) -> date:
    """Return the newest complete day of a table.

    Raises
    ------
    MissingDay
        If no day of it is.
    """
    newest = lake.newest_day(table)
    if newest is None:
        raise MissingDay(f"No day of table {table} is published in {lake.root} yet: run the DAG that writes it first.")
    return newest


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
