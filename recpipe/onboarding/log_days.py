"""A log cut into days as a shop would have delivered them: events of the day, items and users on their first day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from recpipe.config.settings import Settings
from recpipe.contract import DELIVERED
from recpipe.days import days_between
from recpipe.onboarding.sample_rows import Shape, read_rows
from recpipe.onboarding.sources import Source
from recpipe.onboarding.survey import MOST_PARTS, TOLD, Survey, local_times

HELD: Final = 500_000
"""Rows held at a time; a day gets one file for each time that it is met."""


@dataclass
class DayFiles:
    """Writes rows of a table into the folders of their days."""

    landing: Path
    table: str
    only: Collection[date] | None = None
    rows: int = 0
    _held: list[pa.Table] = field(default_factory=list)
    _number: int = 0

    def add(self, rows: pa.RecordBatch | pa.Table, days: pa.Array) -> None:
        """Take some rows and their days; days that are not wanted are left out."""
        part = (rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])).append_column("__day", days)
        if self.only is not None:
            part = part.filter(pc.is_in(part["__day"], pa.array(list(self.only), pa.date32())))
        self._held.append(part)
        if sum(held.num_rows for held in self._held) >= HELD:
            self.flush()

    def flush(self) -> None:
        """Write what is held: one file a day, its rows in the order of the log."""
        if not self._held:
            return
        rows = pa.concat_tables(self._held, promote_options="permissive")
        self._held = []
        days = rows["__day"].cast(pa.int32()).to_numpy()
        order = np.argsort(days, kind="stable")
        ends = np.flatnonzero(np.diff(days[order], append=days[order][-1:] + 1)) + 1
        bare = rows.drop_columns(["__day"])
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            day = rows["__day"][int(order[start])].as_py()
            self._write(day, bare.take(pa.array(order[start:end])))
        self._number += 1

    def _write(self, day: date, rows: pa.Table) -> None:
        folder = self.landing / self.table / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / f"part-{self._number:05}.parquet", compression="zstd")
        self.rows += rows.num_rows


def cut(
    settings: Settings,
    sources: Mapping[str, Source],
    shapes: Mapping[str, Shape],
    found: Survey,
    landing: Path,
    only: Collection[date] | None = None,
    say: Callable[[int], None] = lambda rows: None,
) -> dict[str, int]:
    """Cut a log into landing folders, a day each, with ``_SUCCESS`` in all of them once everything is written.

    Parameters
    ----------
    settings
        As proposed: columns, zone.
    sources, shapes
        The log, and the catalogue and accounts that come with it, by table.
    found
        What `survey` has found.
    landing
        Where the folders go.
    only
        Days to cut; None: all.
    say
        Told the rows of each batch, for a progress bar.

    Returns
    -------
    dict
        Rows by table. Events without a time are in the last day: its quarantine will show them.
    """
    written = {
        "events": _cut_events(settings, sources["events"], shapes["events"], found, DayFiles(landing, "events", only), say)
    }
    for table, first_days in (("items", found.items), ("users", found.users)):
        files = DayFiles(landing, table, only)
        if table in sources:
            for batch, days in _first_met(settings, table, sources[table], shapes[table], found, first_days):
                files.add(batch, days)
                say(batch.num_rows)
        else:
            files.add(*_derived(settings, table, sources["events"], shapes["events"], first_days))
        files.flush()
        written[table] = files.rows
    for day in only if only is not None else days_between(found.first, found.last):
        for delivered in DELIVERED:
            folder = landing / delivered.name / f"day={day}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "_SUCCESS").touch()
    return written


def _cut_events(
    settings: Settings, source: Source, shape: Shape, found: Survey, files: DayFiles, say: Callable[[int], None]
) -> int:
    for rows in read_rows(settings, "events", source, shape):
        days = local_times(rows.columns["ts"], settings.shop).cast(pa.date32(), safe=False)
        files.add(rows.delivered, pc.fill_null(days, pa.scalar(found.last, pa.date32())))
        say(len(rows))
    files.flush()
    return files.rows


def _first_met(
    settings: Settings, table: str, source: Source, shape: Shape, found: Survey, first_days: pa.Table
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Yield the rows of a catalogue or of the accounts, each with the day on which it is delivered.

    That is the day of an account's registration, where it is known, and else of the first event; what no event names was
    there from the first day on.
    """
    known = first_days["day"].combine_chunks()
    for rows in read_rows(settings, table, source, shape):
        columns = rows.columns
        at = pc.index_in(columns["item_id" if table == "items" else "user_id"], first_days["id"].combine_chunks())
        days = known.take(at) if len(known) else pa.nulls(len(rows), pa.date32())
        if table == "users":
            days = pc.coalesce(local_times(columns["registered_at"], settings.shop).cast(pa.date32(), safe=False), days)
        first, last = (pa.scalar(day, pa.date32()) for day in (found.first, found.last))
        yield rows.delivered, pc.max_element_wise(pc.min_element_wise(pc.fill_null(days, first), last), first)


def _derived(settings: Settings, table: str, source: Source, shape: Shape, first_days: pa.Table) -> tuple[pa.Table, pa.Array]:
    """Return the items or users that a log alone tells of, with the day on which each is first met."""
    key = "item_id" if table == "items" else "user_id"
    rows = pa.table({key: first_days["id"]})
    if table == "items" and (told := _texts(source)):
        rows = _told(settings, source, shape, first_days["id"], told)
    return rows, first_days["day"].combine_chunks()


def _texts(source: Source) -> list[str]:
    """Return the texts of items that a log has beside its own columns."""
    return [name for name in TOLD if name in source.schema.names and not pt.is_nested(source.schema.field(name).type)]


def _told(settings: Settings, source: Source, shape: Shape, ids: pa.ChunkedArray, told: list[str]) -> pa.Table:
    """Return items with the first value that the log has in each of some columns."""
    parts: list[pa.Table] = []
    for rows in read_rows(settings, "events", source, shape):
        values = pa.table({"item_id": rows.columns["item_id"], **{name: rows.delivered[name] for name in told}})
        parts.append(_first_values(values, told))
        if len(parts) > MOST_PARTS:
            parts = [_first_values(pa.concat_tables(parts), told)]
    whole = _first_values(pa.concat_tables(parts, promote_options="permissive"), told)
    return whole.take(pc.index_in(ids, whole["item_id"].combine_chunks()))


def _first_values(rows: pa.Table, told: list[str]) -> pa.Table:
    plain = pa.table({name: rows[name].cast(pa.string()) for name in rows.schema.names})
    grouped = plain.group_by("item_id", use_threads=False).aggregate([(name, "first") for name in told])
    return grouped.rename_columns([name.removesuffix("_first") for name in grouped.schema.names])
