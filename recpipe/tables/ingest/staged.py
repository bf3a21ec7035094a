"""The folder of staged days: typed parquet files by table and day, what was refused, and the facts of the run.

A staged folder holds ``items``, ``users``, ``events`` and ``quarantine``, each with parquet files named after their
day, and ``facts.json``. Nothing outside of it is touched, so a run that dies leaves nothing but its own folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recpipe.config.settings import Settings
from recpipe.contract import DELIVERED, TABLES
from recpipe.errors import AuditFailed, BadDelivery, Trouble
from recpipe.files import sha256_of, write_whole
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.duplicates import ROW

log = logging.getLogger(__name__)

FACTS = "facts.json"
DONE = ".done-"
"""Begins the name of a published folder while it is removed."""
AGAIN: Final = "Mend what is named there, then run the day again."


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
    parent = settings.places.work / "ingest" / name
    run = settings.run.run_name
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
    except (BadDelivery, AuditFailed, Trouble):
        _mark_open(settings, day)
        raise


def _mark_open(settings: Settings, day: date) -> None:
    try:
        lake = Lake.from_settings(settings)
        for table in DELIVERED:
            lake.mark_open(table.name, day)
    except Exception as error:  # of the lake, which may be what failed: the refusal itself is what has to be heard
        log.warning("%s was refused, and could not be registered as open (%s).", day, type(error).__name__)


# --- what was staged, so that it can be held against what is published


def write_facts(folder: Path, days: Mapping[str, Any], items_read: Sequence[Mapping[str, Any]], read: Mapping[str, Any]) -> None:
    """Write ``facts.json``: the counts, and rows and hash of every file; the text ends with a hash of its own."""
    files = {
        str(file.relative_to(folder)): {"rows": pq.read_metadata(file).num_rows, "sha256": sha256_of(file)}
        for file in sorted(folder.glob("*/*.parquet"))
    }
    facts = {"days": days, "items_read": items_read, "read": read, "files": files}
    write_whole(folder / FACTS, json.dumps({**facts, "sha256": _own_hash(facts)}, indent=1))


def read_facts(folder: Path, days: Sequence[date]) -> dict[str, Any]:
    """Return what `write_facts` wrote, once all files are there as they were staged.

    Raises
    ------
    Trouble
        If the folder is gone, or a file of it is gone, damaged, or was not staged.
    """
    again = f"Nothing was published. Stage {days[0]} again, then publish it."
    try:
        facts = dict(json.loads((folder / FACTS).read_text()))
    except OSError:
        raise Trouble(
            f"{folder} holds no staged day (it is removed once it is published): stage {days[0]} again, then publish it."
        ) from None
    except ValueError:
        raise Trouble(f"{folder / FACTS} is damaged. {again}") from None
    if facts.pop("sha256", "") != _own_hash(facts) or "files" not in facts:
        raise Trouble(f"{folder / FACTS} is damaged. {again}")
    for name, staged in facts["files"].items():
        if not (folder / name).is_file():
            raise Trouble(f"{folder} holds no {name}, where {staged['rows']:,} rows were staged. {again}")
        if sha256_of(folder / name) != staged["sha256"]:
            raise Trouble(f"{folder / name} has changed since its {staged['rows']:,} rows were staged. {again}")
    if strange := {str(file.relative_to(folder)) for file in folder.glob("*/*.parquet")} - facts["files"].keys():
        raise Trouble(f"{folder / min(strange)} was not staged by recpipe. {again}")
    return facts


def _own_hash(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
