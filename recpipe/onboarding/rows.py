"""The rows of a source through the very reading of the ingest: what it makes of a value is what is said here of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from recpipe.config import Settings
from recpipe.errors import BadDelivery
from recpipe.ingest.columns import convert, plan_columns
from recpipe.ingest.values import Shop
from recpipe.onboarding.sources import Source

BATCH: Final = 65_536
JOINED: Final = " "


@dataclass(frozen=True)
class Shape:
    """What is added to delivered rows while a log is cut.

    Attributes
    ----------
    constants
        Column -> the one value that all rows get, such as the type of events that come without one.
    title_from
        Columns that a title is joined of.
    instants
        Columns that hold INT96, and are written as the instants that they are.
    """

    constants: dict[str, str] = field(default_factory=dict)
    title_from: tuple[str, ...] = ()
    instants: tuple[str, ...] = ()


def shaped_batches(source: Source, shape: Shape) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a source as they are delivered, with what the shape adds.

    Raises
    ------
    BadDelivery
        If a file breaks off.
    """
    for file in source.files:
        try:
            with pq.ParquetFile(file, pre_buffer=False) as opened:
                for batch in opened.iter_batches(BATCH, use_threads=False):
                    yield _shaped(batch, shape)
        except (pa.ArrowException, OSError):
            raise BadDelivery(f"{file.name} is truncated or damaged: copy it again.") from None


def _shaped(batch: pa.RecordBatch, shape: Shape) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in shape.instants:
        columns[name] = columns[name].cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("us", "UTC"))
    if shape.title_from:
        parts = [_text(columns[name]) for name in shape.title_from]
        columns["title"] = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*parts, JOINED, null_handling="skip"))
    for name, value in shape.constants.items():
        columns[name] = pa.repeat(pa.scalar(value), batch.num_rows)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _text(array: pa.Array) -> pa.Array:
    plain = array.dictionary_decode() if pt.is_dictionary(array.type) else array
    return plain.cast(pa.string())


def read_rows(
    settings: Settings, table: str, source: Source, shape: Shape
) -> Iterator[tuple[pa.RecordBatch, dict[str, pa.Array]]]:
    """Yield the rows of a source, as delivered and in the contract's columns.

    Raises
    ------
    BadDelivery
        If its columns cannot become the table's; the text says which.
    """
    shop = Shop(settings.zone, settings.category_separator)
    plan = None
    for batch in shaped_batches(source, shape):
        plan = plan or plan_columns(settings, table, source.name, batch.schema)
        yield batch, convert(plan, batch, shop).columns
