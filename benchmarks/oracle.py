"""The rows of a lake as canonical dumps, and the comparison of two dumps: the measure of a change that changes no row.

    python -m benchmarks.oracle write HOME OUT [--digests FILE]
    python -m benchmarks.oracle compare A B [--without TABLE.COLUMN]

A dump is a folder: one parquet file a table, its rows in an order that follows from the rows alone, and ``manifest.json``
with the number of rows and a SHA-256 a table and day. ``--digests`` writes the manifest alone, short enough for a
repository; `compare` takes it in place of a folder, and then names tables and days, but no rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from recpipe.contract import TABLES

DROPPED: Final[Mapping[str, Mapping[str, str]]] = {
    "days": {
        "recorded_at": "the moment at which the row was written",
        "run_id": "the name of the Airflow run, which holds the moment at which it began",
        "table_version": "a count of commits: days that are made side by side commit in any order",
        "inputs.version": "a count of commits, as table_version",
    },
}
"""Columns (and fields of structs) that differ between two runs of one code, by table, each with its reason."""
MODELS: Final = "registered_models"
"""Name under which registered models stand in a dump beside the tables: a model is the same where its files are."""
TAGS: Final = ("learner", "trained_until", "fitted_until", "promoted_on", "content")
KEYS: Final = {MODELS: ["name", "version"], "erasures": ["user_hash", "finished"]}
"""Keys of what is no table of a day."""
PERSONAL: Final = frozenset({"user_id", "person_id", "user_hash"})
"""Columns of which a hash is printed in place of the value."""
SEPARATOR: Final = "\x1f"
NULL: Final = "\x00"
DAYS_A_DIGEST: Final = 31
"""Tables of more days than this stand in a file of digests as a whole, not day by day."""
SHOWN: Final = 5
"""Rows that are printed of each difference."""

Manifest = dict[str, Any]


# --- writing


def write(home: Path, out: Path) -> Manifest:
    """Dump every Delta table of a home, and what is registered in its MLflow.

    Parameters
    ----------
    home
        A folder of recpipe, with its lake in ``lake``.
    out
        Folder of the dump; made if it is missing.

    Returns
    -------
    dict
        The manifest: by table the key, the columns, those that were dropped with their reasons, ``rows``, ``sha256``, and
        ``days`` with the same two by day.
    """
    out.mkdir(parents=True, exist_ok=True)
    found: Manifest = {}
    for name, whole in tables(home):
        rows = without(whole, DROPPED.get(name, {}))
        text = canonical(rows)
        order = _order(_days(rows), text)
        rows, text = rows.take(order), text.take(order)
        pq.write_table(rows, out / f"{name}.parquet", compression="zstd")
        found[name] = {
            "key": list(TABLES[name].key) if name in TABLES else KEYS.get(name, []),
            "columns": rows.column_names,
            "dropped": dict(DROPPED.get(name, {})),
            **digest(_days(rows), text),
        }
    (out / "manifest.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def tables(home: Path) -> Iterator[tuple[str, pa.Table]]:
    """Return the Delta tables of a home by name, each at its newest version, and its registered models as one more."""
    for log in sorted((home / "lake").glob("*/_delta_log")):
        folder = log.parent
        local = fs.SubTreeFileSystem(str(folder.resolve()), fs.LocalFileSystem())
        yield folder.name, DeltaTable(str(folder)).to_pyarrow_dataset(filesystem=local).to_table()
    database = home / "mlflow" / "mlflow.db"
    if database.exists():
        yield MODELS, registered_models(database)


def registered_models(database: Path) -> pa.Table:
    """Return what is registered: version, learner, days, and the SHA-256 of its files, from MLflow's database."""
    query = "SELECT name, version, key, value FROM model_version_tags"
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        tags = connection.execute(query).fetchall()
    versions: dict[tuple[str, int], dict[str, str]] = {}
    for name, version, key, value in tags:
        versions.setdefault((name, version), {})[key] = value
    rows = [{"name": name, "version": number, **{tag: own.get(tag) for tag in TAGS}} for (name, number), own in versions.items()]
    kinds = [pa.field("name", pa.string()), pa.field("version", pa.int64()), *(pa.field(tag, pa.string()) for tag in TAGS)]
    return pa.Table.from_pylist(rows, pa.schema(kinds))


def without(rows: pa.Table, dropped: Mapping[str, str]) -> pa.Table:
    """Return rows less some columns; ``list.field`` takes a field out of the structs of a list."""
    for name in dropped:
        column, _, field = name.partition(".")
        if not field and column in rows.column_names:
            rows = rows.drop_columns(column)
        elif field and column in rows.column_names:
            kept = [None if cell is None else [_less(entry, field) for entry in cell] for cell in rows[column].to_pylist()]
            struct = rows.schema.field(column).type.value_type
            kind = pa.list_(pa.struct([one for one in struct if one.name != field]))
            rows = rows.set_column(rows.column_names.index(column), column, pa.array(kept, kind))
    return rows


def _less(entry: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != field}


def _days(rows: pa.Table) -> pa.ChunkedArray:
    """Return the day of each row as text; empty where a table knows no days."""
    if "day" in rows.column_names:
        return rows["day"].cast(pa.string())
    return pa.chunked_array([pa.array([""] * rows.num_rows, pa.string())])


def _order(days: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.Array:
    return pc.sort_indices(pa.table({"day": days, "text": text}), [("day", "ascending"), ("text", "ascending")])


def canonical(rows: pa.Table) -> pa.ChunkedArray:
    """Return each row as one text that depends on its values alone, every bit of a float included."""
    columns = [as_text(rows[name]) for name in rows.column_names]
    return pc.binary_join_element_wise(*columns, pa.scalar(SEPARATOR, pa.large_string()))


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as text: floats by their bits, times and dates as whole numbers, nested values as JSON."""
    kind = column.type
    if pa.types.is_nested(kind):
        made = [None if cell is None else json.dumps(cell, default=str, sort_keys=True) for cell in column.to_pylist()]
        text = pa.chunked_array([pa.array(made, pa.large_string())])
    elif pa.types.is_floating(kind):
        bits = pa.array(column.cast(pa.float64()).fill_null(0.0).to_numpy().astype(np.float64).view(np.int64))
        text = pc.if_else(column.is_null().combine_chunks(), None, bits.cast(pa.large_string()))
    elif pa.types.is_date32(kind):
        text = column.cast(pa.int32()).cast(pa.large_string())
    elif pa.types.is_timestamp(kind):
        text = column.cast(pa.int64()).cast(pa.large_string())
    else:
        text = column.cast(pa.large_string())
    return pc.fill_null(text, NULL)


def digest(days: pa.ChunkedArray, text: pa.ChunkedArray) -> dict[str, Any]:
    """Return ``rows`` and ``sha256`` of a table, in all and by day; rows are sorted by day and text."""
    runs = pc.run_end_encode(days.combine_chunks())
    ends = runs.run_ends.to_pylist()
    found = {}
    for day, start, end in zip(runs.values.to_pylist(), [0, *ends][: len(ends)], ends, strict=True):
        some = "\n".join(text.slice(start, end - start).to_pylist())
        found[day] = {"rows": end - start, "sha256": hashlib.sha256(some.encode()).hexdigest()}
    return {"rows": len(days), "sha256": _total(found), "days": found}


def _total(days: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{day} {found['rows']} {found['sha256']}" for day, found in sorted(days.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def short(manifest: Manifest) -> Manifest:
    """Return a manifest for a repository: tables of many days as a whole."""
    kept = {}
    for name, table in manifest.items():
        kept[name] = {part: value for part, value in table.items() if part not in ("days", "key", "columns")}
        if len(table["days"]) <= DAYS_A_DIGEST:
            kept[name]["days"] = table["days"]
    return kept


# --- comparing


def compare(a: Path, b: Path, without_columns: Sequence[str] = ()) -> Iterator[str]:
    """Say where two dumps differ, a line each; no line where every row is the same.

    Parameters
    ----------
    a, b
        Folders that `write` made, or files of digests.
    without_columns
        Columns, such as ``days.code_version``, whose differences are known; their tables need the rows of both dumps.
    """
    one, other = _manifest(a, without_columns), _manifest(b, without_columns)
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            there = a if name in one else b
            yield f"{name}: in {there} alone, {(one if name in one else other)[name]['rows']:,} rows"
        elif one[name]["sha256"] != other[name]["sha256"]:
            yield from _compare_table(name, a, b, one[name], other[name])


def _manifest(place: Path, without_columns: Sequence[str] = ()) -> Manifest:
    """Return the manifest of a dump, with the digests of some tables as they are without some columns."""
    file = place / "manifest.json" if place.is_dir() else place
    found: Manifest = json.loads(file.read_text())
    for table in sorted({name.partition(".")[0] for name in without_columns} & found.keys()):
        columns = {name.partition(".")[2]: "" for name in without_columns if name.startswith(f"{table}.")}
        rows = without(pq.read_table(place / f"{table}.parquet"), columns)
        days, text = _days(rows), canonical(rows)
        order = _order(days, text)
        found[table] |= {"columns": rows.column_names, **digest(days.take(order), text.take(order))}
    return found


def _compare_table(name: str, a: Path, b: Path, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    yield f"{name}: {one['rows']:,} rows and {other['rows']:,}, not the same"
    if one.get("columns") and other.get("columns") and one["columns"] != other["columns"]:
        alone = [set(x["columns"]) - set(y["columns"]) for x, y in ((one, other), (other, one))]
        yield f"{name}: columns of the first alone {sorted(alone[0])}, of the second alone {sorted(alone[1])}, or in another order"
    if "days" not in one or "days" not in other:
        return
    days = sorted(one["days"].keys() | other["days"].keys())
    changed = [day for day in days if one["days"].get(day) != other["days"].get(day)]
    yield f"{name}: {len(changed)} of {len(days)} days differ: {', '.join(changed[:SHOWN])}{' …' if len(changed) > SHOWN else ''}"
    if a.is_dir() and b.is_dir():
        mine = pq.read_table(a / f"{name}.parquet", columns=list(one["columns"]))
        theirs = pq.read_table(b / f"{name}.parquet", columns=list(other["columns"]))
        if len(changed) > SHOWN:
            yield from _one_line_each(_compare_day(name, "them all", _of(mine, changed), _of(theirs, changed), list(one["key"])))
        for day in changed[:SHOWN]:
            yield from _compare_day(name, day, _of(mine, [day]), _of(theirs, [day]), list(one["key"]))


def _of(rows: pa.Table, days: Sequence[str]) -> pa.Table:
    return rows.filter(pc.is_in(_days(rows), value_set=pa.array(days, pa.string())))


def _one_line_each(lines: Iterable[str]) -> Iterator[str]:
    """Leave the rows themselves out."""
    return (line for line in lines if not line.startswith(" "))


def _compare_day(name: str, day: str, one: pa.Table, other: pa.Table, key: list[str]) -> Iterator[str]:
    """Say which rows of a day are in one dump alone, and in which columns those of the same key differ."""
    shared = [column for column in one.column_names if column in other.column_names]
    key = list(dict.fromkeys(["day", *key])) if key and "day" in shared else key or shared
    keys = [canonical(rows.select(key)).combine_chunks() for rows in (one, other)]
    if any(pc.count_distinct(some).as_py() < len(some) for some in keys):
        key = shared
        keys = [canonical(rows.select(shared)).combine_chunks() for rows in (one, other)]
    for which, rows, mine, theirs in (("first", one, *keys), ("second", other, *reversed(keys))):
        alone = rows.filter(pc.invert(pc.is_in(mine, value_set=theirs)))
        if alone.num_rows:
            yield f"{name} of {day}: {alone.num_rows:,} rows in the {which} alone"
            yield from (f"    {_shown(row)}" for row in alone.slice(0, SHOWN).to_pylist())
    place = pc.index_in(keys[0], value_set=keys[1])
    both = one.filter(pc.is_valid(place)), other.take(place.drop_null())
    for column in shared:
        yield from _compare_column(f"{name} of {day}, {column}", column, *both, key)


def _compare_column(where: str, column: str, one: pa.Table, other: pa.Table, key: list[str]) -> Iterator[str]:
    changed = pc.not_equal(as_text(one[column]), as_text(other[column]))
    count = pc.sum(changed).as_py() or 0
    if not count:
        return
    one, other = one.filter(changed), other.filter(changed)
    greatest = ""
    if pa.types.is_floating(one[column].type):
        greatest = f", by at most {pc.max(pc.abs(pc.subtract(one[column], other[column]))).as_py()}"
    yield f"{where}: {count:,} of {len(changed):,} rows differ{greatest}"
    for row, changed_row in zip(one.slice(0, SHOWN).to_pylist(), other.slice(0, SHOWN).to_pylist(), strict=True):
        named = _shown({part: row[part] for part in key if part != "day"})
        yield f"    {named}: {_value(column, row[column])} | {_value(column, changed_row[column])}"


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(name, value)}" for name, value in row.items())


def _value(column: str, value: object) -> str:
    if column in PERSONAL and value is not None:
        return hashlib.sha256(str(value).encode()).hexdigest()[:12]
    return str(value)


# --- the command


def main() -> int:
    """Run the command; returns 1 where two dumps differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.oracle", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="dump every table of a home")
    writing.add_argument("home", type=Path)
    writing.add_argument("out", type=Path)
    writing.add_argument("--digests", type=Path, help="file for the manifest alone, short enough for a repository")
    comparing = commands.add_parser("compare", help="say where two dumps differ; ends with 1 if they do")
    comparing.add_argument("a", type=Path)
    comparing.add_argument("b", type=Path)
    comparing.add_argument("--without", action="append", default=[], help="TABLE.COLUMN whose difference is known")
    asked = parser.parse_args()
    if asked.command == "write":
        manifest = write(asked.home, asked.out)
        if asked.digests:
            asked.digests.write_text(json.dumps(short(manifest), indent=1) + "\n")
        print("\n".join(f"{table['rows']:>12,}  {table['sha256'][:16]}  {name}" for name, table in manifest.items()))
        return 0
    differences = list(compare(asked.a, asked.b, asked.without))
    but = f", but for {', '.join(asked.without)}" if asked.without else ""
    print("\n".join(differences) or f"{asked.a} and {asked.b}: every row of every table is the same{but}.")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
