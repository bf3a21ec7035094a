"""Uniqueness within a day, in bounded memory: DuckDB looks for keys that come twice and spills what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.contract import TABLES

if TYPE_CHECKING:
    import duckdb

ROW = "_row"
"""Column of the staged files that holds the row's number within the day's delivery of its table."""


@contextmanager
def _database(settings: Settings, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    spill = (scratch / "spill").resolve()
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{settings.duplicate_memory_mb}MiB",
        "temp_directory": str(spill),
        "threads": 1,
        "preserve_insertion_order": False,
    }
    with duckdb.connect(":memory:", config=options) as connection:
        connection.execute("SET enable_progress_bar = false")
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
    with _database(settings, scratch) as connection:
        found = connection.execute(query, [[str(file) for file in files]]).fetchall()
    return dict(found)


def write_duplicates(settings: Settings, table: str, file: Path, target: Path) -> None:
    """Write the numbers of the rows of a day that repeat another one's key, ascending.

    Of the rows with one key that row stays which is first by the values of its columns, and then by its number, so
    that neither names nor order of the delivered files decide.
    """
    contract = TABLES[table]
    key = ", ".join(f'"{name}"' for name in contract.key)
    order = ", ".join(f'CAST("{name}" AS VARCHAR) NULLS LAST' for name in contract.columns if name not in contract.key)
    query = f"""
        COPY (
            SELECT {ROW} FROM (
                SELECT {ROW}, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}, {ROW}) AS place
                FROM read_parquet($file)
                SEMI JOIN (SELECT {key} FROM read_parquet($file) GROUP BY {key} HAVING COUNT(*) > 1) USING ({key})
            ) WHERE place > 1 ORDER BY {ROW}
        ) TO '{_quoted(target)}' (FORMAT PARQUET)
    """  # noqa: S608  # the names are the contract's, the target is ours
    with _database(settings, target.parent) as connection:
        connection.execute(query, {"file": str(file)})


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


class RowNumbers:
    """Ascending row numbers in a file, read a batch at a time."""

    def __init__(self, file: Path, batch_rows: int) -> None:
        self._batches = pq.ParquetFile(file, pre_buffer=False).iter_batches(batch_rows)
        self._waiting: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def before(self, stop: int) -> NDArray[np.int64]:
        """Return the numbers below ``stop`` that were not returned yet."""
        while not len(self._waiting) or self._waiting[-1] < stop:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._waiting = np.concatenate([self._waiting, batch.column(0).to_numpy()])
        count = int(np.searchsorted(self._waiting, stop))
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return found
