"""The frames that expectations look at: a batch as a flat frame, and the counts over a whole day."""

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
    flat = {name: _flat(rows.column(name)) for name in rows.schema.names if name in columns}
    derive = DERIVED.get(table)
    if derive and _as_agreed(table, rows.schema, derive.needs):
        flat |= {name: values for name, values in derive.make(rows, zone).items() if name in columns}
    frame: pd.DataFrame = pa.table(flat).to_pandas()
    return frame


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return a nested column as 1 where it is filled and null where it is not; others as they are."""
    return pc.if_else(pc.is_valid(column), 1, None) if pa.types.is_nested(column.type) else column


def _as_agreed(table: str, schema: pa.Schema, columns: tuple[str, ...]) -> bool:
    """Whether some columns stand in a schema with the types of the contract."""
    wanted = TABLES[table].schema
    return all(name in schema.names and schema.field(name).type == wanted.field(name).type for name in columns)


# --- columns that are derived -------------------------------------------------------------------------------------


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
    zero = _numbers(pc.equal(rows.column("cohort"), ZERO).fill_null(False))
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
    kind, because = (pc.struct_field(rows.column("reason"), name) for name in ("kind", "because_item_ids"))
    named = pc.greater(pc.fill_null(pc.list_value_length(because), 0), 0)
    drawn = pc.fill_null(pc.equal(kind, "new_item"), False)
    amiss = pc.and_not(pc.xor(pc.fill_null(pc.equal(kind, "support"), False), named), drawn)
    by_chance = pc.fill_null(pc.less(rows.column("propensity"), 1.0), False)
    return {
        "reason_kind": kind,
        "because_amiss": amiss.cast(pa.int8()),
        "chance_amiss": pc.and_not(by_chance, drawn).cast(pa.int8()),
    }


def _of_outcomes(rows: pa.RecordBatch | pa.Table, zone: ZoneInfo) -> Columns:
    return {"interval_amiss": pc.greater(rows.column("ci_low"), rows.column("ci_high")).cast(pa.int8())}


@dataclass(frozen=True)
class _Derive:
    """Makes columns from the ones that it needs."""

    make: Callable[[pa.RecordBatch | pa.Table, ZoneInfo], Columns]
    needs: tuple[str, ...]


DERIVED = {
    "events": _Derive(_of_events, ("day", "ts")),
    "users": _Derive(_of_users, ("day", "registered_at")),
    "episodes": _Derive(_of_episodes, ("day", "cohort", "k", "support")),
    "recommendations": _Derive(_of_recommendations, ("reason", "propensity")),
    "outcomes": _Derive(_of_outcomes, ("ci_low", "ci_high")),
    "replays": _Derive(_of_outcomes, ("ci_low", "ci_high")),
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


MOST_KEYS = 4_000_000
"""Rows of a day above which its keys are no longer held in memory (8 bytes each); the caller's count is then believed."""


@dataclass
class DayCount:
    """Counts over a day, batch by batch."""

    table: str
    day: date
    zone: ZoneInfo
    rows: int = 0
    other_days: int = 0
    columns_amiss: int = 0
    types_amiss: int = 0
    newest: int | None = None
    most_keys: int = MOST_KEYS
    keys: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Count one more batch."""
        schema, names = TABLES[self.table].schema, rows.schema.names
        common = [name for name in names if name in schema.names]
        self.rows += rows.num_rows
        self.columns_amiss = max(self.columns_amiss, _columns_amiss(names, schema.names))
        self.types_amiss = max(self.types_amiss, sum(rows.schema.field(n).type != schema.field(n).type for n in common))
        if self.columns_amiss or self.types_amiss:
            return
        self.other_days += rows.num_rows - (pc.sum(pc.equal(rows.column("day"), self.day)).as_py() or 0)
        if self.rows <= self.most_keys:
            self.keys.append(_key_hashes(rows, list(TABLES[self.table].key)))
        else:
            self.keys.clear()
        if self.table == "events" and rows.num_rows:
            youngest = pc.min(days_since(rows, "ts", self.zone)).as_py()
            self.newest = youngest if self.newest is None else min(self.newest, youngest)

    def facts(self) -> dict[str, int | None]:
        """Return the counts, by the name of the fact that they are; None where something was not counted."""
        return {
            "rows": self.rows,
            "rows_of_other_days": self.other_days,
            "columns_amiss": self.columns_amiss,
            "types_amiss": self.types_amiss,
            "repeated_keys": self._repeated_keys(),
            "days_since_newest": self.newest,
        }

    def _repeated_keys(self) -> int | None:
        if self.rows > self.most_keys:
            return None
        keys = np.concatenate(self.keys) if self.keys else np.zeros(0, dtype=np.uint64)
        return len(keys) - len(np.unique(keys))


def _columns_amiss(found: list[str], wanted: list[str]) -> int:
    different = len(set(found) ^ set(wanted))
    return different or int(found != wanted)


def _key_hashes(rows: pa.RecordBatch | pa.Table, key: list[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the key of each row; ten million rows collide with a probability of 3 in a million."""
    import pandas as pd

    frame = pa.table({name: rows.column(name) for name in key}).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(frame, index=False, categorize=False), dtype=np.uint64)
