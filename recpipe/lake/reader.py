"""The reader of tables as of a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from recpipe.contract import DAYS, TABLES
from recpipe.errors import MissingDay, Trouble
from recpipe.lake.day_record import DayRecord, Input


class Tables(Protocol):
    """What a reader needs of the lake."""

    def dataset(self, delta: DeltaTable, table: str) -> ds.Dataset:
        """Return a table at its version as a dataset."""

    def delta(self, table: str, version: int | None = None) -> DeltaTable | None:
        """Return a table at a version, the newest without one; None where there is no table."""

    def days(self, *, version: int | None = None) -> list[DayRecord]:
        """Return the register."""


class Reader:
    """Reads the lake at one version of each table; ``inputs`` says what was read, for the register.

    Only days that stand in the register as complete are seen.
    """

    def __init__(self, lake: Tables, versions: Mapping[str, int]) -> None:
        self._lake = lake
        self._versions = versions
        self._tables: dict[str, DeltaTable | None] = {}
        self._complete: dict[str, list[date]] = {}
        self._register: list[DayRecord] | None = None
        self._datasets: dict[str, ds.Dataset] = {}  # opening one costs a look at every file
        self.inputs: list[Input] = []

    def days(self, table: str) -> list[date]:
        """Return the complete days of a table, oldest first."""
        self._pin(table)
        return self._complete[table]

    def read(
        self,
        table: str,
        first: date = date.min,
        last: date = date.max,
        columns: list[str] | None = None,
        only: ds.Expression | None = None,
    ) -> pa.Table:
        """Read the rows of days first to last (both included) that are complete; ``only`` some of them, such as a user's.

        ``inputs`` remembers the days that were asked for, those that were not there among them: whatever comes in
        there later would have been read.
        """
        schema = TABLES[table].schema
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        delta = self._pin(table)
        days = [day for day in self._complete[table] if first <= day <= last]
        self._remember(table, first, last, days)
        if delta is None or not days:
            return wanted.empty_table()
        day = ds.field("day")
        where = (day >= days[0]) & (day <= days[-1]) & day.isin(days)
        where = where if only is None else where & only
        if table not in self._datasets:
            self._datasets[table] = self._lake.dataset(delta, table)
        dataset = self._datasets[table]
        there = [name for name in wanted.names if name in dataset.schema.names]
        try:
            return _complete(dataset.to_table(columns=there, filter=where), wanted)
        except FileNotFoundError as error:
            newest = self._lake.delta(table)
            if newest is not None and newest.version() == delta.version():  # no sweep takes a file of the newest version
                raise _lost(table, error) from error
            raise too_old(table, delta.version()) from error

    def as_of(self, table: str, day: date, columns: list[str] | None = None, only: ds.Expression | None = None) -> pa.Table:
        """Return the newest row of each key with a day at or before the given one (items, users).

        Columns, where given, name the key and ``day`` among them; ``only`` speaks of the key.
        """
        rows = self.read(table, last=day, columns=columns, only=only)
        return _newest(rows, list(TABLES[table].key))

    def events(self, first: date, last: date, columns: list[str] | None = None, only: ds.Expression | None = None) -> pa.Table:
        """Return the events of some days; of an event that was delivered twice the later delivery counts.

        ``only`` speaks of what does not change from one delivery of an event to the next, such as its user.
        """
        wanted = columns or TABLES["events"].columns
        rows = self.read("events", first, last, sorted({*wanted, "event_id", "day"}), only)
        return _newest(rows, ["event_id"]).select(wanted)

    def look_for(self, table: str, day: date) -> bool:
        """Return whether a day of a table is complete; ``inputs`` remembers that it was asked for."""
        there = day in self.days(table)
        self._remember(table, day, day, [day] if there else [])
        return there

    def _remember(self, table: str, first: date, last: date, there: list[date]) -> None:
        """Note what was asked for; an end that was left open is the first or last day that was there."""
        first = there[0] if first == date.min and there else first
        last = there[-1] if last == date.max and there else last
        if first > date.min and last < date.max:
            delta = self._pin(table)
            self.inputs.append(Input(table, first, last, -1 if delta is None else delta.version()))

    def _pin(self, table: str) -> DeltaTable | None:
        if table not in self._tables:
            # the register first: data may then be newer than it, but no registered day can be missing from the data
            # and once for all tables: in an object store it is some hundred requests
            if self._register is None:
                self._register = self._lake.days(version=self._versions.get(DAYS.name))
            self._complete[table] = [record.day for record in self._register if record.table == table and record.complete]
            self._tables[table] = self._lake.delta(table, self._versions.get(table))
        return self._tables[table]


def _lost(table: str, error: FileNotFoundError) -> Trouble:
    file = str(error).partition("'")[2].partition("'")[0] or "a file"
    return Trouble(
        f"Table {table} names the file {file}, which is gone: somebody or something removed it from the lake. Restore it from a backup, or "
        f"make its day anew (`recpipe ingest --day DAY` for what is delivered)."
    )


def too_old(table: str, version: int) -> MissingDay:
    return MissingDay(
        f"Version {version} of table {table} is no longer kept (RECPIPE_KEEP_DAYS), but the run was planned with it: run it again "
        f"from its first task on, so that it is planned anew."
    )


def _complete(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Return rows in the contract's columns; those that a table of an earlier release lacks are null."""
    columns = [rows[f.name] if f.name in rows.schema.names else pa.nulls(len(rows), f.type) for f in wanted]
    return pa.table(columns, names=wanted.names).cast(wanted)


def _newest(rows: pa.Table, key: list[str]) -> pa.Table:
    """Keep the row with the greatest day of each key, in the order of the key."""
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in [*key, "day"]])
    rows = rows.take(order)
    if rows.num_rows < 2:
        return rows
    changed = pa.array([False] * (rows.num_rows - 1))
    for name in key:
        column = rows[name].combine_chunks()
        changed = pc.or_(changed, pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)))
    return rows.filter(pa.concat_arrays([changed, pa.array([True])]))


def window(last: date, days: int) -> tuple[date, date]:
    """Return the first and last day of the window of so many days that ends with ``last``."""
    return last - timedelta(days=days - 1), last
