"""What the expectations look at: a batch as a flat frame, and the counts over a whole day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.contract import TABLES, ZERO

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, pa.Array]


def row_frame(table: str, rows: pa.RecordBatch | pa.Table, columns: set[str], zone: ZoneInfo) -> pd.DataFrame:
    """Lay out a batch for the row rules: the wanted columns, and what is derived from times and nested values.

    Parameters
    ----------
    table
        Name of the table.
    rows
        Rows in the table's schema; a column that is missing there is missing in the frame.
    columns
        Columns that the rules speak of, delivered and derived.
    zone
        The shop's zone, in which days begin.
    """
    as_agreed = rows.schema.equals(TABLES[table].schema)
    derived = DERIVED.get(table, _nothing)(rows, zone) if as_agreed else {}
    flat = {name: rows.column(name) for name in rows.schema.names if name in columns}
    found = pa.table(flat | {name: values for name, values in derived.items() if name in columns})
    frame: pd.DataFrame = found.to_pandas()
    return frame


# --- columns that are derived -------------------------------------------------------------------------------------


def _nothing(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    return {}


def _of_events(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    return {"days_late": days_since(rows, "ts", zone)}


def _of_users(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    return {"days_registered": days_since(rows, "registered_at", zone)}


def days_since(rows: pa.RecordBatch | pa.Table, column: str, zone: ZoneInfo) -> pa.Array:
    """Return the days between the shop's day of an instant and the row's day (int32; negative: the instant is later)."""
    local = pc.local_timestamp(rows.column(column).cast(pa.timestamp("us", zone.key)))
    return pc.subtract(rows.column("day").cast(pa.int32()), local.cast(pa.date32()).cast(pa.int32()))


def _of_episodes(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    support = _array(rows.column("support"))
    entries, owner = support.flatten(), pc.list_parent_indices(support).to_numpy(zero_copy_only=False)
    label, weight = (_numbers(entries.field(name)) for name in ("label", "weight"))
    of_entries = pa.record_batch([_array(rows.column("day").take(pa.array(owner))), entries.field("ts")], ["day", "ts"])
    late = _numbers(days_since(of_entries, "ts", zone)) < 0
    zero = np.asarray(pc.equal(rows.column("cohort"), ZERO).fill_null(False).to_numpy(), dtype=bool)
    lengths = pc.fill_null(pc.list_value_length(support), 0)

    def count(what: NDArray[np.bool_]) -> pa.Array:
        return pa.array(np.bincount(owner[what], minlength=rows.num_rows))

    return {
        "entries_beyond_k": pc.subtract(lengths, rows.column("k")),
        "repeated_items": pa.array(_repeated(owner, entries.field("item_id"), rows.num_rows)),
        "odd_entries": count(~np.isin(label, (0.0, 1.0)) | ~(weight > 0) | ~np.isfinite(weight)),
        "later_entries": count(late),
        "positives_of_zero": count((label == 1.0) & zero[owner]),
    }


def _of_recommendations(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    reason = _array(rows.column("reason"))
    kind, because = reason.field("kind"), reason.field("because_item_ids")
    named = pc.greater(pc.fill_null(pc.list_value_length(because), 0), 0)
    amiss = pc.xor(pc.fill_null(pc.equal(kind, "support"), False), named)
    return {"reason_kind": kind, "because_amiss": amiss.cast(pa.int8())}


def _of_outcomes(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    return {"interval_amiss": pc.greater(rows.column("ci_low"), rows.column("ci_high")).cast(pa.int8())}


DERIVED: dict[str, Callable[[pa.RecordBatch | pa.Table, ZoneInfo], Columns]] = {
    "events": _of_events,
    "users": _of_users,
    "episodes": _of_episodes,
    "recommendations": _of_recommendations,
    "outcomes": _of_outcomes,
}


def _array(column: pa.Array | pa.ChunkedArray) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _numbers(values: pa.Array) -> NDArray[Any]:
    return np.asarray(_array(values).to_numpy(zero_copy_only=False))


def _repeated(owner: NDArray[np.int64], item: pa.Array, rows: int) -> NDArray[np.int64]:
    """Return, a row, how many entries name an item that an earlier entry of the same row names."""
    code = _numbers(item.dictionary_encode().indices).astype(np.int64)
    pairs = np.unique(np.stack([owner, code]), axis=1) if len(code) else np.zeros((2, 0), dtype=np.int64)
    return np.bincount(owner, minlength=rows) - np.bincount(pairs[0], minlength=rows)


# --- counts over the day ------------------------------------------------------------------------------------------


@dataclass
class DayCount:
    """Counts over a day, batch by batch; what it holds grows by 8 bytes a row, for the uniqueness of the key."""

    table: str
    day: date
    zone: ZoneInfo
    rows: int = 0
    other_days: int = 0
    columns_amiss: int = 0
    types_amiss: int = 0
    newest: int | None = None
    keys: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, rows: pa.RecordBatch | pa.Table, *, count_keys: bool) -> None:
        """Count one more batch."""
        schema, names = TABLES[self.table].schema, rows.schema.names
        common = [name for name in names if name in schema.names]
        self.rows += rows.num_rows
        self.columns_amiss = max(self.columns_amiss, _columns_amiss(names, schema.names))
        self.types_amiss = max(self.types_amiss, sum(rows.schema.field(n).type != schema.field(n).type for n in common))
        if self.columns_amiss or self.types_amiss:
            return
        self.other_days += rows.num_rows - (pc.sum(pc.equal(rows.column("day"), self.day)).as_py() or 0)
        if count_keys:
            self.keys.append(_key_hashes(rows, list(TABLES[self.table].key)))
        if self.table == "events" and rows.num_rows:
            youngest = pc.min(days_since(rows, "ts", self.zone)).as_py()
            self.newest = youngest if self.newest is None else min(self.newest, youngest)

    def facts(self) -> dict[str, int | None]:
        """Return the counts, by the name of the fact that they are."""
        keys = np.concatenate(self.keys) if self.keys else np.zeros(0, dtype=np.uint64)
        return {
            "rows": self.rows,
            "rows_of_other_days": self.other_days,
            "columns_amiss": self.columns_amiss,
            "types_amiss": self.types_amiss,
            "repeated_keys": len(keys) - len(np.unique(keys)),
            "days_since_newest": self.newest,
        }


def _columns_amiss(found: list[str], wanted: list[str]) -> int:
    different = len(set(found) ^ set(wanted))
    return different or int(found != wanted)


def _key_hashes(rows: pa.RecordBatch | pa.Table, key: list[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the key of each row; ten million rows collide with a probability of 3 in a million."""
    import pandas as pd

    frame = pa.table({name: rows.column(name) for name in key}).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(frame, index=False, categorize=False), dtype=np.uint64)
