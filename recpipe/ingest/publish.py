"""Publish staged days: audit first, then one commit a table, and a row a day in the register."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from recpipe.config import Settings
from recpipe.contract import TABLES
from recpipe.errors import RecpipeError
from recpipe.ingest.stage import FACTS, left_open_if_refused, staged_files
from recpipe.lake import Input, Lake, stream

log = logging.getLogger(__name__)

ORDER = ("items", "users", "quarantine", "events")
"""Events last: who waits for a day waits for its events, and finds the others there."""


def publish_day(settings: Settings, day: date, folder: str) -> dict[str, int]:
    """Audit a staged day and publish it.

    Parameters
    ----------
    settings
        Where the lake is.
    day
        The day.
    folder
        What `stage_day` returned; removed when the day is published.

    Returns
    -------
    dict
        Rows by table.

    Raises
    ------
    AuditFailed
        If an expectation does not hold. Nothing is published, and what was published before stays.
    RecpipeError
        If the staged folder is not there (any more).
    """
    return publish_days(settings, [day], Path(folder))


def publish_days(settings: Settings, days: Sequence[date], folder: Path) -> dict[str, int]:
    """Audit several staged days and publish them, in one commit a table; see `publish_day`."""
    staged = _read_facts(folder, days)
    _audit(settings, days, folder, staged["days"])
    lake = Lake.from_settings(settings)
    rows = {}
    inputs: list[Input] = []
    for table in ORDER:
        records = lake.publish(table, days, staged_rows(folder, table, days), inputs=inputs if table == "events" else ())
        rows[table] = sum(record.rows for record in records)
        if table == "items" and staged["items_read"]:
            inputs = _inputs(staged["items_read"][0], days, records[0].table_version)
    shutil.rmtree(folder)
    return rows


def staged_rows(folder: Path, table: str, days: Sequence[date]) -> ds.Dataset | pa.Table:
    """Return the staged rows of some days in the schema of the contract; a dataset, so that it can be streamed."""
    schema = TABLES[table].schema
    files = staged_files(folder, table, days)
    return ds.dataset([str(file) for file in files], schema=schema, format="parquet") if files else schema.empty_table()


def _read_facts(folder: Path, days: Sequence[date]) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / FACTS).read_text()))
    except OSError:
        raise RecpipeError(
            f"{folder} holds no staged day (it is removed once it is published): stage {days[0]} again, then publish it."
        ) from None


def _inputs(read: dict[str, Any], days: Sequence[date], version: int) -> list[Input]:
    """Say which items the events were held against: those of the lake, and those that came with them."""
    own = Input("items", days[0], days[-1], version)
    if read["version"] < 0:
        return [own]
    return [Input("items", date.fromisoformat(read["first_day"]), date.fromisoformat(read["last_day"]), read["version"]), own]


def _audit(settings: Settings, days: Sequence[date], folder: Path, facts: dict[str, Any]) -> None:
    """Hold every table of every day against its suite before anything is published."""
    from recpipe.quality import DayPart, audit_days

    for table in ORDER:
        # a generator: one day's staged files are open at a time
        parts = (DayPart(day, stream(staged_rows(folder, table, [day])), facts[str(day)].get(table, {})) for day in days)
        for verdict in audit_days(settings, table, parts):
            with left_open_if_refused(settings, verdict.day):
                verdict.raise_if_failed()
