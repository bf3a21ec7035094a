"""A day of the lists as a file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config import Settings
from recpipe.errors import BadSetting
from recpipe.lake import Lake

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[str, ...] = get_args(Format)
LINES_AT_A_TIME = 50_000


def export_day(settings: Settings, day: date, file_format: str, out: Path) -> int:
    """Write the recommendations of a complete day into one file, by user and rank; return the number of rows.

    The file appears whole or not at all, and replaces one that stands there. Parquet has the table's schema; csv has
    one column a value (``reason_kind``, ``because_item_ids`` with ids separated by |); jsonl has one object a row.

    Raises
    ------
    MissingDay
        If the day was not published.
    BadSetting
        If the format is unknown, or the file's folder does not exist.
    """
    if file_format not in FORMATS:
        raise BadSetting(f"There is no format '{file_format}'; choose one of: {', '.join(FORMATS)}.")
    if not out.parent.is_dir() or out.is_dir():
        raise BadSetting(f"{out} cannot be written: its folder has to exist, and the name must not be that of a folder.")
    lake = Lake.from_settings(settings)
    lake.require("recommendations", day)
    rows = lake.reader().read("recommendations", day, day).sort_by([("user_id", "ascending"), ("rank", "ascending")])
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
    try:
        _write(rows, file_format, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return int(rows.num_rows)


def _write(rows: pa.Table, file_format: str, file: Path) -> None:
    if file_format == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(rows, file)
    elif file_format == "csv":
        from pyarrow import csv

        csv.write_csv(_flat(rows), file)
    else:
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(_json_lines(rows))


def _flat(rows: pa.Table) -> pa.Table:
    """Return a table without nested values."""
    kind, because = (pc.struct_field(rows["reason"], name) for name in ("kind", "because_item_ids"))
    place = rows.schema.get_field_index("reason")
    flat = rows.remove_column(place).add_column(place, "reason_kind", kind)
    return flat.add_column(place + 1, "because_item_ids", pc.binary_join(because, "|"))


def _json_lines(rows: pa.Table) -> Iterator[str]:
    for batch in rows.to_batches(max_chunksize=LINES_AT_A_TIME):
        for row in batch.to_pylist():
            yield json.dumps(row | {"day": row["day"].isoformat()}, ensure_ascii=False) + "\n"
