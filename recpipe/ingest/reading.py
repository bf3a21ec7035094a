"""The rows of a delivered file, a batch at a time; a file that cannot be read is refused by name."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.errors import BadDelivery
from recpipe.ingest.landing import LandedFile


def open_file(file: LandedFile, shown: str) -> pq.ParquetFile:
    """Open a delivered file; ``shown`` is its name in messages.

    Raises
    ------
    BadDelivery
        If it is no parquet file, or not a whole one.
    """
    try:
        # without pre-buffering, and with a small buffer, no more than a batch's pages are held
        return pq.ParquetFile(file.open(), pre_buffer=False, buffer_size=1 << 18)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, shown) from error


def read_batches(file: LandedFile, shown: str, opened: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
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


def _unreadable(file: LandedFile, shown: str) -> BadDelivery:
    try:
        with file.open() as stream:
            begins = stream.read(4) == b"PAR1"
    except OSError:
        return BadDelivery(f"{shown} cannot be opened: give recpipe the right to read it, then run the day again.")
    if not begins:
        return BadDelivery(f"{shown} is no parquet file: write it as parquet, then run the day again.")
    return BadDelivery(
        f"{shown} is truncated or damaged: copy it again, and write _SUCCESS only after the last byte; then run the day again."
    )
