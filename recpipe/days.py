"""The definition of a day: the one place that turns times into days and runs into days.

A day begins at midnight of the shop's zone. Nothing here, and no step anywhere, asks the clock what day it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recpipe.errors import BadSetting

ONE_DAY = timedelta(days=1)


def parse_day(text: str) -> date:
    """Read a day written as 2011-09-01.

    Raises
    ------
    BadSetting
        If the text is no day.

    Examples
    --------
    >>> parse_day("2011-09-01")
    datetime.date(2011, 9, 1)
    """
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadSetting(f"'{text}' is no day; write it as 2011-09-01.") from None


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which a day of the shop begins; it ends where the next one begins."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the shop's day that an aware instant falls into."""
    return moment.astimezone(zone).date()


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield the days from first to last, both included."""
    for offset in range((last - first).days + 1):
        yield first + offset * ONE_DAY


def day_of_run(params: Mapping[str, object], run_type: str, interval_end: datetime | None, zone: ZoneInfo) -> date:
    """Turn an Airflow run into the day it is for.

    The parameter ``day`` wins; a scheduled or backfill run is for the last day of its data interval; other runs
    (triggered by hand) have no interval that means a day and must name one.

    Parameters
    ----------
    params
        The run's parameters.
    run_type
        ``scheduled``, ``backfill``, ``manual``, …
    interval_end
        End of the data interval, aware.

    Raises
    ------
    BadSetting
        If the run neither names a day nor has an interval that does.
    """
    if day := params.get("day"):
        return parse_day(str(day))
    if run_type in ("scheduled", "backfill") and interval_end is not None:
        return day_of(interval_end, zone) - ONE_DAY
    raise BadSetting(f"A {run_type} run has to name its day: trigger it with the parameter day, such as 2011-09-01.")
