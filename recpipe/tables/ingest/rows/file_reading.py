"""The rows of a delivered file, a batch at a time; a file that cannot be read is refused by name.

What the parquet file says counts, not what Arrow makes of it alone: INT96, and timestamps of writers from before parquet
could say it, are instants in UTC. Rows are counted against the file's own count, and pages against their checksums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray
from pyarrow import fs

from recpipe.config.settings import Settings
from recpipe.errors import BadDelivery
from recpipe.tables.ingest.landed.landing import LandedFile
from recpipe.tables.ingest.landed.stores import reached
from recpipe.tables.ingest.rows.plain_types import Path, plain_batch
from recpipe.tables.ingest.rows.shop_readings import Mask
from recpipe.tables.ingest.rows.stored_schema import FAULTS, WithoutStoredTypes, holds_fixed_lists
from recpipe.user_ids.masked_texts import shown_columns

UNDATED: Final = "is_from_converted_type=true"
"""In the name of a logical type: the writer knew no other way to say that a timestamp is an instant in UTC."""


@dataclass(frozen=True)
class Batch:
    r"""Some rows of a delivered file.

    Attributes
    ----------
    rows
        Columns in plain types, each under a name of its own.
    broken
        By path of a column or field, the rows whose text there is not UTF-8; its bytes stand there as ``\xe9``.
    """

    rows: pa.RecordBatch
    broken: dict[Path, Mask]

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.rows.num_rows)

    def take(self, at: NDArray[np.int64]) -> Batch:
        """Return some of the rows, by their places."""
        return Batch(self.rows.take(pa.array(at)), {path: rows[at] for path, rows in self.broken.items()})


def open_file(file: LandedFile, shown: str) -> pq.ParquetFile:
    """Open a delivered file; ``shown`` is its name in messages.

    Raises
    ------
    BadDelivery
        If it is no parquet file, or not a whole one.
    """
    try:
        opened = _parquet(file.open())
        if any(holds_fixed_lists(field.type) for field in opened.schema_arrow):
            opened.close()
            opened = _parquet(pa.PythonFile(WithoutStoredTypes(file.open()), "r"))
    except pa.ArrowNotImplementedError as error:
        raise BadDelivery(
            f"{shown} cannot be read: {_first_line(error)}. Write it in another way, then run the day again."
        ) from error
    except FAULTS as error:
        raise _unreadable(file, shown, "") from error
    return opened


def _parquet(source: pa.NativeFile) -> pq.ParquetFile:
    # without pre-buffering, and with a small buffer, no more than a batch's pages are held
    return pq.ParquetFile(
        source, pre_buffer=False, buffer_size=1 << 18, coerce_int96_timestamp_unit="us", page_checksum_verification=True
    )


def read_batches(settings: Settings, file: LandedFile, shown: str, opened: pq.ParquetFile) -> Iterator[Batch]:
    """Yield the rows of a delivered file, ``batch_rows`` of the settings at most at a time.

    Raises
    ------
    BadDelivery
        If the file breaks off, is damaged, changes while it is read, or gives another number of rows than it says it has.
    """
    before = _state(file)
    instants = _instants(opened) if settings.shop.int96_times == "utc" else None
    seen = 0
    try:
        for batch in _batches(opened, settings.intake.batch_rows):
            rows, broken = plain_batch(batch if instants is None else _with_instants(batch, instants))
            seen += rows.num_rows
            yield Batch(rows, broken)
    except FAULTS as error:
        if _state(file) != before:
            raise _changed(shown) from error
        raise _unreadable(file, shown, _culprit(settings, opened, seen)) from error
    if _state(file) != before:
        raise _changed(shown)
    if seen != opened.metadata.num_rows:
        raise BadDelivery(
            f"{shown} says that it has {opened.metadata.num_rows:,} rows, and {seen:,} came: it is damaged. Copy it again, then run "
            f"the day again."
        )


def _batches(opened: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches; one row group after another where lists hold dictionaries, which Arrow cannot join across groups."""
    if any(_holds_dictionaries(field.type, False) for field in opened.schema_arrow):
        for group in range(opened.num_row_groups):
            yield from opened.iter_batches(rows, row_groups=[group], use_threads=False)
    else:
        yield from opened.iter_batches(rows, use_threads=False)


def _holds_dictionaries(kind: pa.DataType, inside: bool) -> bool:
    """Whether a type has a dictionary below its surface."""
    if pt.is_dictionary(kind):
        return inside
    return any(_holds_dictionaries(kind.field(at).type, True) for at in range(kind.num_fields))


def _instants(opened: pq.ParquetFile) -> pa.Schema | None:
    """Return the file's schema with a zone for the times that are instants though Arrow does not say so; None if all is said."""
    schema = opened.schema_arrow
    columns = [opened.schema.column(place) for place in range(len(opened.schema))]
    leaves = iter([column.physical_type == "INT96" or UNDATED in str(column.logical_type) for column in columns])
    fields = [field.with_type(_instant(field.type, leaves)) for field in schema]
    said = pa.schema(fields)
    return None if said.equals(schema.remove_metadata()) or next(leaves, None) is not None else said


def _instant(kind: pa.DataType, leaves: Iterator[bool]) -> pa.DataType:
    """Return a type with a zone for its instants; takes one leaf of the parquet schema for each of its own."""
    if pt.is_struct(kind):
        return pa.struct([field.with_type(_instant(field.type, leaves)) for field in kind])
    if pt.is_map(kind):
        return pa.map_(_instant(kind.key_type, leaves), _instant(kind.item_type, leaves))
    if pt.is_list(kind) or pt.is_large_list(kind):
        value = kind.value_field.with_type(_instant(kind.value_type, leaves))
        return pa.list_(value) if pt.is_list(kind) else pa.large_list(value)
    if isinstance(kind, pa.BaseExtensionType) or pt.is_nested(kind):  # nobody's times: only their leaves are counted
        _instant(kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type, leaves)
        return kind
    instant = next(leaves, False)
    return pa.timestamp(kind.unit, "UTC") if instant and pt.is_timestamp(kind) and kind.tz is None else kind


def _with_instants(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _state(file: LandedFile) -> tuple[int | None, int | None]:
    """Return what changes when a file is written again: its size and when it was written; nothing of a file that is gone.

    Raises
    ------
    Unreachable
        If that cannot be asked: nobody knows then whether it was changed.
    """
    with reached():
        info = file.filesystem.get_file_info(file.path)
    return (None, None) if info.type == fs.FileType.NotFound else (info.size, info.mtime_ns)


def _changed(shown: str) -> BadDelivery:
    return BadDelivery(
        f"{shown} was changed or removed while it was read: write _SUCCESS only after the last byte, and a correction under a name "
        f"that is new; then run the day again."
    )


def _culprit(settings: Settings, opened: pq.ParquetFile, seen: int) -> str:
    """Name the first column that cannot be read, and the row near which reading ended."""
    for place, name in enumerate(opened.schema_arrow.names):
        leaves = [opened.schema.column(leaf).path for leaf in range(len(opened.schema))]
        mine = [leaf for leaf in leaves if leaf == name or leaf.startswith(f"{name}.")]
        try:
            for batch in opened.iter_batches(settings.intake.batch_rows, columns=mine, use_threads=False):
                plain_batch(batch)
        except FAULTS:
            column = shown_columns(settings.privacy, opened.schema_arrow.names[: place + 1]).rpartition(", ")[2]
            return f" in column {column}, from row {seen} on"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")[:200]


def _unreadable(file: LandedFile, shown: str, where: str) -> BadDelivery:
    try:
        with file.open() as stream:
            begins = stream.read(4) == b"PAR1"
    except OSError:
        return BadDelivery(f"{shown} cannot be opened: give recpipe the right to read it, then run the day again.")
    if not begins:
        return BadDelivery(f"{shown} is no parquet file: write it as parquet, then run the day again.")
    return BadDelivery(
        f"{shown} is truncated or damaged{where}: copy it again, and write _SUCCESS only after the last byte; then run the day again."
    )
