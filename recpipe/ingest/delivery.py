"""What a shop dropped for a day: the files, whether they are all there, and their rows a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config import Settings
from recpipe.contract import DELIVERED
from recpipe.errors import BadDelivery
from recpipe.privacy.keys import has_key

MARK = "_SUCCESS"


@dataclass(frozen=True)
class Delivery:
    """The delivery of one day.

    Attributes
    ----------
    day
        The day it is for.
    landing
        The landing folder.
    files
        Parquet files by table, sorted by name; none where nothing happened.
    missing
        Tables whose folder has no ``_SUCCESS`` yet.
    """

    day: date
    landing: Path
    files: dict[str, tuple[Path, ...]]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether ``_SUCCESS`` stands in the folder of every table."""
        return not self.missing

    @property
    def message(self) -> str:
        """What is missing and what to do; empty if nothing is."""
        if self.complete:
            return ""
        folders = ", ".join(f"{table}/day={self.day}" for table in self.missing)
        return (
            f"The delivery of {self.day} is not complete: {MARK} is missing in {folders} under {self.landing}. "
            f"Write {MARK} into each folder once its last file is there; a folder with {MARK} alone says that nothing happened."
        )


def find_delivery(settings: Settings, day: date) -> Delivery:
    """Look for the delivery of a day; nothing is opened."""
    landing = settings.landing_root
    folders = {table.name: landing / table.name / f"day={day}" for table in DELIVERED}
    missing = tuple(name for name, folder in folders.items() if not (folder / MARK).exists())
    return Delivery(day, landing, {name: _files(folder) for name, folder in folders.items()}, missing)


def require_delivery(settings: Settings, day: date) -> Delivery:
    """Return the delivery of a day.

    Raises
    ------
    BadDelivery
        If it is not complete; the text names the folders.
    """
    delivery = find_delivery(settings, day)
    if not delivery.complete:
        raise BadDelivery(delivery.message)
    return delivery


def _files(folder: Path) -> tuple[Path, ...]:
    # what begins with a dot or an underscore is somebody's half-written file, as everywhere in the world of parquet
    return tuple(sorted(path for path in folder.glob("*.parquet") if path.name[0] not in "._"))


def short_name(file: Path) -> str:
    """Name a file as people find it in the landing folder: table/day=D/name."""
    return "/".join(file.parts[-3:])


def shown_name(settings: Settings, file: Path) -> str:
    """Name a file for messages and for the quarantine: as `short_name` does, and with a key of user ids by its place alone.

    Shops name files after customers, too; the place is that among the files of the folder, by name.
    """
    if not has_key(settings):
        return short_name(file)
    files = _files(file.parent)
    return "/".join([*file.parts[-3:-1], f"file {files.index(file) + 1} of {len(files)}"])


def open_file(file: Path, shown: str) -> pq.ParquetFile:
    """Open a delivered file; ``shown`` is its name in messages.

    Raises
    ------
    BadDelivery
        If it is no parquet file, or not a whole one.
    """
    try:
        # without pre-buffering, and with a small buffer, no more than a batch's pages are held
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 18)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, shown) from error


def read_batches(file: Path, shown: str, opened: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a delivered file, at most so many at a time.

    Raises
    ------
    BadDelivery
        If the file breaks off or holds text that is not UTF-8.
    """
    try:
        for batch in opened.iter_batches(rows, use_threads=False):
            batch.validate(full=True)
            yield batch
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, shown) from error


def _unreadable(file: Path, shown: str) -> BadDelivery:
    try:
        with file.open("rb") as stream:
            begins = stream.read(4) == b"PAR1"
    except OSError:
        return BadDelivery(f"{shown} cannot be opened: give recpipe the right to read it, then run the day again.")
    if not begins:
        return BadDelivery(f"{shown} is no parquet file: write it as parquet, then run the day again.")
    return BadDelivery(
        f"{shown} is truncated or damaged: copy it again, and write {MARK} only after the last byte; then run the day again."
    )
