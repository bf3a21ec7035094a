"""The intake of days: one, or a long history in one process with several days a commit."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from recpipe.config.settings import Settings
from recpipe.contract import EVENTS
from recpipe.days import days_between
from recpipe.errors import AuditFailed, BadDelivery, RecpipeError, Trouble
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.day_commit import publish_day, publish_days
from recpipe.tables.ingest.landed.delivery import find_delivery
from recpipe.tables.ingest.stage import stage_day, stage_days

log = logging.getLogger(__name__)


def ingest_day(settings: Settings, day: date) -> dict[str, int]:
    """Stage one day and publish it.

    Returns
    -------
    dict
        Rows by table.

    Raises
    ------
    BadDelivery, AuditFailed, MissingDay
        As `stage_day` and `publish_day` do.
    """
    return publish_day(settings, day, stage_day(settings, day))


def ingest_history(
    settings: Settings, first: date, last: date, *, skip_incomplete: bool = False, missing_only: bool = False
) -> dict[str, int]:
    """Take in many days with the checks of a nightly run, in one process, several days a commit.

    Parameters
    ----------
    settings
        ``history_days`` says how many days a commit holds.
    first, last
        The first and last day, both included.
    skip_incomplete
        Leave out days whose delivery is not complete, instead of refusing to begin.
    missing_only
        Leave out days that are published, instead of replacing them.

    Returns
    -------
    dict
        Rows by table.

    Raises
    ------
    BadDelivery
        If a day's delivery is not complete (before anything is done), or days are refused: all others are published.
    AuditFailed
        If the only refused day is one of which an expectation does not hold; all others are published.
    Trouble
        If the disk is full, or the like: the days before are published, and no further one is begun.
    """
    days = _complete_days(settings, first, last, skip_incomplete)
    if missing_only:
        published = {record.day for record in Lake.from_settings(settings).days(EVENTS.name) if record.complete}
        days = [day for day in days if day not in published]
    rows: Counter[str] = Counter()
    refused: dict[date, RecpipeError] = {}
    for start in range(0, len(days), settings.intake.history_days):
        chunk = days[start : start + settings.intake.history_days]
        rows.update(_ingest_chunk(settings, chunk, refused))
        log.info(
            "%s to %s taken in: %s events, %d of %d days",
            chunk[0],
            chunk[-1],
            f"{rows['events']:,}",
            start + len(chunk),
            len(days),
        )
    _refuse(refused, len(days))
    return dict(rows)


def _refuse(refused: Mapping[date, RecpipeError], days: int) -> None:
    if not refused:
        return
    first, error = next(iter(refused.items()))
    if days == 1:
        raise error
    others = (
        f" The same run refused {', '.join(map(str, list(refused)[1:]))}: run each by hand to read why."
        if refused.keys() - {first}
        else ""
    )
    kind = type(error) if len(refused) == 1 else BadDelivery
    raise kind(f"{len(refused)} of {days} days were refused, and the others are published. {first}: {error}{others}") from error


def _complete_days(settings: Settings, first: date, last: date, skip: bool) -> list[date]:
    deliveries = [find_delivery(settings, day) for day in days_between(first, last)]
    missing = [delivery for delivery in deliveries if not delivery.complete]
    if missing and not skip:
        others = f" The same holds for {len(missing) - 1} other days up to {last}." if len(missing) > 1 else ""
        raise BadDelivery(missing[0].message + others)
    for delivery in missing:
        log.warning("Left out: %s", delivery.message)
    return [delivery.day for delivery in deliveries if delivery.complete]


def _ingest_chunk(settings: Settings, days: Sequence[date], refused: dict[date, RecpipeError]) -> Counter[str]:
    """Take in some days in one commit a table, or one by one where a day is refused, which is noted."""
    try:
        return Counter(publish_days(settings, days, stage_days(settings, days)))
    except (BadDelivery, AuditFailed, Trouble) as error:
        if len(days) == 1:
            _note(refused, days[0], error)
            return Counter()
    rows: Counter[str] = Counter()
    for day in days:
        try:
            rows.update(ingest_day(settings, day))
        except (BadDelivery, AuditFailed, Trouble) as error:
            _note(refused, day, error)
    return rows


def _note(refused: dict[date, RecpipeError], day: date, error: RecpipeError) -> None:
    """Remember a refused day; what is no fault of the day ends the history."""
    if isinstance(error, Trouble):
        raise error
    log.warning("%s is refused: %s", day, error)
    refused[day] = error
