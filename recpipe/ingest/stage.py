"""Stage days: delivered files are read a batch at a time, judged, and written in the contract's schema for the audit.

A staged folder holds ``items``, ``users``, ``events`` and ``quarantine``, each with parquet files named after their
day, and ``facts.json``. Nothing outside of it is touched, so a run that dies leaves nothing but its own folder.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recpipe.config import Settings
from recpipe.contract import DELIVERED, QUARANTINE, TABLES, USERS
from recpipe.errors import AuditFailed, BadDelivery
from recpipe.ingest.catalogue import Known, known_before
from recpipe.ingest.checks import DUPLICATE, TAKEN_IN, Bounds, Judged, judge, leave_out
from recpipe.ingest.columns import convert, plan_columns
from recpipe.ingest.delivery import Delivery, open_file, read_batches, require_delivery, shown_name
from recpipe.ingest.door import behind_the_door, values_kept_back
from recpipe.ingest.duplicates import ROW, RowNumbers, count_duplicates, write_duplicates
from recpipe.ingest.quarantine import duplicate_rows, refused_rows
from recpipe.ingest.values import Shop
from recpipe.lake import Lake
from recpipe.privacy.erasures import Erased, erased_users, note_accounts

log = logging.getLogger(__name__)

FACTS = "facts.json"
DONE = ".done-"
"""Begins the name of a published folder while it is removed."""


@dataclass
class Tally:
    """What became of the delivered rows of one table on one day."""

    delivered_rows: int = 0
    rows: int = 0
    bad_rows: int = 0
    set_aside_rows: int = 0
    erased_rows: int = 0
    first_ts: float | None = None
    last_ts: float | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def bad_share(self) -> float:
        """Share of bad rows among those that were not set aside."""
        return self.bad_rows / max(1, self.judged_rows - self.set_aside_rows)

    @property
    def judged_rows(self) -> int:
        """Delivered rows but those of erased users, which nothing else is said of."""
        return self.delivered_rows - self.erased_rows

    def add(self, judged: Judged) -> None:
        """Count a judged batch."""
        out = np.bincount(judged.which[judged.which >= 0], minlength=len(judged.findings))
        for finding, count in zip(judged.findings, out.tolist(), strict=True):
            if finding.set_aside:
                self.set_aside_rows += count
            else:
                self.bad_rows += count
                self.reasons[f"{finding.reason} ({finding.column})"] += count
        self.delivered_rows += len(judged.rows)
        self.rows += int((judged.which == TAKEN_IN).sum())
        self.erased_rows += int((judged.which < TAKEN_IN).sum())

    def add_duplicates(self, count: int) -> None:
        """Count rows that were taken in at first and repeat another one's key."""
        self.rows -= count
        self.bad_rows += count
        self.reasons[DUPLICATE] += count

    def see(self, rows: pa.RecordBatch) -> None:
        """Note the first and last time of some rows that are taken in."""
        if "ts" in rows.schema.names and rows.num_rows:
            ends = pc.min_max(rows["ts"]).as_py()
            first, last = ends["min"].timestamp(), ends["max"].timestamp()
            self.first_ts = first if self.first_ts is None else min(first, self.first_ts)
            self.last_ts = last if self.last_ts is None else max(last, self.last_ts)

    def facts(self) -> dict[str, float | int | None]:
        """Return the counts for the audit; times are seconds since 1970, UTC. No key is left that comes twice."""
        return {
            **({"erased_rows": self.erased_rows} if self.erased_rows else {}),
            "delivered_rows": self.judged_rows, "rows": self.rows, "bad_rows": self.bad_rows,
            "set_aside_rows": self.set_aside_rows, "repeated_keys": 0, "bad_share": self.bad_share,
            "first_ts": self.first_ts, "last_ts": self.last_ts,
        }  # fmt: skip


class RowWriter:
    """Writes row groups to a parquet file that exists only if there are rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer:
            self._writer.close()

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Write some rows as one row group."""
        if not rows.num_rows:
            return
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="lz4")
        self._writer.write(rows)


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
    Lake.from_settings(settings).claim()
    folder = _fresh_folder(settings, days)
    known = known_before(settings, days[0]) if settings.items_must_be_known else None
    tallies: dict[date, dict[str, Tally]] = {}
    for day in days:
        with left_open_if_refused(settings, day), values_kept_back(settings, f"The delivery of {day} cannot be taken in"):
            delivery = require_delivery(settings, day)
            tallies[day] = _stage_delivery(settings, delivery, folder, known)
            for table, tally in tallies[day].items():
                _refuse_bad_share(settings, table, day, tally)
    for table in (table.name for table in DELIVERED):
        _take_out_duplicates(settings, table, folder, tallies)
    facts = {str(day): {table: tally.facts() for table, tally in found.items()} for day, found in tallies.items()}
    inputs = [] if known is None else [{"version": known.version, "first_day": str(known.first), "last_day": str(known.last)}]
    (folder / FACTS).write_text(json.dumps({"days": facts, "items_read": inputs}, indent=1))
    return folder


@contextmanager
def left_open_if_refused(settings: Settings, day: date) -> Iterator[None]:
    """Register a day as open if it is refused here; a published one stays as it is."""
    try:
        yield
    except (BadDelivery, AuditFailed):
        lake = Lake.from_settings(settings)
        for table in DELIVERED:
            lake.mark_open(table.name, day)
        raise


# --- the folder


def _fresh_folder(settings: Settings, days: Sequence[date]) -> Path:
    name = str(days[0]) if len(days) == 1 else f"{days[0]}_{days[-1]}"
    parent = settings.work / "ingest" / name
    run = re.sub(r"[^A-Za-z0-9._-]", "_", settings.run_id)
    if run == "local":
        _clear_after_the_dead(parent)
        run = f"local-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder = parent / run
    for done in parent.glob(f"{DONE}*"):  # whoever published it was killed while removing it
        shutil.rmtree(done, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier try of this very run has left
    folder.mkdir(parents=True)
    return folder


def _clear_after_the_dead(parent: Path) -> None:
    for folder in parent.glob("local-*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue


def staged_files(folder: Path, table: str, days: Sequence[date]) -> list[Path]:
    """Return the staged files of a table, day by day; days without rows have none."""
    return [file for day in days for file in sorted((folder / table).glob(f"{day}*.parquet"))]


# --- rows


def _stage_delivery(settings: Settings, delivery: Delivery, folder: Path, known: Known | None) -> dict[str, Tally]:
    day, erased = delivery.day, erased_users(settings)
    tallies = {}
    with RowWriter(folder / "quarantine" / f"{day}.parquet", QUARANTINE.schema) as refused:
        for table in (table.name for table in DELIVERED):
            with RowWriter(folder / table / f"{day}.parquet", _staged_schema(table)) as accepted:
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
    bounds = Bounds.of(settings, delivery.day)
    shop = Shop(settings.zone, settings.category_separator)
    for file in delivery.files[table]:
        first_row = 0
        name = shown_name(settings, file)
        with open_file(file, name) as opened:
            plan = plan_columns(settings, table, name, opened.schema_arrow)
            for batch in read_batches(file, name, opened, settings.batch_rows):
                judged = judge(settings, convert(plan, batch, shop), bounds, known.ids if known else None)
                if table == USERS.name:
                    note_accounts(settings, erased, judged.rows.columns)
                judged = leave_out(judged, erased.delivered(settings, judged.rows.columns))
                good = _accepted(settings, judged, delivery.day, tally.delivered_rows)
                tally.add(judged)
                tally.see(good)
                accepted.write(good)
                if good.num_rows < batch.num_rows:
                    refused.write(refused_rows(settings, judged, delivery.day, name.rpartition("/")[2], first_row))
                first_row += batch.num_rows
    return tally


def _staged_schema(table: str) -> pa.Schema:
    return TABLES[table].schema.append(pa.field(ROW, pa.int64(), nullable=False))


def _accepted(settings: Settings, judged: Judged, day: date, first_row: int) -> pa.RecordBatch:
    rows = behind_the_door(settings, judged.rows)
    columns = {
        "day": pa.repeat(pa.scalar(day, pa.date32()), len(rows)),
        ROW: pa.array(np.arange(first_row, first_row + len(rows))),
        **rows.columns,
    }
    good = pa.array(judged.which == TAKEN_IN)
    schema = _staged_schema(rows.plan.table)
    # filtered before the schema is put on: columns that may not be null can still be null in rows that go
    kept = [columns[name].filter(good) for name in schema.names]
    return pa.RecordBatch.from_arrays(kept, schema=schema)


def _refuse_bad_share(settings: Settings, table: str, day: date, tally: Tally) -> None:
    if tally.bad_share <= settings.max_bad_share:
        return
    shoppers = tally.judged_rows - tally.set_aside_rows
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in tally.reasons.most_common() if count)
    raise BadDelivery(
        f"{tally.bad_rows:,} of {shoppers:,} rows of {table} of {day} are bad: {tally.bad_share:.1%}, where at most "
        f"{settings.max_bad_share:.1%} may be ({reasons}). Nothing was published. Mend the delivery and run the day again, "
        f"or raise RECPIPE_MAX_BAD_SHARE."
    )


# --- duplicates


def _take_out_duplicates(settings: Settings, table: str, folder: Path, tallies: dict[date, dict[str, Tally]]) -> None:
    files = staged_files(folder, table, list(tallies))
    for day, count in sorted(count_duplicates(settings, table, files, folder).items()):
        tally = tallies[day][table]
        tally.add_duplicates(count)
        with left_open_if_refused(settings, day):
            _refuse_bad_share(settings, table, day, tally)
        numbers = folder / "duplicates.parquet"
        write_duplicates(settings, table, folder / table / f"{day}.parquet", numbers)
        _rewrite_without(settings, folder / table / f"{day}.parquet", numbers, tally)
        target = folder / "quarantine" / f"{day}-{table}-duplicates.parquet"
        _quarantine_duplicates(settings, require_delivery(settings, day), table, numbers, target)
        numbers.unlink()


def _rewrite_without(settings: Settings, staged: Path, numbers: Path, tally: Tally) -> None:
    """Write a staged file again, without some of its rows."""
    out = RowNumbers(numbers, settings.batch_rows)
    half = staged.with_suffix(".half")
    tally.first_ts = tally.last_ts = None
    with pq.ParquetFile(staged, pre_buffer=False) as opened, RowWriter(half, opened.schema_arrow) as kept:
        for batch in opened.iter_batches(settings.batch_rows):
            rows = batch[ROW].to_numpy()
            good = batch.filter(pa.array(~np.isin(rows, out.before(int(rows[-1]) + 1))))
            tally.see(good)
            kept.write(good)
    half.replace(staged)


def _quarantine_duplicates(settings: Settings, delivery: Delivery, table: str, numbers: Path, target: Path) -> None:
    """Fetch the duplicates from the delivered files once more: the quarantine keeps rows as they were delivered."""
    out = RowNumbers(numbers, settings.batch_rows)
    seen = 0
    with RowWriter(target, QUARANTINE.schema) as refused:
        for file in delivery.files[table]:
            begin = seen
            name = shown_name(settings, file)
            with open_file(file, name) as opened:
                plan = plan_columns(settings, table, name, opened.schema_arrow)
                for batch in read_batches(file, name, opened, settings.batch_rows):
                    at = out.before(seen + batch.num_rows)
                    twice = batch.take(pa.array(at - seen))
                    refused.write(duplicate_rows(settings, plan, twice, delivery.day, name.rpartition("/")[2], at - begin))
                    seen += batch.num_rows
