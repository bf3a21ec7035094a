"""The shipped shop: its settings, and its data laid down in the landing folder as the shop would drop it, day by day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recpipe.days import days_between
from recpipe.errors import BadSetting
from recpipe.files import whole_file

DATA: Final = Path(__file__).parent / "shop_data"
FIRST_DAY: Final = date(2009, 11, 30)
LAST_DAY: Final = date(2011, 9, 17)

CLOSED: Final = [
    "2009-12-24",
    "2009-12-25",
    "2009-12-27",
    "2009-12-28",
    "2009-12-29",
    "2009-12-30",
    "2009-12-31",
    "2010-01-01",
    "2010-01-03",
    "2010-04-02",
    "2010-04-04",
    "2010-04-05",
    "2010-05-03",
    "2010-05-31",
    "2010-08-30",
    "2010-12-22",
    "2010-12-24",
    "2010-12-26",
    "2010-12-27",
    "2010-12-28",
    "2010-12-29",
    "2010-12-30",
    "2010-12-31",
    "2011-01-02",
    "2011-01-03",
    "2011-04-22",
    "2011-04-25",
    "2011-04-29",
    "2011-05-02",
    "2011-05-30",
    "2011-08-29",
]
"""Days on which the shop sold next to nothing, and that is right: Christmas, New Year, Easter and other holidays of England, and 22 December 2010."""

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RECPIPE_TIMEZONE": "Europe/London",
        "RECPIPE_FIRST_DAY": FIRST_DAY.isoformat(),
        "RECPIPE_LAST_DAY": LAST_DAY.isoformat(),
        "RECPIPE_EVENT_COLUMNS": '{"unit_price": "price"}',
        "RECPIPE_EVENT_TYPES": '{"cancel": "return"}',
        "RECPIPE_EVENT_ID_FROM": '["order_id", "line_no"]',
        "RECPIPE_SET_ASIDE_EVENT_TYPES": '["adjustment"]',
        "RECPIPE_ITEM_ID_PATTERN": r"^\d{5}[A-Za-z]{0,3}$",
        "RECPIPE_ACCEPTED_DAYS": json.dumps(CLOSED),
        "RECPIPE_LABELS": str(DATA / "labels.csv"),
        "RECPIPE_CAMPAIGNS": str(DATA / "campaigns.yaml"),
    }
)
"""The environment of this shop."""


def land(landing: Path, first: date, last: date) -> int:
    """Drop the deliveries of some days into a landing folder, as the shop would.

    Each of the tables gets a folder ``day=D`` with ``part-0.parquet``, if anything happened, and then ``_SUCCESS``.
    Files appear whole or not at all; landing a day again writes the same files.

    Parameters
    ----------
    landing
        The landing folder; made if it does not exist.
    first, last
        The first and last day to drop, both included.

    Returns
    -------
    int
        Rows that were dropped.

    Raises
    ------
    BadSetting
        If the shop has no data for these days.
    """
    if not FIRST_DAY <= first <= last <= LAST_DAY:
        raise BadSetting(f"The shipped shop has days {FIRST_DAY} to {LAST_DAY}; {first} to {last} lies outside. Name other days.")
    rows = 0
    for table, data in _tables().items():
        parts = _by_day(data)
        for day in days_between(first, last):
            part = parts.get(day)
            rows += 0 if part is None else part.num_rows
            _drop(landing / table / f"day={day}", part)
    return rows


def _tables() -> dict[str, pa.Table]:
    """Read the three tables, each with the day of its delivery in the column ``_day``."""
    events = pq.read_table(DATA / "events.parquet")
    items = pq.read_table(DATA / "items.parquet")
    users = pq.read_table(DATA / "users.parquet")
    return {
        "events": events.append_column("_day", events["ts"].cast(pa.date32(), safe=False)),
        "items": items.rename_columns({"first_sold": "_day"}),
        "users": users.append_column("_day", users["registered_at"].cast(pa.date32(), safe=False)),
    }


def _by_day(data: pa.Table) -> dict[date, pa.Table]:
    """Cut a table into its days."""
    data = data.sort_by("_day")
    runs = pc.run_end_encode(data["_day"].combine_chunks())
    starts = [0, *runs.run_ends.to_pylist()]
    data = data.drop_columns("_day")
    days = runs.values.to_pylist()
    return {day: data.slice(start, end - start) for day, start, end in zip(days, starts[:-1], starts[1:], strict=True)}


def _drop(folder: Path, part: pa.Table | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if part is not None:
        with whole_file(folder / "part-0.parquet") as half:
            pq.write_table(part, half, compression="zstd")
    (folder / "_SUCCESS").touch()
