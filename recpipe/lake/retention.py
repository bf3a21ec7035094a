"""The retention of tables: small files joined, files without a needed version removed, the log shortened.

Each function takes one table, changes no row that a reader sees, and can be killed anywhere and run again. A commit that
joins files has no row in the register and needs none: a reader that meets its version finds the same rows as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from pyarrow.fs import FileSelector, FileSystem, FileType

from recpipe.lake.changes import files_of, newest, tried
from recpipe.lake.lake import Lake
from recpipe.lake.streams import WRITING

SMALL_BYTES: Final = 64 * 2**20
"""A file below this is joined with others of its day."""
DAYS_A_COMMIT: Final = 30
"""Days that one commit joins: few, so that a race that is lost costs little."""
UNFINISHED: Final = timedelta(days=1)
"""A file that stands in no commit may belong to a write under way until it is so old."""
LOG_FOLDER: Final = "_delta_log"
LOST: Final = "Nothing is broken; run `recpipe maintain` again when fewer days are being published."


@dataclass(frozen=True)
class Swept:
    """How many files a step took away, or would, and how many bytes they had."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Swept) -> Swept:
        return Swept(self.files + other.files, self.bytes + other.bytes)


def compact(lake: Lake, table: str, *, dry_run: bool = False) -> Swept:
    """Join the small files of each day, and all of those of the register; returns the files that were joined.

    Rows stay as they are, those of a day in their order. The files that were joined lie there until `vacuum` finds that no version
    within the retention needs them. A race that was lost to a publish is run again.

    Raises
    ------
    RecpipeError
        If every try was lost to other writers.
    """
    delta = lake.delta(table)
    if delta is None:
        return Swept()
    days, small = _scattered(delta)
    if dry_run or not small.files:
        return small
    if days is None:
        tried(lake, table, lambda found: _join(found, None), LOST)
        return small
    for start in range(0, len(days), DAYS_A_COMMIT):
        some = [("day", "in", [str(day) for day in days[start : start + DAYS_A_COMMIT]])]
        tried(lake, table, lambda found, some=some: _join(found, some), LOST)  # type: ignore[misc]  # mypy wants no default here
    return small


def vacuum(lake: Lake, table: str, keep: timedelta, *, dry_run: bool = False) -> Swept:
    """Remove the files of a table that no kept version needs; returns what was removed.

    Parameters
    ----------
    lake, table
        The table, the register among them.
    keep
        Every version that was the newest at any time since so long ago stays readable, and every version that a row
        which came into the register since then names. 0 keeps the newest version alone. A file that stands in no commit
        is left for a day in any case: it may belong to a write under way.
    dry_run
        Say what would be removed.
    """
    delta = lake.delta(table)
    if delta is None:
        return Swept()
    since = datetime.now(UTC) - keep
    versions = kept_versions(lake, delta, table, since)
    found = {path for hours, full in _looks(keep) for path in _vacuum(delta, hours, full, versions, dry_run=True)}
    files = files_of(lake, table)
    swept = _there(files, sorted(found))
    if not swept.files or dry_run:
        return swept
    for hours, full in _looks(keep):
        _vacuum(delta, hours, full, versions, dry_run=False)
    left = _there(files, sorted(found))  # a store may keep what it was told to remove
    return Swept(swept.files - left.files, swept.bytes - left.bytes)


def clean_log(lake: Lake, table: str, keep: timedelta, *, dry_run: bool = False) -> Swept:
    """Write a checkpoint, and remove the log entries that are older than twice ``keep``; returns what was removed.

    Twice, since a day that was registered ``keep`` ago may have been made from a version that was pinned ``keep`` earlier.
    Delta itself shortens the log after 30 days if the table does not say otherwise; this makes it say so.
    """
    delta = lake.delta(table)
    if delta is None:
        return Swept()
    files = files_of(lake, table)
    if dry_run:
        return _old_entries(files, delta, datetime.now(UTC) - 2 * keep)
    _set_retention(lake, table, keep)
    delta, before = newest(lake, table), _log(files)
    if f"{LOG_FOLDER}/{delta.version():020d}.checkpoint.parquet" not in before:
        delta.create_checkpoint()
    delta.cleanup_metadata()
    gone = before.keys() - _log(files).keys()
    return Swept(len(gone), sum(before[path] for path in gone))


def kept_versions(lake: Lake, delta: DeltaTable, table: str, since: datetime) -> list[int]:
    """Return versions whose files make up all that has to stay readable: newest at some time since, or named since.

    Of versions whose next commit took no file away the last one stands for all.
    """
    history = {int(entry["version"]): entry for entry in delta.history()}
    newest = delta.version()
    kept = {
        version
        for version in history
        if version < newest and _after(history.get(version + 1), since) and _takes_away(history[version + 1])
    }
    named = {
        entry.version for record in lake.days() if record.recorded_at >= since for entry in record.inputs if entry.table == table
    } | {record.table_version for record in lake.days(table) if record.recorded_at >= since}
    return sorted(kept | {version for version in named if version in history and version < newest})


def _after(entry: dict[str, Any] | None, since: datetime) -> bool:
    return entry is not None and datetime.fromtimestamp(entry["timestamp"] / 1000, UTC) >= since


def _takes_away(entry: dict[str, Any]) -> bool:
    """Return whether a commit may have taken files away; what it does not say counts as yes."""
    parameters, metrics = entry.get("operationParameters") or {}, entry.get("operationMetrics") or {}
    if (
        str(entry.get("operation", "")).startswith(("VACUUM", "SET TBLPROPERTIES", "ADD COLUMN"))
        or parameters.get("mode") == "Append"
    ):
        return False
    return bool(metrics.get("num_removed_files", 1))


def _scattered(delta: DeltaTable) -> tuple[list[date] | None, Swept]:
    """Return the days that have more than one small file (None: the table has no days), and these files."""
    actions = pa.table(delta.get_add_actions(flatten=True))
    partitioned = "partition.day" in actions.column_names
    days = actions["partition.day"].to_pylist() if partitioned else [None] * actions.num_rows
    small = [(day, size) for day, size in zip(days, actions["size_bytes"].to_pylist(), strict=True) if size < SMALL_BYTES]
    counts = Counter(day for day, _ in small)
    joined = [size for day, size in small if counts[day] > 1]
    scattered = sorted(day for day, count in counts.items() if count > 1 and day is not None)
    return (scattered if partitioned else None), Swept(len(joined), sum(joined))


def _join(delta: DeltaTable, where: Any) -> None:
    delta.optimize.compact(
        partition_filters=where,
        writer_properties=WRITING,
        max_concurrent_tasks=1,
        commit_properties=CommitProperties(custom_metadata={"recpipe": "compact"}),
    )


def _looks(keep: timedelta) -> list[tuple[int, bool]]:
    """Return hours and kind of the vacuums to run: what a commit took away, and what stands in no commit."""
    hours, unfinished = (int(span.total_seconds() // 3600) for span in (keep, UNFINISHED))
    return [(hours, True)] if hours >= unfinished else [(hours, False), (unfinished, True)]


def _vacuum(delta: DeltaTable, hours: int, full: bool, versions: Sequence[int], *, dry_run: bool) -> list[str]:
    return delta.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=full, keep_versions=list(versions) or None)


def _set_retention(lake: Lake, table: str, keep: timedelta) -> None:
    wanted = {
        "delta.logRetentionDuration": f"interval {max(1, 2 * keep.days)} days",
        "delta.deletedFileRetentionDuration": f"interval {max(1, keep.days)} days",
    }

    def change(delta: DeltaTable) -> None:
        if any(delta.metadata().configuration.get(name) != value for name, value in wanted.items()):
            delta.alter.set_table_properties(wanted)

    tried(lake, table, change, LOST)


def _there(files: FileSystem, paths: Sequence[str]) -> Swept:
    """Count the files that are there: Delta names those that an earlier vacuum removed again, as long as its log does."""
    infos = files.get_file_info(list(paths)) if paths else []
    sizes = [info.size or 0 for info in infos if info.type == FileType.File]
    return Swept(len(sizes), sum(sizes))


def _log(files: FileSystem) -> dict[str, int]:
    found = files.get_file_info(FileSelector(LOG_FOLDER))
    return {info.path: info.size or 0 for info in found if info.type == FileType.File}


def _old_entries(files: FileSystem, delta: DeltaTable, before: datetime) -> Swept:
    """Return the log entries that a checkpoint written now would make superfluous."""
    old = [
        info.size or 0
        for info in files.get_file_info(FileSelector(LOG_FOLDER))
        if info.type == FileType.File and info.path.rsplit("/", 1)[-1][:20].isdigit() and info.mtime and info.mtime < before
    ]
    return Swept(len(old), sum(old)) if delta.version() else Swept()
