"""The rows of a source through the very reading of the ingest: what it makes of a value is what is said here of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from recpipe.config.settings import Settings
from recpipe.onboarding.sources import Source
from recpipe.tables.ingest.landed.landing import LandedFile
from recpipe.tables.ingest.rows.columns import Rows, convert, plan_columns
from recpipe.tables.ingest.rows.file_reading import Batch, open_file, read_batches
from recpipe.tables.ingest.rows.shop_readings import Shop

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
    """

    constants: dict[str, str] = field(default_factory=dict)
    title_from: tuple[str, ...] = ()


def read_rows(settings: Settings, table: str, source: Source, shape: Shape) -> Iterator[Rows]:
    """Yield the rows of a source, with what the shape adds, as delivered and in the contract's columns.

    Raises
    ------
    BadDelivery
        If its columns cannot become the table's, or a file is damaged; the text says which.
    """
    shop = Shop.of(settings)
    for file in source.files:
        landed = _landed(file)
        with open_file(landed, file.name) as opened:
            plan = plan_columns(settings, table, file.name, _shaped(_empty(opened.schema_arrow), shape).rows.schema)
            for batch in read_batches(settings, landed, file.name, opened):
                yield convert(plan, _shaped(batch, shape), shop)


def _landed(file: Path) -> LandedFile:
    return LandedFile(fs.LocalFileSystem(), str(file.resolve()), file.name, file.stat().st_size)


def _empty(schema: pa.Schema) -> Batch:
    return Batch(pa.RecordBatch.from_arrays([pa.array([], kind.type) for kind in schema], schema=schema), {})


def _shaped(batch: Batch, shape: Shape) -> Batch:
    if not shape.constants and not shape.title_from:
        return batch
    names, columns = list(batch.rows.schema.names), list(batch.rows.columns)
    added = {name: pa.repeat(pa.scalar(value), batch.num_rows) for name, value in shape.constants.items()}
    if shape.title_from:
        parts = [batch.rows[name].cast(pa.string()) for name in shape.title_from]
        added["title"] = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*parts, JOINED, null_handling="skip"))
    kept = [(name, column) for name, column in zip(names, columns, strict=True) if name not in added]
    named = [*kept, *added.items()]
    rows = pa.RecordBatch.from_arrays([column for _, column in named], names=[name for name, _ in named])
    return Batch(rows, batch.broken)
