"""A day of the lists as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.files import whole_file
from recpipe.lake.lake import Lake

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[str, ...] = get_args(Format)
LINES_AT_A_TIME = 50_000
FORMULA = r"\A([=+\-@\t\r\n＝＋－＠])"
"""Beginning of a text that a spreadsheet takes for a formula, full-width signs among them."""


def export_day(settings: Settings, day: date, file_format: str, out: Path, *, spreadsheet: bool = False) -> int:
    """Write the recommendations of a complete day into one file, by user and rank; return the number of rows.

    The file appears whole or not at all, and replaces one that stands there. Parquet has the table's schema; csv has
    one column a value (``reason_kind``, ``because_item_ids`` with ids separated by |); jsonl has one object a row.

    With ``spreadsheet``, texts of a csv that a spreadsheet would run as a formula get an apostrophe before them. An id is then
    no longer what the shop delivered, so nothing but a spreadsheet should read such a file.

    Raises
    ------
    MissingDay
        If the day was not published.
    BadSetting
        If the format is unknown, or the file's folder does not exist, or a file other than csv is to be for a spreadsheet.
    """
    if file_format not in FORMATS:
        raise BadSetting(f"There is no format '{file_format}'; choose one of: {', '.join(FORMATS)}.")
    if spreadsheet and file_format != "csv":
        raise BadSetting(
            f"Only a csv file is made safe for a spreadsheet, not {file_format}: leave --spreadsheet away, or take csv."
        )
    if not out.parent.is_dir() or out.is_dir():
        raise BadSetting(f"{out} cannot be written: its folder has to exist, and the name must not be that of a folder.")
    lake = Lake.from_settings(settings)
    lake.require("recommendations", day)
    rows = lake.reader().read("recommendations", day, day).sort_by([("user_id", "ascending"), ("rank", "ascending")])
    with whole_file(out) as part:
        _write(_harmless(_flat(rows)) if spreadsheet else rows, file_format, part)
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


def _harmless(rows: pa.Table) -> pa.Table:
    """Return a flat table in which no text begins as a formula does."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(place, field, pc.replace_substring_regex(rows.column(place), FORMULA, r"'\1"))
    return rows


def _flat(rows: pa.Table) -> pa.Table:
    """Return a table without nested values; one that has none is returned as it is."""
    if "reason" not in rows.schema.names:
        return rows
    kind, because = (pc.struct_field(rows["reason"], name) for name in ("kind", "because_item_ids"))
    place = rows.schema.get_field_index("reason")
    flat = rows.remove_column(place).add_column(place, "reason_kind", kind)
    return flat.add_column(place + 1, "because_item_ids", pc.binary_join(because, "|"))


def _json_lines(rows: pa.Table) -> Iterator[str]:
    for batch in rows.to_batches(max_chunksize=LINES_AT_A_TIME):
        for row in batch.to_pylist():
            yield json.dumps(row | {"day": row["day"].isoformat()}, ensure_ascii=False) + "\n"
