"""The split folder of a cold-start benchmark, read and checked; its ``truth`` folder is never opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.errors import RecpipeError

NEEDED = {
    "meta": ("cutoff", "horizon_days"),
    "items": ("item_id",),
    "events": ("user_id", "item_id", "event_type", "ts"),
    "users": ("k", "user_id", "t0"),
    "support": ("k", "user_id", "position", "item_id", "ts"),
}
"""Columns that each file must have; others are looked at where they help, or left alone."""

TIMES = ("ts", "t0")
NUMBERS = ("k", "position")
TEXTS = ("user_id", "item_id", "event_type")
MAY_BE_NULL = {("events", "user_id")}
"""Anonymous traffic counts for items, as it does at night."""


@dataclass(frozen=True)
class Split:
    """What may be known of a benchmark, in an order that does not depend on the order of rows in its files.

    Attributes
    ----------
    cutoff
        datetime64[us]: the training log ends before it.
    horizon_days, window_days
        Days after a list that make its query; days after the cutoff in which users are new (0 if the split does not say).
    items
        Table by item id; every column of the file.
    events
        Training log by time, user, item and type.
    users
        Everyone to be served, by k and user id: k, user_id, t0.
    support
        Entries by k, user id, time and item.
    """

    cutoff: np.datetime64
    horizon_days: int
    window_days: int
    items: pa.Table
    events: pa.Table
    users: pa.Table
    support: pa.Table


def read_split(folder: Path) -> Split:
    """Read a split and refuse what does not fit together.

    Raises
    ------
    RecpipeError
        In a sentence that names the file, the column and an example.
    """
    tables = {name: _read(folder, name) for name in NEEDED}
    split = Split(
        cutoff=_cutoff(folder, tables["meta"]),
        horizon_days=_days(folder, tables["meta"], "horizon_days"),
        window_days=_days(folder, tables["meta"], "window_days") if "window_days" in tables["meta"].column_names else 0,
        items=_sorted(tables["items"], "item_id"),
        events=_sorted(tables["events"], "ts", "user_id", "item_id", "event_type"),
        users=_sorted(tables["users"].select(NEEDED["users"]), "k", "user_id"),
        support=_sorted(tables["support"], "k", "user_id", "ts", "item_id"),
    )
    _check_unique(folder / "items.parquet", split.items, "item_id")
    _check_unique(folder / "users.parquet", split.users, "k", "user_id")
    _check_unique(folder / "support.parquet", split.support, "k", "user_id", "item_id")
    _check_events(folder, split)
    _check_support(folder, split)
    return split


def rows_of(split: Split) -> NDArray[np.int64]:
    """Return (support entries,) the row of ``users`` that each entry of the support belongs to; −1 for none."""
    return _places(_pairs(split.support), _pairs(split.users))


def item_rows(column: pa.ChunkedArray, items: pa.Table) -> NDArray[np.int64]:
    """Return (rows,) the row of each item id in the catalogue, −1 where it is not."""
    return _places(column, items["item_id"])


def moments(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    """Return (rows,) datetime64[us]."""
    return np.asarray(column.to_numpy(), dtype="datetime64[us]")


def _read(folder: Path, name: str) -> pa.Table:
    file = folder / f"{name}.parquet"
    if not file.is_file():
        raise RecpipeError(f"{folder} is no split of the benchmark: {file.name} is missing. Make the split again.")
    table = pq.read_table(file, partitioning=None)
    missing = [column for column in NEEDED[name] if column not in table.column_names]
    if missing:
        raise RecpipeError(f"{file} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}.")
    for column in NEEDED[name]:
        table = table.set_column(table.column_names.index(column), column, _typed(file, column, table[column]))
        nulls = table[column].null_count
        if nulls and (name, column) not in MAY_BE_NULL:
            raise RecpipeError(f"{file}: column '{column}' is empty in {nulls} of {len(table)} rows. Every row needs a value.")
    return table


def _typed(file: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as the rest of the module expects it."""
    wanted = pa.timestamp("us") if name in TIMES else pa.int64() if name in NUMBERS else pa.string() if name in TEXTS else None
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if wanted is None:
        return column
    try:
        return pc.cast(column, wanted, safe=name not in TIMES)
    except pa.ArrowInvalid as error:
        raise RecpipeError(f"{file}: column '{name}' ({column.type}) cannot be read as {wanted}: {error}.") from None


def _cutoff(folder: Path, meta: pa.Table) -> np.datetime64:
    try:
        return np.datetime64(str(meta["cutoff"][0].as_py()).replace(" ", "T"), "us")
    except (ValueError, IndexError):
        raise RecpipeError(f"{folder / 'meta.parquet'}: its column 'cutoff' holds no date such as 2010-10-01.") from None


def _days(folder: Path, meta: pa.Table, name: str) -> int:
    days = int(meta[name][0].as_py())
    if days < 0:
        raise RecpipeError(f"{folder / 'meta.parquet'}: {name} is {days}, which is no number of days.")
    return days


def _sorted(table: pa.Table, *columns: str) -> pa.Table:
    return table.sort_by([(column, "ascending") for column in columns])


def _check_unique(file: Path, table: pa.Table, *columns: str) -> None:
    counts = table.group_by(list(columns)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if len(twice):
        example = ", ".join(f"{column} {twice[column][0].as_py()}" for column in columns if column != "user_id")
        raise RecpipeError(
            f"{file}: {len(twice)} combinations of {', '.join(columns)} stand there more than once"
            f"{f' (one has {example})' if example else ''}. Each may stand there once."
        )


def _check_events(folder: Path, split: Split) -> None:
    file = folder / "events.parquet"
    if not len(split.events):
        raise RecpipeError(f"{file} holds no event: there is nothing to learn from.")
    late = int((moments(split.events["ts"]) >= split.cutoff).sum())
    if late:
        raise RecpipeError(
            f"{file}: {late} events are at or after the cutoff {split.cutoff.astype('datetime64[s]')}. A training log ends "
            f"before it; make the split again."
        )


def _check_support(folder: Path, split: Split) -> None:
    file, user = folder / "support.parquet", rows_of(split)
    if strangers := int((user < 0).sum()):
        raise RecpipeError(f"{file}: {strangers} rows belong to a (k, user_id) that users.parquet does not hold.")
    unknown = item_rows(split.support["item_id"], split.items) < 0
    if unknown.any():
        example = split.support["item_id"][int(np.flatnonzero(unknown)[0])].as_py()
        raise RecpipeError(f"{file}: {int(unknown.sum())} rows name items outside items.parquet, such as '{example}'.")
    after = moments(split.support["ts"]) > moments(split.users["t0"])[user]
    if after.any():
        raise RecpipeError(f"{file}: {int(after.sum())} rows are later than the instant t0 that their list is made for.")
    k = split.users["k"].to_numpy()
    wrong = np.flatnonzero(np.bincount(user, minlength=len(k)) != k)
    if len(wrong):
        raise RecpipeError(
            f"{file}: {len(wrong)} users of users.parquet have another number of support rows than their k says; the first has "
            f"k = {k[wrong[0]]} and {int((user == wrong[0]).sum())} rows."
        )


def _pairs(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(pc.cast(table["k"], pa.string()), table["user_id"], "/")


def _places(column: pa.ChunkedArray, values: pa.ChunkedArray) -> NDArray[np.int64]:
    found = pc.index_in(column, value_set=values.combine_chunks(), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
