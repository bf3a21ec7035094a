"""Rows of erased users out of the tables: found by their tokens, deleted, and their files and log entries removed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from pyarrow.fs import FileSelector, FileSystem

from recpipe.contract import TABLES, USERS
from recpipe.lake.changes import files_of, newest, tried
from recpipe.lake.lake import Lake
from recpipe.lake.streams import WRITING
from recpipe.lake.tombstones import ID_COLUMNS, Erased

USER_TABLES: Final = tuple(table.name for table in TABLES.values() if "user_id" in table.columns)
"""Tables with a column that names a user; what follows from their rows alone is in `erased_texts`."""
DAYS_A_COMMIT: Final = 30
READING: Final = {"use_threads": False, "batch_readahead": 1, "fragment_readahead": 1}
"""A dataset that is written again is read no faster than it is written."""
UNFINISHED_HOURS: Final = 24
"""A file that no commit names may belong to a write under way until it is so old."""
LOG: Final = "_delta_log"
LOST: Final = "The erasure goes on where it stopped when it is run again; run it while fewer days are being published."
RETENTION: Final = {"delta.logRetentionDuration": "interval 30 days", "delta.deletedFileRetentionDuration": "interval 7 days"}
"""Delta's own, where a table says nothing else."""
Make = Callable[[ds.Dataset, ds.Expression], Iterable[pa.RecordBatch]]


@dataclass
class Removed:
    """What was taken out of one table."""

    rows: int = 0
    days: set[date] = field(default_factory=set)
    files: int = 0
    bytes: int = 0

    @property
    def anything(self) -> bool:
        """Whether a row went."""
        return self.rows > 0


# --- finding


def users_in(lake: Lake, table: str, erased: Erased, days: Sequence[date] = ()) -> set[str]:
    """Return the ids in any column of a table, or of some days, that belong to the list; unregistered days count, too."""
    delta, found = lake.delta(table), set[str]()
    if delta is None or not erased:
        return found
    seen: set[str] = set()
    where = ds.field("day").isin(list(days)) if days else None
    for batch in _batches(lake, delta, table, [name for name in ID_COLUMNS if name in TABLES[table].columns], where):
        for column in batch.columns:
            new = set(pc.unique(column).to_pylist()) - seen - {None}
            seen |= new
            ids = pa.array(sorted(new), pa.string())
            found |= set(ids.filter(pa.array(erased.among(ids))).to_pylist())
    return found


def accounts_of(lake: Lake, erased: Erased) -> set[str]:
    """Return the accounts of the persons who are in the list; a user id without a person is no one's account."""
    delta, found = lake.delta(USERS.name), set[str]()
    if delta is None or not erased:
        return found
    for batch in _batches(lake, delta, USERS.name, ["user_id", "person_id"]):
        if "person_id" in batch.schema.names:
            mine = pa.array(erased.among(batch["person_id"]))
            found |= set(batch["user_id"].filter(mine).to_pylist())
    return found


def _batches(
    lake: Lake, delta: DeltaTable, table: str, columns: list[str], where: ds.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    dataset = lake.dataset(delta, table)
    there = [name for name in columns if name in dataset.schema.names]  # a table of an earlier release has fewer
    yield from dataset.to_batches(columns=there, filter=where)


# --- removing


def remove_users(lake: Lake, table: str, ids: Iterable[str]) -> Removed:
    """Take the rows of some users out, by any column that names them."""
    removed, wanted, delta = Removed(), sorted(ids), lake.delta(table)
    if delta is None or not wanted:
        return removed
    columns = [one.name for one in delta.schema().fields if one.name in ID_COLUMNS]  # an earlier release has fewer
    where = reduce(or_, (ds.field(column).isin(wanted) for column in columns))
    remove_rows(lake, table, where, removed)
    return removed


def remove_rows(lake: Lake, table: str, where: ds.Expression, removed: Removed) -> None:
    """Take out the rows for which a condition holds; it may not be null for any."""
    rewrite(lake, table, where, lambda dataset, days: dataset.filter(days & ~where).scanner(**READING).to_batches(), removed)


def rewrite(lake: Lake, table: str, where: ds.Expression, make: Make, removed: Removed) -> None:
    """Write the days anew that hold rows for which a condition holds, some days a commit, and count both.

    Not with Delta's own delete and update: these write texts as Arrow's views, on which pyarrow can filter no more.

    Parameters
    ----------
    lake, table
        A table that exists.
    where
        Which rows are meant.
    make
        Makes the rows of some days from the table and a condition that says which days.
    removed
        Gets the counts.
    """
    rows = Counter[date]()
    for batch in lake.dataset(newest(lake, table), table).to_batches(columns=["day"], filter=where):
        rows.update(batch["day"].to_pylist())
    days = sorted(rows)
    for start in range(0, len(days), DAYS_A_COMMIT):
        some = days[start : start + DAYS_A_COMMIT]
        tried(lake, table, lambda delta, some=some: _rewrite_days(lake, table, delta, some, make), LOST)  # type: ignore[misc]
    removed.rows += rows.total()
    removed.days |= set(days)


def _rewrite_days(lake: Lake, table: str, delta: DeltaTable, days: Sequence[date], make: Make) -> None:
    dataset = lake.dataset(delta, table)
    plain = pa.schema([pa.field(one.name, one.type, one.nullable) for one in dataset.schema])
    made = make(dataset, ds.field("day").isin(list(days)))
    batches = pa.RecordBatchReader.from_batches(plain, (pa.RecordBatch.from_arrays(one.columns, schema=plain) for one in made))
    named = ", ".join(f"DATE '{day}'" for day in days)
    # the table as it was read: a commit on these days since then makes this one fail, and it is made anew
    write_deltalake(delta, batches, mode="overwrite", predicate=f"day IN ({named})", writer_properties=WRITING)


# --- what the rows leave behind


def drop_history(lake: Lake, table: str) -> tuple[Removed, list[str]]:
    """Remove the files that hold deleted rows, and the log entries that tell of them; what has to stay is said in sentences.

    Delta's log has the least and the greatest id of every file, and the conditions of deletes; so it begins anew with a
    checkpoint. Versions before can no longer be opened, and a run that was planned with one says so.
    """
    if lake.delta(table) is None:
        return Removed(), []
    removed, files = Removed(), files_of(lake, table)
    before = _sizes(files, "")
    for hours, full in ((0, False), (UNFINISHED_HOURS, True)):
        tried(lake, table, lambda delta, hours=hours, full=full: _vacuum(delta, hours, full), LOST)  # type: ignore[misc]
    _restart_log(lake, table)
    after = _sizes(files, "")
    gone = before.keys() - after.keys()
    removed.files, removed.bytes = len(gone), sum(before[path] for path in gone)
    return removed, _left(lake, table, after)


def _vacuum(delta: DeltaTable, hours: int, full: bool) -> None:
    delta.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=full)


def _restart_log(lake: Lake, table: str) -> None:
    kept = {**RETENTION, **tried(lake, table, lambda delta: _retention(delta), LOST)}
    tried(lake, table, lambda delta: delta.alter.set_table_properties(dict.fromkeys(RETENTION, "interval 0 days")), LOST)
    try:
        delta = newest(lake, table)
        delta.create_checkpoint()
        delta.cleanup_metadata()
    finally:
        tried(lake, table, lambda delta: delta.alter.set_table_properties(kept), LOST)


def _retention(delta: DeltaTable) -> dict[str, str]:
    found: Mapping[str, Any] = delta.metadata().configuration
    # 0 days is what an erasure that was killed here has left
    return {name: str(found[name]) for name in RETENTION if name in found and found[name] != "interval 0 days"}


def _left(lake: Lake, table: str, there: Mapping[str, int]) -> list[str]:
    delta = newest(lake, table)
    named = {path.rsplit("/", 1)[-1] for path in delta.file_uris()}
    loose = [path for path in there if path.endswith(".parquet") and LOG not in path and path.rsplit("/", 1)[-1] not in named]
    if not loose:
        return []
    hours = timedelta(hours=UNFINISHED_HOURS) // timedelta(hours=1)
    return [
        f"{table}: {len(loose)} files that no commit names are younger than {hours} hours and may belong to a write under way; "
        f"`recpipe maintain` removes them later."
    ]


def _sizes(files: FileSystem, folder: str) -> dict[str, int]:
    found = files.get_file_info(FileSelector(folder, recursive=True))
    return {info.path: info.size or 0 for info in found if info.is_file}


def by_day(pairs: Iterable[tuple[date, Any]]) -> dict[date, list[Any]]:
    """Return pairs of a day and a value by their day."""
    found: dict[date, list[Any]] = defaultdict(list)
    for day, value in pairs:
        found[day].append(value)
    return dict(found)
