"""Stale days: those that were made from something that has been replaced since."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from recpipe.lake.day_record import DayRecord
from recpipe.lake.lake import Lake


@dataclass(frozen=True)
class Stale:
    """A published day, and a day that it was made from and that is another one by now.

    Attributes
    ----------
    table, day
        What was made.
    source, source_day
        What it was made from: the first such day.
    read_version, version
        Delta version that was read, and that holds the source day now.
    days
        How many days of the source have changed.
    """

    table: str
    day: date
    source: str
    source_day: date
    read_version: int
    version: int
    days: int


def stale_days(lake: Lake) -> list[Stale]:
    """List the published days whose inputs were replaced, or asked for and came in, after they were read; by table and day.

    One entry a (table, day, source). A day that was itself made from a stale day is not listed for that: run the first
    one again, and it is.
    """
    register = [record for record in lake.days() if record.complete]
    by_table: dict[str, list[DayRecord]] = defaultdict(list)
    for record in register:
        by_table[record.table].append(record)
    found = []
    for record in register:
        for entry in record.inputs:
            changed = [
                source
                for source in by_table[entry.table]
                if entry.first_day <= source.day <= entry.last_day and source.table_version > entry.version
            ]
            if changed:
                first = changed[0]
                found.append(
                    Stale(
                        record.table, record.day, entry.table, first.day, entry.version, first.table_version, len(changed)
                    )
                )  # fmt: skip
    return found
