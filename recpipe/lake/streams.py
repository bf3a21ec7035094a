"""Rows of files and tables as a stream of batches."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import WriterProperties

STREAM_ROWS = 65_536
"""Rows that are held at a time where a dataset is read or written."""


WRITING = WriterProperties(max_row_group_size=2 * STREAM_ROWS, compression="ZSTD", compression_level=3)
"""The writer holds a row group in memory; its own default is a million rows."""


def stream(data: pa.Table | ds.Dataset, columns: list[str] | None = None) -> pa.RecordBatchReader:
    """Return the rows a batch at a time, so that memory is bounded by the batch whatever the reader's pace."""
    if isinstance(data, pa.Table):
        return (data if columns is None else data.select(columns)).to_reader()
    if not isinstance(data, ds.FileSystemDataset):
        return data.scanner(columns=columns).to_reader()
    schema = data.schema if columns is None else pa.schema([data.schema.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, _file_batches(data, schema))


def without_meanings(batches: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the batches without what their fields mean.

    Delta refuses a field whose metadata are others than when the table was made, and a meaning may be put in other words.
    """
    plain = pa.schema([pa.field(field.name, field.type, field.nullable) for field in batches.schema])
    bare = (pa.RecordBatch.from_arrays(batch.columns, schema=plain) for batch in batches)
    return pa.RecordBatchReader.from_batches(plain, bare)


def _file_batches(data: ds.FileSystemDataset, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    # not a scanner: it reads ahead of a slow reader, up to a GiB
    for file in data.files:
        with pq.ParquetFile(file, filesystem=data.filesystem, pre_buffer=False) as opened:
            for batch in opened.iter_batches(STREAM_ROWS, columns=schema.names, use_threads=False):
                yield batch.select(schema.names).cast(schema)
