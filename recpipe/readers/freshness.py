"""The freshness of each table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.days import ONE_DAY, day_of, days_between
from recpipe.errors import MissingDay
from recpipe.lake.day_record import DayRecord
from recpipe.lake.lake import Lake

SUNDAY = 6
WEEKLY = ("replays",)
"""Tables of which each Sunday has a day."""
NIGHT_HOURS = 12.0
"""Hours after midnight in which a night is expected to be over."""


def published_day(lake: Lake, table: str, day: date | None = None) -> date:
    """Return a day of a table that is complete: the newest one, if none is named.

    Raises
    ------
    MissingDay
        If the day is not, or no day is.
    """
    if day:
        return lake.require(table, day).day
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

    @property
    def weekly(self) -> bool:
        """Whether Sundays alone have a day."""
        return self.table in WEEKLY

    def days_behind(self, due: date) -> int:
        """Return the days between the newest complete day and the one that should be there; 0 where it is there."""
        return max(0, (_newest_due(self.table, due) - self.newest.day).days)


def due_day(settings: Settings, now: datetime) -> date:
    """Return the day of which every table should be complete: the last one that ended so long ago that its night is over.

    The night has the hours of ``RECPIPE_DEADLINE_HOURS``, or `NIGHT_HOURS` where none are set. After the last day that the
    DAGs run for, nothing more is due; nor after the day at which the clock of a shop stands still whose data has ended
    (``RECPIPE_CLOCK_DAY``).

    Examples
    --------
    >>> from datetime import UTC
    >>> due_day(Settings(), datetime(2026, 3, 5, 13, tzinfo=UTC))
    datetime.date(2026, 3, 4)
    >>> due_day(Settings(), datetime(2026, 3, 5, 11, tzinfo=UTC))
    datetime.date(2026, 3, 3)
    """
    patience = timedelta(hours=settings.notices.deadline_hours or NIGHT_HOURS)
    due = day_of(now - patience, settings.shop.zone) - ONE_DAY
    return min(day for day in (due, settings.shop.last_day, settings.shop.clock_day) if day)


def freshness(settings: Settings) -> list[Freshness]:
    """Return how far every table has come; tables of which no day is complete are left out."""
    records = Lake.from_settings(settings).days()
    found = []
    for table in TABLES:
        complete = [record for record in records if record.table == table and record.complete]
        if complete:
            days = {record.day for record in complete}
            missing = tuple(day for day in days_between(min(days), max(days)) if day not in days and _is_due(table, day))
            found.append(Freshness(table, complete[-1], min(days), len(days), missing))
    return found


def _is_due(table: str, day: date) -> bool:
    """Whether a table has a row of days for this day, where nothing is missing."""
    return table not in WEEKLY or day.weekday() == SUNDAY


def _newest_due(table: str, due: date) -> date:
    """Return the last day up to one of which a table should be complete."""
    return next(day for offset in range(7) if _is_due(table, day := due - timedelta(days=offset)))
