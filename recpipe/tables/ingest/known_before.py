"""The items that exist: events are held against them where a shop asks for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config.settings import Settings
from recpipe.contract import ITEMS
from recpipe.days import ONE_DAY, days_between
from recpipe.errors import MissingDay
from recpipe.lake.lake import Lake


@dataclass
class Known:
    """The ids of all items up to a day, and what was read to know them.

    Attributes
    ----------
    ids
        Item ids, in any order.
    first, last
        Days that were read from the lake; none if last is before first.
    version
        Delta version of the items that were read; -1 if none were.
    """

    ids: pa.Array
    first: date
    last: date
    version: int

    def add(self, files: Sequence[Path]) -> None:
        """Add the items of staged files."""
        new = [pq.read_table(file, columns=["item_id"])["item_id"].combine_chunks() for file in files]
        self.ids = pa.concat_arrays([self.ids, *new])


def known_before(settings: Settings, day: date) -> Known:
    """Return the items of all days before the given one.

    Every day from the shop's first has to be registered: otherwise it would depend on the order in which days are
    taken in which events are refused.

    Raises
    ------
    MissingDay
        If a day's items are missing; the text names the first.
    """
    last = day - ONE_DAY
    require_days_before(
        settings,
        ITEMS.name,
        day,
        f"Events of {day} are held against the catalogue",
        "or set RECPIPE_ITEMS_MUST_BE_KNOWN to false",
    )
    reader = Lake.from_settings(settings).reader()
    ids = reader.read(ITEMS.name, settings.shop.first_day, last, ["item_id"])["item_id"].unique()
    version = reader.inputs[0].version if reader.inputs else -1
    return Known(ids, settings.shop.first_day, last, version)


def require_days_before(settings: Settings, table: str, day: date, why: str, remedy: str, staged: Sequence[date] = ()) -> None:
    """Refuse to go on unless every day of a table from the shop's first to the one before is registered, or staged beside it.

    Raises
    ------
    MissingDay
        If a day is missing; the text names the first.
    """
    there = {record.day for record in Lake.from_settings(settings).days(table) if record.complete} | set(staged)
    missing = [past for past in days_between(settings.shop.first_day, day - ONE_DAY) if past not in there]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise MissingDay(
            f"{why}, and the {table} of {missing[0]}{others} are not there yet: take in every day from {settings.shop.first_day} first, "
            f"move RECPIPE_FIRST_DAY, {remedy}."
        )
