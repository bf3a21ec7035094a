"""Take days in: one, or a long history in one process with several days a commit."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date

from recpipe.config import Settings
from recpipe.contract import EVENTS
from recpipe.days import days_between
from recpipe.errors import AuditFailed, BadDelivery
from recpipe.ingest.delivery import find_delivery
from recpipe.ingest.publish import publish_day, publish_days
from recpipe.ingest.stage import stage_day, stage_days
from recpipe.lake import Lake

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
        If a day's delivery is not complete (before anything is done), or is refused: the days before it are published.
    AuditFailed
        If an expectation does not hold; the days before it are published.
    """
    days = _complete_days(settings, first, last, skip_incomplete)
    if missing_only:
        published = {record.day for record in Lake.from_settings(settings).days(EVENTS.name) if record.complete}
        days = [day for day in days if day not in published]
    rows: Counter[str] = Counter()
    for start in range(0, len(days), settings.history_days):
        chunk = days[start : start + settings.history_days]
        rows.update(_ingest_chunk(settings, chunk))
        log.info(
            "%s to %s taken in: %s events, %d of %d days",
            chunk[0],
            chunk[-1],
            f"{rows['events']:,}",
            start + len(chunk),
            len(days),
        )
    return dict(rows)


def _complete_days(settings: Settings, first: date, last: date, skip: bool) -> list[date]:
    deliveries = [find_delivery(settings, day) for day in days_between(first, last)]
    missing = [delivery for delivery in deliveries if not delivery.complete]
    if missing and not skip:
        others = f" The same holds for {len(missing) - 1} other days up to {last}." if len(missing) > 1 else ""
        raise BadDelivery(missing[0].message + others)
    for delivery in missing:
        log.warning("Left out: %s", delivery.message)
    return [delivery.day for delivery in deliveries if delivery.complete]


def _ingest_chunk(settings: Settings, days: Sequence[date]) -> Counter[str]:
    try:
        return Counter(publish_days(settings, days, stage_days(settings, days)))
    except (BadDelivery, AuditFailed):
        if len(days) == 1:
            raise
        # one by one, so that the days before the refused one are published and the error is that of its own day
        rows: Counter[str] = Counter()
        for day in days:
            rows.update(ingest_day(settings, day))
        return rows
