"""Uniqueness within a day, in bounded memory: DuckDB looks for keys that come twice and spills what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import TABLES

if TYPE_CHECKING:
    import duckdb

ROW = "_row"
"""Column of the staged files that holds the row's number within the day's delivery of its table."""

LEAST_EVENTS = 1_000
"""Events of a day below which one user may well have most of them."""


@contextmanager
def database(settings: Settings, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory that spills into a folder what does not fit."""
    import duckdb

    spill = (scratch / "spill").resolve()
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{settings.intake.duplicate_memory_mb}MiB",
        "temp_directory": str(spill),
        "threads": 1,
        "preserve_insertion_order": False,
    }
    with duckdb.connect(":memory:", config=options) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def count_duplicates(settings: Settings, table: str, files: Sequence[Path], scratch: Path) -> dict[date, int]:
    """Return, for the days that have any, how many rows repeat the key of another row of their day.

    Parameters
    ----------
    settings
        Say how much memory may be used.
    table
        Name of the table; its key is in the contract.
    files
        Staged parquet files of the table.
    scratch
        Folder for what does not fit into memory.
    """
    if not files:
        return {}
    key = ", ".join(f'"{name}"' for name in TABLES[table].key)
    query = f"""
        SELECT day, CAST(SUM(times - 1) AS BIGINT) FROM (
            SELECT day, {key}, COUNT(*) AS times FROM read_parquet(?) GROUP BY day, {key} HAVING COUNT(*) > 1
        ) GROUP BY day
    """  # noqa: S608  # the names are the contract's
    with database(settings, scratch) as connection:
        found = connection.execute(query, [[str(file) for file in files]]).fetchall()
    return dict(found)


def write_repeated(settings: Settings, table: str, file: Path, target: Path) -> None:
    """Write the numbers of the rows of a day whose key comes more than once, ascending."""
    key = ", ".join(f'"{name}"' for name in TABLES[table].key)
    query = f"""
        COPY (
            SELECT {ROW} FROM read_parquet($file) AS staged
            SEMI JOIN (SELECT {key} FROM read_parquet($file) AS again GROUP BY {key} HAVING COUNT(*) > 1) USING ({key})
            ORDER BY {ROW}
        ) TO '{quoted(target)}' (FORMAT PARQUET)
    """  # noqa: S608  # the names are the contract's, the target is ours
    with database(settings, target.parent) as connection:
        connection.execute(query, {"file": str(file)})


def write_fates(settings: Settings, table: str, file: Path, contents: Path, target: Path) -> tuple[int, int]:
    """Write the rows of a day that give way to another one of their key, ascending, and whether they are copies of another row.

    Of two states of a key the later stays: of events by their time, of items and users by their version where the shop
    delivers one, and then by their place in the delivery (files by name).

    Parameters
    ----------
    settings
        Say how much memory may be used.
    table
        Name of the table.
    file
        Its staged file.
    contents
        Parquet file of the rows whose key comes more than once: number, ``content`` (equal in copies alone), ``version``.
    target
        Where to write numbers and ``copy``.

    Returns
    -------
    int, int
        Copies, and rows that a later one replaces.
    """
    key = ", ".join(f'"{name}"' for name in TABLES[table].key)
    later = "ts DESC" if table == "events" else "version DESC NULLS LAST"
    query = f"""
        COPY (
            SELECT {ROW}, again > 1 AS copy FROM (
                SELECT {ROW},
                    ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {later}, {ROW} DESC) AS place,
                    ROW_NUMBER() OVER (PARTITION BY {key}, content ORDER BY {later}, {ROW} DESC) AS again
                FROM read_parquet($file) AS staged JOIN read_parquet($contents) AS contents USING ({ROW})
            ) WHERE place > 1 ORDER BY {ROW}
        ) TO '{quoted(target)}' (FORMAT PARQUET)
    """  # noqa: S608  # the names are the contract's, the target is ours
    counted = "SELECT COUNT(*) FILTER (copy), COUNT(*) FILTER (NOT copy) FROM read_parquet(?)"
    with database(settings, target.parent) as connection:
        connection.execute(query, {"file": str(file), "contents": str(contents)})
        copies, replaced = connection.execute(counted, [str(target)]).fetchall()[0]
    return int(copies), int(replaced)


def largest_user_shares(settings: Settings, files: Sequence[Path], scratch: Path) -> dict[date, float]:
    """Return, by day, the share of staged events that the user with the most of them has; of small days nothing."""
    if not files:
        return {}
    query = """
        SELECT day, MAX(events) FILTER (user_id IS NOT NULL) / SUM(events) FROM (
            SELECT day, user_id, COUNT(*) AS events FROM read_parquet(?) GROUP BY day, user_id
        ) GROUP BY day HAVING SUM(events) >= ?
    """
    with database(settings, scratch) as connection:
        found = connection.execute(query, [[str(file) for file in files], LEAST_EVENTS]).fetchall()
    return {day: float(share or 0) for day, share in found}


def quoted(path: Path) -> str:
    """Return a path as it stands in a text of SQL."""
    return str(path).replace("'", "''")


class RowNumbers:
    """Ascending row numbers in a file, read a batch at a time, with what the file says of each row."""

    def __init__(self, file: Path, batch_rows: int) -> None:
        self._batches = pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_rows)
        self._waiting: pa.Table | None = None

    def before(self, stop: int) -> NDArray[np.int64]:
        """Return the numbers below ``stop`` that were not returned yet."""
        return self.rows_before(stop)[0]

    def rows_before(self, stop: int) -> tuple[NDArray[np.int64], pa.Table]:
        """Return the numbers below ``stop`` that were not returned yet, and their rows of the file."""
        waiting = self._waiting
        while waiting is None or not waiting.num_rows or waiting[0][-1].as_py() < stop:
            batch = next(self._batches, None)
            if batch is None:
                break
            more = pa.Table.from_batches([batch])
            waiting = more if waiting is None else pa.concat_tables([waiting, more])
        if waiting is None:
            return np.empty(0, dtype=np.int64), pa.table({ROW: pa.array([], pa.int64()), "copy": pa.array([], pa.bool_())})
        numbers = waiting[0].to_numpy()
        count = int(np.searchsorted(numbers, stop))
        found, self._waiting = waiting.slice(0, count), waiting.slice(count)
        return numbers[:count], found
