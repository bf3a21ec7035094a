"""A column of lists of dictionaries never decides the fate of a row, however many row groups its file has."""

import io
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.tables.ingest.days_in import ingest_day

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
KINDS = {
    "list": lambda values: pa.ListArray.from_arrays(pa.array(range(len(values) + 1), pa.int32()), values),
    "struct in list": lambda values: pa.ListArray.from_arrays(
        pa.array(range(len(values) + 1), pa.int32()), pa.StructArray.from_arrays([values], ["x"])
    ),
}


@pytest.mark.parametrize("batch_rows", [2, 5, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_dictionaries_over_row_groups(settings, kind, batch_rows, an_event, rows_of):
    rows = [an_event(item=f"i{n}") | {"ts": datetime(2011, 9, 1, 12, n)} for n in range(12)]
    tags = pa.array([f"t{n % 5}" for n in range(12)], DICTIONARY)
    table = pa.Table.from_pylist(rows).append_column("tags", KINDS[kind](tags))
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=3)
    for name in ("events", "items", "users"):
        folder = settings.places.landing_root / name / "day=2011-09-01"
        folder.mkdir(parents=True)
        if name == "events":
            (folder / "part-0.parquet").write_bytes(sink.getvalue())
        (folder / "_SUCCESS").touch()
    settings = settings.changed(batch_rows=batch_rows)
    ingest_day(settings, datetime(2011, 9, 1).date())
    assert {row["item_id"] for row in rows_of(settings, "events")} == {f"i{n}" for n in range(12)}
