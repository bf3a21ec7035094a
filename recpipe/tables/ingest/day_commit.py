"""The publication of staged days: audit first, then one commit a table, and a row a day in the register."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import DELIVERED, EVENTS, QUARANTINE
from recpipe.errors import Trouble
from recpipe.faults import explained
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.streams import stream
from recpipe.pipeline.erased_texts import check_published
from recpipe.tables.ingest.erased_deliveries import remove_quarantined_of
from recpipe.tables.ingest.staged import DONE, left_open_if_refused, read_facts, staged_rows
from recpipe.user_ids.keys import has_key

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
    Trouble
        If the staged folder is not there (any more), or does not hold all that was staged. A folder that is gone because
        this very run has published it (a run with an id, tried again) is no error.
    """
    return publish_days(settings, [day], Path(folder))


def publish_days(settings: Settings, days: Sequence[date], folder: Path) -> dict[str, int]:
    """Audit several staged days and publish them, in one commit a table; see `publish_day`."""
    lake = Lake.from_settings(settings)
    if not folder.exists() and (done := _published_by_this_run(lake, days)):
        return done
    spell = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    with lake.claimed(days):  # the audit too, so that the verdict that is kept is that of the rows that are published
        if not folder.exists() and (done := _published_by_this_run(lake, days)):  # by an earlier try, while this one waited
            return done
        with explained(
            f"What was staged of {spell} cannot be checked", f"Stage {days[0]} again.", keep_back=has_key(settings.privacy)
        ):
            staged = read_facts(folder, days)
            _refuse_lost_rows(folder, days, staged["days"])
            _audit(settings, days, folder, staged["days"])
        rows = _commit(settings, lake, days, folder, staged)
    _remove(folder)
    return rows


def _commit(settings: Settings, lake: Lake, days: Sequence[date], folder: Path, staged: Mapping[str, Any]) -> dict[str, int]:
    """Write the tables, a commit each; returns their rows."""
    rows = {}
    inputs: list[Input] = []
    for table in ORDER:
        read = inputs if table == "events" else [_input(entry) for entry in staged.get("read", {}).get(table, [])]
        what = f"Table {table} could not be written for {days[0]} to {days[-1]} to {lake.root}"
        with explained(
            what, "See whether the lake can be written (recpipe doctor), then run again.", keep_back=has_key(settings.privacy)
        ):
            records = lake.publish(table, days, staged_rows(folder, table, days), inputs=read)
            rows[table] = sum(record.rows for record in records)
            if check_published(settings, table, days) and table == EVENTS.name:
                remove_quarantined_of(settings, lake)  # what was staged with these events
        if table == "items" and staged["items_read"]:
            inputs = _inputs(staged["items_read"][0], days, records[0].table_version)
    return rows


def _remove(folder: Path) -> None:
    """Remove a published folder; at no moment does a part of it stand where the whole stood."""
    done = folder.with_name(f"{DONE}{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(done)
    except OSError as error:  # the day is published: what is left of its scratch is no reason to say that it is not
        log.warning("%s is published and could not be removed: %s", folder, error)
        return
    shutil.rmtree(done, ignore_errors=True)  # what is left goes with the next staging of the day


def _published_by_this_run(lake: Lake, days: Sequence[date]) -> dict[str, int]:
    """Return the rows that this run has published of the days by table; empty if it has not published all of them.

    All runs by hand share one run id, so it says nothing of theirs.
    """
    if lake.run_id == "local":
        return {}
    wanted = set(days)
    found = [record for record in lake.days("events") if record.day in wanted]
    if len(found) < len(wanted) or not all(record.complete and record.run_id == lake.run_id for record in found):
        return {}
    log.info("%s to %s were published by this run before; nothing is left to do.", days[0], days[-1])
    return {table: sum(record.rows for record in lake.days(table) if record.day in wanted) for table in ORDER}


def _refuse_lost_rows(folder: Path, days: Sequence[date], facts: dict[str, Any]) -> None:
    """Refuse a folder that holds other rows than were counted when it was staged."""
    for day in days:
        tables = {table.name: facts[str(day)][table.name] for table in DELIVERED}
        counts = {table: found["rows"] for table, found in tables.items()}
        counts[QUARANTINE.name] = sum(found["bad_rows"] + found["set_aside_rows"] for found in tables.values())
        for table, counted in counts.items():
            found = _count(staged_rows(folder, table, [day]))
            if counted != found:
                raise Trouble(
                    f"{folder} holds {found:,} rows of {table} of {day}, but {counted:,} were staged: a part of it is gone. "
                    f"Nothing was published. Stage {days[0]} again, then publish it."
                )


def _count(rows: ds.Dataset | pa.Table) -> int:
    return int(rows.num_rows if isinstance(rows, pa.Table) else rows.count_rows())


def _inputs(read: dict[str, Any], days: Sequence[date], version: int) -> list[Input]:
    """Say which items the events were held against: those of the lake, and those that came with them."""
    own = Input("items", days[0], days[-1], version)
    if read["version"] < 0:
        return [own]
    return [Input("items", date.fromisoformat(read["first_day"]), date.fromisoformat(read["last_day"]), read["version"]), own]


def _input(entry: dict[str, Any]) -> Input:
    first, last = date.fromisoformat(entry["first_day"]), date.fromisoformat(entry["last_day"])
    return Input(entry["table"], first, last, entry["version"])


def _audit(settings: Settings, days: Sequence[date], folder: Path, facts: dict[str, Any]) -> None:
    """Hold every table of every day against its suite before anything is published."""
    from recpipe.validation.audit import DayPart, audit_days

    for table in ORDER:
        # a generator: one day's staged files are open at a time
        parts = (DayPart(day, stream(staged_rows(folder, table, [day])), facts[str(day)].get(table, {})) for day in days)
        for verdict in audit_days(settings, table, parts):
            with left_open_if_refused(settings, verdict.day):
                verdict.raise_if_failed()
