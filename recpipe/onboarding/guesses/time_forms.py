"""The form of a column's times: timestamps, instants, INT96, numbers since 1970, texts; and the hour at which a day is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from recpipe.onboarding.guesses.samples import Column, Sample

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
LATEST: Final = datetime(2060, 1, 1, tzinfo=UTC).timestamp()
UNITS: Final = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
LOOKED_AT: Final = 200
_TEXT: Final = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{8}([T ]?\d{6})?")
_ZONED: Final = re.compile(r"(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$")


@dataclass(frozen=True)
class TimeForm:
    """How a column holds times.

    Attributes
    ----------
    form
        For people.
    zoned
        Whether each value is an instant; if not, it is a clock's time in the shop's zone.
    int96
        Whether the files hold INT96.
    """

    form: str
    zoned: bool
    int96: bool = False


def time_fit(column: Column, rows: pa.Table) -> float:
    """Return how surely a column holds times, 0 to 1."""
    if pt.is_timestamp(column.kind) or pt.is_date(column.kind):
        return 1.0
    if not column.distinct:
        return 0.0
    if column.is_number:
        return 0.8 if number_unit(rows[column.name]) else 0.0
    if column.is_text:
        values = [value for value in rows[column.name].slice(0, LOOKED_AT).cast(pa.string()).to_pylist() if value]
        fits = sum(bool(_TEXT.fullmatch(value.strip())) or _epoch_text(value) for value in values)
        return 0.9 if values and fits >= 0.95 * len(values) else 0.0
    return 0.0


def _epoch_text(value: str) -> bool:
    text = value.strip()
    return text.isdigit() and any(EARLIEST <= int(text) / factor < LATEST for factor in UNITS.values())


def number_unit(values: pa.ChunkedArray) -> str:
    """Return the unit since 1970 in which numbers are times between 1990 and 2060; empty if in none."""
    ends = pc.min_max(pc.cast(values, pa.float64(), safe=False)).as_py()
    if ends["min"] is None:
        return ""
    return next((name for name, by in UNITS.items() if ends["min"] >= EARLIEST * by and ends["max"] < LATEST * by), "")


def form_of(sample: Sample, name: str) -> TimeForm:
    """Return the form in which a column of a sample holds times."""
    column = sample.column(name)
    if column is None:
        return TimeForm("no column", True)
    if pt.is_timestamp(column.kind):
        if _is_int96(sample, name):
            return TimeForm("INT96, as Spark writes instants in UTC", True, int96=True)
        return (
            TimeForm(f"instants ({column.kind})", True)
            if column.kind.tz
            else TimeForm(f"clock times without a zone ({column.kind})", False)
        )
    if pt.is_date(column.kind):
        return TimeForm("days without an hour", False)
    if column.is_number:
        return TimeForm(f"numbers: {number_unit(sample.rows[name])} since 1970", True)
    values = [value.strip() for value in sample.rows[name].slice(0, LOOKED_AT).cast(pa.string()).to_pylist() if value]
    zoned = bool(values) and all(_ZONED.search(value) or value.isdigit() for value in values)
    example = re.sub(r"\d", "9", values[0]) if values else ""
    return TimeForm(f"texts such as {example}{', instants' if zoned else ', without a zone'}", zoned)


def _is_int96(sample: Sample, name: str) -> bool:
    schema = pq.ParquetFile(sample.source.files[0]).schema
    return any(schema.column(at).path == name and schema.column(at).physical_type == "INT96" for at in range(len(schema)))


def quiet_hours(by_hour: np.ndarray) -> tuple[int, int, float]:
    """Return the four hours in a row with the fewest events: the first, the last, and their share of all."""
    around = np.concatenate([by_hour, by_hour[:3]])
    sums = np.convolve(around, np.ones(4, dtype=np.int64), "valid")[:24]
    first = int(sums.argmin())
    return first, (first + 3) % 24, float(sums[first] / max(1, by_hour.sum()))
