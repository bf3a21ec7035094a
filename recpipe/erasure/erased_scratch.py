"""Scratch that holds rows of erased users: staged days, training inputs, and vectors of their texts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config.place_settings import PlaceSettings
from recpipe.errors import RecpipeError
from recpipe.lake.tombstones import ID_COLUMNS, Erased
from recpipe.pipeline.erased_texts import TEXT_TABLES
from recpipe.text.cache import forget

SPEAKING: Final = (*TEXT_TABLES, "quarantine")
"""Staged tables that hold something of users and do not say of whom."""


def staged_folders(places: PlaceSettings, erased: Erased) -> Iterator[Path]:
    """Yield the folders of runs that staged rows of the list, or that nobody can tell of."""
    for pattern in ("ingest/*/*", "nights/*/*"):
        for folder in sorted(places.work.glob(pattern)):
            if folder.is_dir() and any(_holds(file, erased) for file in folder.rglob("*") if file.is_file()):
                yield folder


def training_inputs(places: PlaceSettings) -> Iterator[Path]:
    """Yield the folders of training inputs; histories stand in them by number, so nobody can say whose is whose."""
    yield from sorted(path for path in places.work.glob("train/*") if path.is_dir())


def remove_folder(folder: Path) -> tuple[int, int]:
    """Remove a folder and return how many files and bytes it had.

    Raises
    ------
    RecpipeError
        If it is still there: an erasure may not say of anything that it is gone which is not.
    """
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RecpipeError(
            f"{folder} may hold rows of users that are to be erased, and could not be removed whole. Give recpipe the right to "
            f"remove it, or let the run that writes there end; then run the erasure again, which goes on where it stopped."
        )
    return len(sizes), sum(sizes)


def forget_vectors(places: PlaceSettings, keys: Set[bytes]) -> int:
    """Remove vectors of texts from the cache of every encoder; returns how many."""
    return sum(forget(file, sorted(keys)) for file in sorted((places.work / "encoder").glob("*.sqlite"))) if keys else 0


def _holds(file: Path, erased: Erased) -> bool:
    if file.suffix == ".json" or file.name.startswith("duplicates"):
        return False
    if any(part in SPEAKING for part in file.parts[-3:]):
        return True
    try:
        with pq.ParquetFile(file) as opened:
            there = [name for name in ID_COLUMNS if name in opened.schema_arrow.names]
            return any(_names(batch, erased) for batch in opened.iter_batches(columns=there)) if there else False
    except (pa.ArrowException, OSError):  # being written, or what a killed run has left
        return True


def _names(batch: pa.RecordBatch, erased: Erased) -> bool:
    return erased.rows({name: batch[name] for name in batch.schema.names}) is not None
