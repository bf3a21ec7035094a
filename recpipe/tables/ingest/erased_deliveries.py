"""Quarantined rows of erased users: the quarantine holds no user id, so their delivered files are asked whose they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import QUARANTINE
from recpipe.errors import BadDelivery
from recpipe.lake.erased_rows import Removed, drop_history, remove_rows
from recpipe.lake.lake import Lake
from recpipe.lake.tombstones import ID_COLUMNS, Erased, erased_users

if TYPE_CHECKING:
    from recpipe.tables.ingest.landed.landing import LandedFile

Place = tuple[date, str, str]
"""Day, table and file of a quarantined row."""


def remove_quarantined(settings: Settings, lake: Lake, erased: Erased) -> tuple[Removed, int]:
    """Delete the quarantined rows of erased users.

    Returns
    -------
    Removed, int
        What went, and how many rows of other files nobody can say whose they are: the shop has removed those.
    """
    removed, unknown = Removed(), 0
    for place, numbers in sorted(_quarantined(lake).items()):
        mine = _rows_of(settings, place, erased)
        if mine is None:
            unknown += len(numbers)
            continue
        if at := sorted(numbers & mine):
            remove_rows(lake, QUARANTINE.name, _where(place) & ds.field("row_number").isin(at), removed)
    return removed, unknown


def remove_quarantined_of(settings: Settings, lake: Lake) -> None:
    """Delete the quarantined rows of all who were ever erased, and what the table keeps of them."""
    remove_quarantined(settings, lake, erased_users(settings))
    drop_history(lake, QUARANTINE.name)


def _where(place: Place) -> ds.Expression:
    day, table, name = place
    return (ds.field("day") == day) & (ds.field("source_table") == table) & (ds.field("source_file") == name)


def _quarantined(lake: Lake) -> dict[Place, set[int]]:
    """Return the numbers of the quarantined rows by place; items are nobody's."""
    delta, found = lake.delta(QUARANTINE.name), defaultdict[Place, set[int]](set)
    if delta is None:
        return found
    columns = ["day", "source_table", "source_file", "row_number"]
    for row in lake.dataset(delta, QUARANTINE.name).to_table(columns=columns).to_pylist():
        if row["source_table"] != "items":
            found[row["day"], row["source_table"], row["source_file"]].add(row["row_number"])
    return found


def _rows_of(settings: Settings, place: Place, erased: Erased) -> set[int] | None:
    """Return the numbers of the rows of a delivered file that belong to erased users; None if the file is not there."""
    from recpipe.tables.ingest.landed.delivery import find_delivery, shown_name, source_name

    day, table, name = place
    delivery = find_delivery(settings, day)
    try:
        for file in delivery.files[table]:
            if source_name(settings.privacy, delivery, file) == name:
                return set(_numbers(settings, file, shown_name(settings.privacy, delivery, file), table, erased))
    except BadDelivery:  # delivered anew, and broken
        return None
    return None


def _numbers(settings: Settings, file: LandedFile, name: str, table: str, erased: Erased) -> Iterator[int]:
    from recpipe.tables.ingest.delivered_ids import delivered_ids

    first = 0
    for rows, ids in delivered_ids(settings, file, name, table, ID_COLUMNS):
        mine = erased.delivered(settings, ids)
        if mine is not None:
            yield from (first + int(at) for at in np.flatnonzero(mine))
        first += rows
