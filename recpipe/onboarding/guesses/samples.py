"""The contents of a source's columns, from a sample of its rows that is spread over its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from recpipe.errors import BadDelivery
from recpipe.onboarding.sources import Source
from recpipe.tables.ingest.rows.plain_types import plain_batch
from recpipe.tables.ingest.rows.stored_schema import FAULTS

ROWS: Final = 100_000
PIECES: Final = 20
MOST_VALUES: Final = 40


@dataclass(frozen=True)
class Column:
    """What a column of a sample holds.

    Attributes
    ----------
    name
        As delivered; fields of structs by their path.
    kind
        Arrow type of its values.
    filled
        Share of rows that have a value.
    distinct
        Different values among them.
    unique
        Whether no value comes twice.
    common
        The commonest values as text, with their counts; empty where there are more than a few.
    """

    name: str
    kind: pa.DataType
    filled: float
    distinct: int
    unique: bool
    common: tuple[tuple[str, int], ...]

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return bool(pt.is_string(self.kind) or pt.is_large_string(self.kind) or pt.is_string_view(self.kind))

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return bool(pt.is_integer(self.kind) or pt.is_floating(self.kind) or pt.is_decimal(self.kind))


@dataclass(frozen=True)
class Sample:
    """Rows of a source, flat, and what their columns hold."""

    source: Source
    rows: pa.Table
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column | None:
        """Return a column by its name; None if there is none."""
        return next((column for column in self.columns if column.name == name), None)


def sample(source: Source) -> Sample:
    """Read up to `ROWS` rows of a source, spread over its files and row groups.

    Raises
    ------
    BadDelivery
        If a file is damaged.
    """
    rows = _flat(pa.concat_tables(list(_pieces(source)), promote_options="permissive"))
    return Sample(source, rows, tuple(look(name, rows[name]) for name in dict.fromkeys(rows.schema.names)))


def _pieces(source: Source) -> Iterator[pa.Table]:
    groups = [(file, number) for file in source.files for number in range(pq.read_metadata(file).num_row_groups)]
    if not groups:
        yield source.schema.empty_table()
        return
    chosen = groups if len(groups) <= PIECES else [groups[at] for at in np.linspace(0, len(groups) - 1, PIECES).astype(int)]
    for file, number in chosen:
        try:
            with pq.ParquetFile(file, pre_buffer=False) as opened:
                most = max(1, ROWS // len(chosen))
                batch = next(opened.iter_batches(most, row_groups=[number], use_threads=False), None)
                if batch is not None:
                    yield pa.Table.from_batches([plain_batch(batch)[0]])
        except FAULTS:
            raise BadDelivery(f"{file.name} is truncated or damaged: copy it again.") from None


def _flat(rows: pa.Table) -> pa.Table:
    while any(pt.is_struct(field.type) for field in rows.schema):
        rows = rows.flatten()
    return rows


def look(name: str, array: pa.ChunkedArray) -> Column:
    """Say what a column holds."""
    kind = array.type.value_type if pt.is_dictionary(array.type) else array.type
    filled = 1 - array.null_count / max(1, len(array))
    if pt.is_nested(kind) or pt.is_null(kind) or len(array) == array.null_count:
        return Column(name, kind, filled if not pt.is_null(kind) else 0.0, 0, False, ())
    if pt.is_dictionary(array.type):
        array = array.cast(kind)
    if pt.is_string_view(kind) or pt.is_binary_view(kind):
        array = array.cast(pa.large_string() if pt.is_string_view(kind) else pa.large_binary())
    counts = pc.value_counts(array.drop_null().combine_chunks())
    distinct = len(counts)
    common = _common(counts) if distinct <= MOST_VALUES else ()
    return Column(name, kind, filled, distinct, distinct == len(array) - array.null_count, common)


def _common(counts: pa.StructArray) -> tuple[tuple[str, int], ...]:
    pairs: list[tuple[Any, int]] = [(one["values"], one["counts"]) for one in counts.to_pylist()]
    return tuple((str(value), count) for value, count in sorted(pairs, key=lambda pair: -pair[1]))
