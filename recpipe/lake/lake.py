"""The lake: tables read as of a day, days replaced atomically, and the register ``days``.

Replacing a day is one Delta commit followed by one row in the register. The register is append-only: of the rows
of one (table, day) the one with the highest table version counts, so writers never meet there, a lost race is
settled by Delta, and a corrected day leaves its history behind.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from recpipe import __version__
from recpipe.config.settings import Settings
from recpipe.contract import CLOSED, DAYS, EMPTY, OPEN, TABLES
from recpipe.errors import MissingDay, RecpipeError
from recpipe.lake.day_claim import claimed
from recpipe.lake.day_record import DayRecord, Input, order_of, record_of, row_of
from recpipe.lake.key_claim import claim, fingerprint_of, hold_against
from recpipe.lake.reader import Reader, too_old
from recpipe.lake.retry import COMMIT_TRIES, committed
from recpipe.lake.streams import WRITING, stream, without_meanings
from recpipe.user_ids.keys import fingerprint


@dataclass(frozen=True)
class Lake:
    """The tables under one root.

    Parameters
    ----------
    root
        Folder or object-store URI that holds one Delta table per name of the contract.
    run_id
        Recorded with every day that is published through this object.
    storage_options
        Options of the object store, passed to Delta.
    fingerprint
        Of the key of user ids; empty for none.
    """

    root: str
    run_id: str = "local"
    storage_options: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> Lake:
        """Open the lake that the settings name."""
        options = tuple(sorted(settings.places.storage_options.items()))
        return cls(settings.places.lake_root, settings.run.run_id, options, fingerprint(settings))

    # --- reading

    def reader(self, versions: Mapping[str, int] | None = None) -> Reader:
        """Return a reader that sees every table at one version and remembers what it read.

        Parameters
        ----------
        versions
            Delta version by table, as `versions_now` gave them; tables not named are read at their newest.
        """
        return Reader(self, versions or {})

    def versions_now(self, tables: Sequence[str]) -> dict[str, int]:
        """Return the newest Delta version of some tables and of the register, so that several tasks read the same."""
        found = {name: self.delta(name) for name in (DAYS.name, *tables)}  # the register first: it is never ahead of the data
        return {name: delta.version() for name, delta in found.items() if delta is not None}

    def uri(self, table: str) -> str:
        """Address of a table, for any engine that reads Delta."""
        return f"{self.root}/{table}"

    def delta(self, table: str, version: int | None = None) -> DeltaTable | None:
        """Open a table at a version, or its newest; None if nothing was ever published.

        Raises
        ------
        MissingDay
            If the version is older than the retention, and its log is gone.
        """
        try:
            return DeltaTable(self.uri(table), version, storage_options=dict(self.storage_options) or None)
        except DeltaError as error:
            if version is not None and self.delta(table) is not None:
                raise too_old(table, version) from error
            if isinstance(error, TableNotFoundError):
                return None
            raise

    def dataset(self, delta: DeltaTable, table: str) -> ds.Dataset:
        """Return a table as a pyarrow dataset; local files are read by Arrow itself.

        Through Delta's own file system Arrow holds Python buffers on threads of its own, and a process that ends while
        one of them is still being let go is aborted ("terminate called without an active exception").
        """
        local = None if "://" in self.root else fs.SubTreeFileSystem(self.uri(table), fs.LocalFileSystem())
        return delta.to_pyarrow_dataset(filesystem=local)

    # --- the register

    def days(self, table: str | None = None, version: int | None = None) -> list[DayRecord]:
        """Return the register: the row that counts for each (table, day), by table and day."""
        where = (ds.field("table") == table) if table else None
        newest: dict[tuple[str, date], DayRecord] = {}
        for record in self._registered(where, version):
            known = newest.get((record.table, record.day))
            if known is None or order_of(record) > order_of(known):
                newest[record.table, record.day] = record
        return [newest[key] for key in sorted(newest)]

    def history(self, table: str, day: date) -> list[DayRecord]:
        """Return all that the register says of one day of a table: each time it was written, the newest, which counts, last."""
        return sorted(self._registered((ds.field("table") == table) & (ds.field("day") == day)), key=order_of)

    def _registered(self, where: ds.Expression | None, version: int | None = None) -> Iterator[DayRecord]:
        delta = self.delta(DAYS.name, version)
        if delta is not None:
            yield from map(record_of, self.dataset(delta, DAYS.name).to_table(filter=where).to_pylist())

    def day(self, table: str, day: date) -> DayRecord | None:
        """Return what the register says of one day of a table."""
        return next((record for record in self.days(table) if record.day == day), None)

    def require(self, table: str, day: date) -> DayRecord:
        """Return the record of a complete day.

        Raises
        ------
        MissingDay
            If the day was not published; the text says what to run.
        """
        record = self.day(table, day)
        if record is None or not record.complete:
            state = "is open" if record else "does not stand in the register"
            raise MissingDay(f"Day {day} of table {table} {state}: run the DAG that writes {table} for {day} first.")
        return record

    def newest_day(self, table: str) -> date | None:
        """Return the newest complete day of a table."""
        return max((record.day for record in self.days(table) if record.complete), default=None)

    # --- writing

    def publish(
        self,
        table: str,
        days: Sequence[date],
        data: pa.Table | ds.Dataset,
        *,
        inputs: Sequence[Input] = (),
        model_version: str | None = None,
    ) -> list[DayRecord]:
        """Replace the given days of a table by the given rows, in one commit, and register each day.

        Readers see the table before or after, never between. Days without rows are registered as empty. A race
        that was lost to another writer is run again.

        Parameters
        ----------
        table
            Name of the table.
        days
            The days to replace; usually one, several when history is taken in at once.
        data
            Rows of exactly those days, in the table's schema; a dataset is streamed.
        inputs
            What was read to make them.
        model_version
            Model version that made them.

        Raises
        ------
        RecpipeError
            If a row belongs to another day, a needed column has nulls, or the columns are not those of the contract.
        """
        self.claim()
        rows = _rows_by_day(table, days, data)
        version = self._replace(table, days, data)
        now = datetime.now(UTC)
        records = [
            DayRecord(
                table, day, CLOSED if rows[day] else EMPTY, version, tuple(inputs), model_version,
                __version__, self.run_id, rows[day], now,
            )
            for day in days
        ]  # fmt: skip
        self._append(records)
        return records

    @contextmanager
    def claimed(self, days: Sequence[date]) -> Iterator[None]:
        """Hold some days against other writers of more than one table of them; see `recpipe.lake.day_claim`.

        Raises
        ------
        Trouble
            If another writer holds one of them for longer than it is waited for.
        """
        with claimed(self.root, dict(self.storage_options), self.run_id, days):
            yield

    def claim(self) -> None:
        """Note the key of user ids that the lake is begun under.

        Raises
        ------
        BadSetting
            If it is kept under another key, or its ids are raw; the text says what to do.
        """
        claim(self.root, dict(self.storage_options), self.fingerprint, self.delta(DAYS.name) is not None)

    def check_key(self) -> None:
        """Refuse, as `claim` does, to read a lake that is kept under another key; without a key everything is read as it is."""
        if self.fingerprint:
            kept = fingerprint_of(self.root, dict(self.storage_options))
            hold_against(self.root, kept, self.fingerprint, self.delta(DAYS.name) is not None)

    def mark_open(self, table: str, day: date) -> None:
        """Register that a day was tried and refused, unless a published one stands there."""
        if self.day(table, day) is None:
            self.claim()
            record = DayRecord(table, day, OPEN, -1, (), None, __version__, self.run_id, 0, datetime.now(UTC))
            self._append([record])

    def recount(self, table: str, days: Sequence[date] = ()) -> list[DayRecord]:
        """Register anew the days of a table, or some of them, that hold another number of rows than the register says; return them.

        For rows that were taken away for good. All else that is said of such a day stays, the version at which it was made
        among it: what was built from it is as good as before.
        """
        delta = self.delta(table)
        if delta is None:
            return []
        counts: Counter[date] = Counter()
        where = ds.field("day").isin(list(days)) if days else None
        for batch in self.dataset(delta, table).to_batches(columns=["day"], filter=where):
            counts.update({entry["values"]: entry["counts"] for entry in pc.value_counts(batch["day"]).to_pylist()})
        now = datetime.now(UTC)
        changed = [
            replace(record, rows=counts[record.day], status=CLOSED if counts[record.day] else EMPTY, recorded_at=now)
            for record in self.days(table)
            if record.complete
            and (not days or record.day in days)
            and record.table_version <= delta.version()  # else published since the count, which knows nothing of it
            and record.rows != counts[record.day]
        ]
        if changed:
            self._append(changed)
        return changed

    def _replace(self, table: str, days: Sequence[date], data: pa.Table | ds.Dataset) -> int:
        """Replace days in one commit and return the Delta version that the commit made."""
        self._ensure(table)
        predicate = "day IN (" + ", ".join(f"DATE '{day}'" for day in days) + ")"

        def write() -> str:
            mark = uuid.uuid4().hex
            write_deltalake(
                self.uri(table), without_meanings(stream(data)), mode="overwrite", predicate=predicate,
                storage_options=dict(self.storage_options) or None,
                commit_properties=CommitProperties(custom_metadata={"recpipe": mark}), writer_properties=WRITING,
            )  # fmt: skip
            return mark

        # another writer may change the same day between the read and the commit: the whole replacement runs again
        lost = (
            f"Table {table} could not be written for {days[0]} to {days[-1]}: {COMMIT_TRIES} commits were lost to other "
            f"writers of the same days. See who else writes them, then run again."
        )
        return self._version_of(table, committed(write, lost))

    def _version_of(self, table: str, mark: str) -> int:
        delta = DeltaTable(self.uri(table), storage_options=dict(self.storage_options) or None)
        for entry in delta.history(limit=100):
            if entry.get("recpipe") == mark:
                return int(entry["version"])
        return delta.version()  # nothing to remove and nothing to add makes no commit

    def _ensure(self, table: str) -> None:
        if (delta := self.delta(table)) is not None:
            self._widen(table, delta)
            return
        partition = ["day"] if table != DAYS.name else None
        try:
            DeltaTable.create(
                self.uri(table), TABLES[table].schema, mode="ignore", partition_by=partition,
                storage_options=dict(self.storage_options) or None,
            )  # fmt: skip
        except CommitFailedError:
            if self.delta(table) is None:  # else another writer was first to create it, and this one may go on
                raise

    def _widen(self, table: str, delta: DeltaTable) -> None:
        """Add the columns to a table of an earlier release that the contract has since got."""
        there = {field.name for field in delta.schema().fields}
        new = [field for field in DeltaSchema.from_arrow(TABLES[table].schema).fields if field.name not in there]
        if not new:
            return
        try:
            delta.alter.add_columns(new)
        except CommitFailedError:
            now = self.delta(table)
            if now is None or not {field.name for field in new} <= {field.name for field in now.schema().fields}:
                raise  # else another writer was first to add them

    def _append(self, records: Sequence[DayRecord]) -> None:
        self._ensure(DAYS.name)
        rows = pa.Table.from_pylist([row_of(record) for record in records], schema=DAYS.schema)

        def append() -> None:  # which loses to a change of the table's columns or properties alone
            write_deltalake(
                self.uri(DAYS.name), without_meanings(rows.to_reader()), mode="append",
                storage_options=dict(self.storage_options) or None, commit_properties=CommitProperties(max_commit_retries=100),
            )  # fmt: skip

        committed(append, f"The register of days could not be written: {COMMIT_TRIES} commits were lost. Run again.")


def _rows_by_day(table: str, days: Sequence[date], data: pa.Table | ds.Dataset) -> dict[date, int]:
    schema = TABLES[table].schema
    if not data.schema.equals(schema):
        raise RecpipeError(
            f"Rows for table {table} have other columns or types than its contract: {_difference(data.schema, schema)}."
        )
    counts = dict.fromkeys(days, 0)
    for batch in stream(data, ["day"]):
        for entry in pc.value_counts(batch.column("day")).to_pylist():
            if entry["values"] not in counts:
                raise RecpipeError(
                    f"Rows for table {table} hold day {entry['values']}, which is not among the days to be replaced."
                )
            counts[entry["values"]] += entry["counts"]
    return counts


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    for name in wanted.names:
        if name not in found.names:
            return f"column {name} is missing"
        if found.field(name).type != wanted.field(name).type:
            return f"column {name} is {found.field(name).type}, not {wanted.field(name).type}"
    return "the order of columns, or an extra one: " + json.dumps(found.names)
