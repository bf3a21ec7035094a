"""``recpipe benchmark ratings``: predictions for tasks of ratings or likes, from tables with whatever columns they have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.errors import BadDelivery, BadSetting
from recpipe.files import whole_file
from recpipe.models.ratings.bias_baselines import BASELINES, Predict
from recpipe.models.ratings.content_features import Encode
from recpipe.models.ratings.ratings import Columns, Floats, Ints, Ratings, Task, sorted_ratings

log = logging.getLogger(__name__)
DEFAULT = "pooled"
LEARNED = {
    "pooled": "ridge and the closed forms, weighed by how they fare on later time, or on held-out users without times",
    "ridge": "meta-learned ridge on factors and catalogue, median of the learned levels",
    "ridge-encoder": "the same, long texts also as vectors of the local encoder",
    "ridge-gaussian": "the same as ridge, median of a Gaussian",
    "ridge-mean": "the same as ridge, the mean",
    "ridge-bare": "the same as ridge, without the columns of items and users",
}
"""Learners that are trained, by name, with what they are."""
TIMES = frozenset({"ts", "time", "timestamp", "date", "day"})
"""Names under which a number is a time; a column of dates or times may have any name."""


@dataclass(frozen=True)
class Split:
    """A split folder as arrays; ids are texts, in sorted order.

    Attributes
    ----------
    query
        The table as it came.
    tasks
        With ``rows``, where the answers of a task stand in ``query``.
    """

    ratings: Ratings
    items: Columns
    users: Columns
    query: pa.Table
    tasks: list[Task]
    rows: list[Ints]


def run(folder: Path, out: Path, learner: str = "", seed: int = 0) -> None:
    """Predict every row of ``query.parquet`` and write the table with a column ``prediction``.

    Raises
    ------
    BadSetting
        If there is no such learner.
    BadDelivery
        If a table is missing, lacks a column, or holds a rating that is none.
    """
    name = learner or DEFAULT
    if name not in LEARNED and name not in BASELINES:
        raise BadSetting(f"Learner '{name}' is none of {', '.join([*LEARNED, *BASELINES])}.")
    split = read(folder)
    log.info("%d ratings, %d tasks, learner %s", len(split.ratings.value), len(split.tasks), name)
    answers = predictor(name, split, seed)(split.tasks)
    column = np.zeros(split.query.num_rows)
    for rows, values in zip(split.rows, answers, strict=True):
        column[rows] = np.round(values, 6)
    with whole_file(out) as part:
        pq.write_table(split.query.append_column("prediction", pa.array(column)), part)
    log.info("wrote %d predictions to %s", len(column), out)


def predictor(name: str, split: Split, seed: int = 0, encode: Encode | None = None) -> Predict:
    """Fit a learner on the known ratings and what is said of items and users."""
    if name in BASELINES:
        return BASELINES[name](split.ratings)
    from recpipe.models.ratings.rating_learner import Config, fit

    if name == "pooled":
        return _pooled(split, seed)
    if name == "ridge-encoder" and encode is None:
        from recpipe.text.encoder import load_encoder

        encode = load_encoder().encode
    bare = name == "ridge-bare"
    way = {"ridge-gaussian": "gaussian", "ridge-mean": "mean"}.get(name, "median")
    items, users = ({}, {}) if bare else (split.items, split.users)
    return fit(split.ratings, items, users, Config(seed=seed, way=way), encode).predict


def _pooled(split: Split, seed: int) -> Predict:
    from recpipe.models.ratings.choice.pooled_learner import Chances, fit_pooled, onto
    from recpipe.models.ratings.rating_learner import Config, fit

    def learn(ratings: Ratings, levels: Floats) -> Chances:
        model = fit(ratings, split.items, split.users, Config(seed=seed))
        return lambda tasks: [onto(chances, model.levels, levels) for chances in model.chances(tasks)]

    return fit_pooled(split.ratings, {"ridge": learn}, seed).predict


def read(folder: Path) -> Split:
    """Read ``warm``, ``support`` and ``query``, and ``items`` and ``users`` where there are any."""
    warm = _table(folder / "warm.parquet", ("user_id", "item_id", "rating"))
    support = _table(folder / "support.parquet", ("user_id", "item_id", "rating"))
    query = _table(folder / "query.parquet", ("user_id", "item_id"))
    tables = [_optional(folder / f"{name}.parquet", f"{name[:-1]}_id") for name in ("items", "users")]
    places = [_places([warm, support, query, *tables], column) for column in ("item_id", "user_id")]
    described = [_columns(table, key, place) for table, key, place in zip(tables, ("item_id", "user_id"), places, strict=True)]
    ratings = _ratings(warm, places)
    tasks, rows = _tasks(ratings, support, query, places)
    return Split(ratings, described[0], described[1], query, tasks, rows)


def _table(path: Path, needed: Sequence[str]) -> pa.Table:
    if not path.is_file():
        raise BadDelivery(f"'{path}' is missing. The split folder needs warm, support and query (.parquet).")
    table = pq.read_table(path)
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise BadDelivery(f"'{path}' lacks the column {', '.join(missing)}; it has {', '.join(table.column_names)}.")
    for column in needed:
        if table[column].null_count:
            raise BadDelivery(
                f"'{path}', column {column}: {table[column].null_count} rows are empty. Fill them or leave them out."
            )
    if "rating" in needed and not np.isfinite(_values(table)).all():
        raise BadDelivery(f"'{path}', column rating: some are not finite numbers. Leave these rows out.")
    return table


def _optional(path: Path, key: str) -> pa.Table | None:
    return _table(path, (key,)) if path.is_file() else None


def _values(table: pa.Table) -> Floats:
    return np.asarray(table["rating"].cast(pa.float64()), np.float64)


def _ids(table: pa.Table, column: str) -> NDArray[np.str_]:
    kind = table.schema.field(column).type
    if pa.types.is_floating(kind):
        raise BadDelivery(f"Column {column} holds fractions ({kind}); ids must be whole numbers or texts.")
    return np.asarray(table[column].cast(pa.string()).to_pylist(), np.str_)


def _places(tables: Sequence[pa.Table | None], column: str) -> NDArray[np.str_]:
    """Return all ids of a column, sorted; an id's position stands for it from here on."""
    found = [_ids(table, column) for table in tables if table is not None and column in table.column_names]
    return np.unique(np.concatenate(found))


def _columns(table: pa.Table | None, key: str, places: NDArray[np.str_]) -> Columns:
    """Return the table's columns in the order of the places; None where a row is missing. The key says nothing."""
    if table is None:
        return {}
    row = np.searchsorted(places, _ids(table, key))
    if len(np.unique(row)) < len(row):
        twice = places[row[np.argsort(row)][1:][np.diff(np.sort(row)) == 0][0]]
        raise BadDelivery(f"Column {key}: '{twice}' stands in two rows. Keep one row for each.")
    out = {}
    for name in table.column_names:
        if name != key:
            values: list[object] = [None] * len(places)
            for place, value in zip(row, table[name].to_pylist(), strict=True):
                values[place] = _joined(value)
            out[name] = values
    return out


def _joined(value: object) -> object:
    """Write a list as its parts, joined."""
    return "|".join(str(part) for part in value) if isinstance(value, list) else value


def _ratings(warm: pa.Table, places: Sequence[NDArray[np.str_]]) -> Ratings:
    items, users = places
    user, item = np.searchsorted(users, _ids(warm, "user_id")), np.searchsorted(items, _ids(warm, "item_id"))
    value, time = _values(warm), _times(warm)
    kept = _once(user, item, value, time)
    return sorted_ratings(user[kept], item[kept], value[kept], len(users), len(items), None if time is None else time[kept])


def _times(table: pa.Table) -> Floats | None:
    """Return when each row was given, by the first column of dates or times, or a number of such a name; None without."""
    for field in table.schema:
        dated = pa.types.is_temporal(field.type) and not pa.types.is_time(field.type)
        if dated or (field.name in TIMES and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))):
            column = table[field.name]
            if not column.null_count:
                return np.asarray(column.cast(pa.timestamp("us")).cast(pa.int64()) if dated else column, np.float64)
    return None


def _once(user: Ints, item: Ints, value: Floats, time: Floats | None = None) -> Ints:
    """Return the rows that keep each (user, item) once, sorted by them.

    Of several ratings it is the greatest-ranked middle one, so that the scale keeps its levels; of equal ones the earliest.
    """
    order = np.lexsort((np.zeros(len(value)) if time is None else time, value, item, user))
    user, item = user[order], item[order]
    first = np.flatnonzero(np.r_[True, (np.diff(user) != 0) | (np.diff(item) != 0)]) if len(user) else np.zeros(0, np.int64)
    return np.asarray(order[first + np.diff(np.r_[first, len(user)]) // 2])


def _scenarios(tables: Sequence[pa.Table]) -> list[list[str]]:
    """Return each row's scenario; a split without the column is one scenario."""
    return [
        [str(value) for value in table["scenario"].to_pylist()] if "scenario" in table.column_names else [""] * table.num_rows
        for table in tables
    ]


def _tasks(
    ratings: Ratings, support: pa.Table, query: pa.Table, places: Sequence[NDArray[np.str_]]
) -> tuple[list[Task], list[Ints]]:
    """Group support and query by (scenario, user); a known user's ratings belong to what is known of the task."""
    items, users = places
    names = _scenarios((support, query))
    known, asked = (
        _groups(name, np.searchsorted(users, _ids(table, "user_id"))) for name, table in zip(names, (support, query), strict=True)
    )
    item, value = np.searchsorted(items, _ids(support, "item_id")), _values(support)
    wanted = np.searchsorted(items, _ids(query, "item_id"))
    starts = np.searchsorted(ratings.user, np.arange(ratings.users + 1))
    tasks, rows = [], []
    for key in sorted(asked):
        user = key[1]
        own, mine = known.get(key, np.zeros(0, np.int64)), slice(starts[user], starts[user + 1])
        seen, told = np.r_[ratings.item[mine], item[own]], np.r_[ratings.value[mine], value[own]]
        kept = _once(np.zeros(len(seen), np.int64), seen, told)
        came = (np.arange(len(seen)) >= mine.stop - mine.start)[kept]
        tasks.append(Task(user, seen[kept], told[kept], wanted[asked[key]], came))
        rows.append(asked[key])
    return tasks, rows


def _groups(scenario: Sequence[str], user: Ints) -> dict[tuple[str, int], Ints]:
    found: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(scenario, user.tolist(), strict=True)):
        found.setdefault(key, []).append(row)
    return {key: np.array(rows, np.int64) for key, rows in found.items()}
