"""The folder of staged days: typed parquet files by table and day, what was refused, and the facts of the run.

A staged folder holds ``items``, ``users``, ``events`` and ``quarantine``, each with parquet files named after their
day, and ``facts.json``. Nothing outside of it is touched, so a run that dies leaves nothing but its own folder.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recpipe.config import Settings
from recpipe.contract import DELIVERED, TABLES
from recpipe.errors import AuditFailed, BadDelivery
from recpipe.ingest.duplicates import ROW
from recpipe.lake import Lake

FACTS = "facts.json"
DONE = ".done-"
"""Begins the name of a published folder while it is removed."""


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


def fresh_folder(settings: Settings, days: Sequence[date]) -> Path:
    """Make an empty folder for the staged days of this run."""
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


def staged_rows(folder: Path, table: str, days: Sequence[date]) -> ds.Dataset | pa.Table:
    """Return the staged rows of some days in the schema of the contract; a dataset, so that it can be streamed."""
    schema = TABLES[table].schema
    files = staged_files(folder, table, days)
    return ds.dataset([str(file) for file in files], schema=schema, format="parquet") if files else schema.empty_table()


def staged_schema(table: str) -> pa.Schema:
    """Return the schema of a table's staged files: that of the contract, and the row's number within the day's delivery."""
    return TABLES[table].schema.append(pa.field(ROW, pa.int64(), nullable=False))


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
