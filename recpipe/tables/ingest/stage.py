"""The staging of days: delivered files read a batch at a time, judged, and written in the contract's schema for the audit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.contract import DELIVERED, QUARANTINE, USERS
from recpipe.errors import BadDelivery
from recpipe.faults import explained
from recpipe.lake.lake import Lake
from recpipe.lake.tombstones import Erased, erased_users, note_accounts
from recpipe.tables.ingest.duplicates import ROW
from recpipe.tables.ingest.known_before import Known, known_before
from recpipe.tables.ingest.landed.delivery import Delivery, require_delivery, shown_name, source_name
from recpipe.tables.ingest.landed.landing import LandedFile
from recpipe.tables.ingest.quarantine_rows import refused_rows
from recpipe.tables.ingest.repeated import take_out_duplicates
from recpipe.tables.ingest.rows.columns import convert, plan_columns
from recpipe.tables.ingest.rows.file_reading import open_file, read_batches
from recpipe.tables.ingest.rows.pseudonymise import behind_the_door
from recpipe.tables.ingest.rows.row_checks import TAKEN_IN, Bounds, Judged, judge, leave_out
from recpipe.tables.ingest.rows.shop_readings import Shop
from recpipe.tables.ingest.snapshots import keep_changes
from recpipe.tables.ingest.staged import (
    AGAIN,
    RowWriter,
    fresh_folder,
    left_open_if_refused,
    staged_files,
    staged_schema,
    write_facts,
)
from recpipe.tables.ingest.tally import Tally, midnight_of, refuse_bad_share
from recpipe.user_ids.keys import has_key

log = logging.getLogger(__name__)


def stage_day(settings: Settings, day: date) -> str:
    """Stage the delivery of one day.

    Returns
    -------
    str
        The staged folder, for `publish_day`.

    Raises
    ------
    BadDelivery
        If the delivery is not complete, a file cannot be taken in, or too many rows are bad. Nothing is published.
    MissingDay
        If events are to be checked against a catalogue of which days are missing.
    """
    return str(stage_days(settings, [day]))


def stage_days(settings: Settings, days: Sequence[date]) -> Path:
    """Stage the deliveries of several days into one folder; see `stage_day`."""
    with explained(
        "Nothing can be staged", f"Look at {settings.places.work}, then run the days again.", keep_back=has_key(settings.privacy)
    ):
        Lake.from_settings(settings).claim()
        folder = fresh_folder(settings, days)
    known = known_before(settings, days[0]) if settings.intake.items_must_be_known else None
    tallies: dict[date, dict[str, Tally]] = {}
    for day in days:
        with (
            left_open_if_refused(settings, day),
            explained(f"The delivery of {day} cannot be taken in", AGAIN, BadDelivery, keep_back=has_key(settings.privacy)),
        ):
            delivery = require_delivery(settings, day)
            tallies[day] = _stage_delivery(settings, delivery, folder, known)
            for table, tally in tallies[day].items():
                refuse_bad_share(settings, table, day, tally)
    for table in (table.name for table in DELIVERED):
        with explained(
            f"Repeated rows of {table} of {days[0]} to {days[-1]} cannot be found", AGAIN, keep_back=has_key(settings.privacy)
        ):
            take_out_duplicates(settings, table, folder, tallies)
    with explained(f"Snapshots of {days[0]} to {days[-1]} cannot be compared", AGAIN, keep_back=has_key(settings.privacy)):
        read = keep_changes(settings, folder, tallies)
    facts = {str(day): _facts(settings, day, found) for day, found in tallies.items()}
    inputs = [] if known is None else [{"version": known.version, "first_day": str(known.first), "last_day": str(known.last)}]
    with explained(f"What was staged of {days[0]} to {days[-1]} cannot be noted", AGAIN, keep_back=has_key(settings.privacy)):
        write_facts(folder, facts, inputs, read)
    return folder


def _facts(settings: Settings, day: date, found: dict[str, Tally]) -> dict[str, dict[str, float | int | None]]:
    facts = {}
    for table, tally in found.items():
        midnight = midnight_of(settings.shop, table, day, tally)
        if midnight:
            log.warning("%s: %s", day, midnight.sentence(settings, day))
        facts[table] = tally.facts(midnight)
    return facts


# --- rows


def _stage_delivery(settings: Settings, delivery: Delivery, folder: Path, known: Known | None) -> dict[str, Tally]:
    day, erased = delivery.day, erased_users(settings)
    tallies = {}
    with RowWriter(folder / "quarantine" / f"{day}.parquet", QUARANTINE.schema) as refused:
        for table in (table.name for table in DELIVERED):
            with RowWriter(folder / table / f"{day}.parquet", staged_schema(table)) as accepted:
                tallies[table] = _stage_table(settings, delivery, table, accepted, refused, known, erased)
            if table == USERS.name and tallies[table].erased_rows:
                erased = erased_users(settings)  # with the accounts that came in
            if table == "items" and known is not None:
                known.add(staged_files(folder, "items", [day]))
    return tallies


def _stage_table(
    settings: Settings,
    delivery: Delivery,
    table: str,
    accepted: RowWriter,
    refused: RowWriter,
    known: Known | None,
    erased: Erased,
) -> Tally:
    tally = Tally()
    for file in delivery.files[table]:
        tally.files.append((file.name, file.size))
        name = shown_name(settings.privacy, delivery, file)
        with explained(
            f"{name} cannot be taken in as {table} of {delivery.day}", AGAIN, BadDelivery, keep_back=has_key(settings.privacy)
        ):
            _stage_file(settings, delivery, table, file, name, tally, accepted, refused, known, erased)
    return tally


def _stage_file(
    settings: Settings,
    delivery: Delivery,
    table: str,
    file: LandedFile,
    name: str,
    tally: Tally,
    accepted: RowWriter,
    refused: RowWriter,
    known: Known | None,
    erased: Erased,
) -> None:
    bounds = Bounds.of(settings, delivery.day)
    shop, source = Shop.of(settings), source_name(settings.privacy, delivery, file)
    first_row = 0
    with open_file(file, name) as opened:
        plan = plan_columns(settings, table, name, opened.schema_arrow)
        for batch in read_batches(settings, file, name, opened):
            judged = judge(settings, convert(plan, batch, shop), bounds, known.ids if known else None)
            if table == USERS.name:
                note_accounts(settings, erased, judged.rows.columns)
            judged = leave_out(judged, erased.delivered(settings, judged.rows.columns))
            good = _accepted(settings, judged, delivery.day, tally.delivered_rows)
            tally.add(judged)
            tally.see(good)
            accepted.write(good)
            if good.num_rows < batch.num_rows:
                refused.write(refused_rows(settings, judged, delivery.day, source, first_row))
            first_row += batch.num_rows


def _accepted(settings: Settings, judged: Judged, day: date, first_row: int) -> pa.RecordBatch:
    rows = behind_the_door(settings, judged.rows)
    columns = {
        "day": pa.repeat(pa.scalar(day, pa.date32()), len(rows)),
        ROW: pa.array(np.arange(first_row, first_row + len(rows))),
        **rows.columns,
    }
    good = pa.array(judged.which == TAKEN_IN)
    schema = staged_schema(rows.plan.table)
    # filtered before the schema is put on: columns that may not be null can still be null in rows that go
    kept = [columns[name].filter(good) for name in schema.names]
    return pa.RecordBatch.from_arrays(kept, schema=schema)
