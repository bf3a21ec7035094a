"""The orders of the last months as of a day, and the weights of what completes one: what two tasks are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe import rails
from recpipe.config import Settings
from recpipe.lake import Reader
from recpipe.lake.lake import window
from recpipe.learn import complements as learn

RULE: Final = "complements-1"
"""Names the way that weights are learned; a change of it changes rows."""
LEARN_DAYS: Final = 28
LEARN_CARTS: Final = 800
COLUMNS: Final = ["user_id", "item_id", "event_type", "ts", "day", "session_id", "order_id"]


@dataclass(frozen=True)
class Weights:
    """What was learned: for carts of users whose orders are known, and for those of nobody."""

    named: NDArray[np.float64]
    nobody: NDArray[np.float64]


@dataclass(frozen=True)
class Baskets:
    """What the rows of a day are made from.

    Attributes
    ----------
    day, version
        Of the plan.
    item_ids, available
        (items,) of the catalogue, sorted by id.
    user_ids
        (users,) sorted; ``orders.user`` counts in it.
    orders
        Those that the day reads.
    world, weights
        What they say (`recpipe.learn.complements`).
    """

    day: date
    version: str
    item_ids: NDArray[np.object_]
    available: NDArray[np.bool_]
    user_ids: NDArray[np.object_]
    orders: learn.Orders
    world: learn.World
    weights: Weights


def open_baskets(settings: Settings, plan: rails.Plan, reader: Reader) -> Baskets:
    """Read the orders up to the day, and learn from its last weeks what completes one."""
    day = rails.day_of(plan)
    items = reader.as_of("items", day, ["day", "item_id", "category", "available"])
    item_ids = objects(items["item_id"])
    leaf = leaf_codes(items["category"].to_pylist())
    lines = purchases(reader, *window(day, settings.lookback_days))
    user_ids = np.array(sorted({row["user_id"] for row in lines} - {None}), np.object_)
    orders = orders_from(lines, item_ids, user_ids)
    world = learn.world_of(orders, leaf, np.datetime64(day), len(user_ids))
    weights = learned_weights(orders, leaf, np.datetime64(day), len(user_ids), settings.seed)
    available = np.asarray(items["available"].to_numpy(zero_copy_only=False), np.bool_)
    return Baskets(day, plan["model_version"], item_ids, available, user_ids, orders, world, weights)


def objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return a column of text as objects."""
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(object)


def leaf_codes(categories: list[list[str] | None]) -> NDArray[np.int64]:
    """Return (items,) a code for each whole path of the category tree, −1 where there is none."""
    code = {path: at for at, path in enumerate(sorted({tuple(path) for path in categories if path}))}
    return np.array([code[tuple(path)] if path else -1 for path in categories], np.int64)


def purchases(reader: Reader, first: date, last: date) -> list[dict[str, Any]]:
    """Return the lines that were bought on some days, each with its ``basket``: order, else visit, else user and day."""
    rows = reader.events(first, last, COLUMNS).to_pylist()
    bought = [row for row in rows if row["event_type"] == "purchase" and row["item_id"]]
    for row in bought:
        row["basket"] = _basket(row)
    return [row for row in bought if row["basket"]]


def _basket(row: dict[str, Any]) -> tuple[str, ...]:
    if row["order_id"]:
        return ("order", row["order_id"])
    if row["session_id"]:
        return ("visit", row["session_id"])
    return ("day", row["user_id"], row["day"].isoformat()) if row["user_id"] else ()


def orders_from(lines: list[dict[str, Any]], item_ids: NDArray[np.object_], user_ids: NDArray[np.object_]) -> learn.Orders:
    """Return lines, each with its ``basket``, as orders of the catalogue's items."""
    item_of, user_of = ({name: at for at, name in enumerate(ids)} for ids in (item_ids, user_ids))
    known = [row for row in lines if row["item_id"] in item_of]
    code = {name: at for at, name in enumerate(sorted({row["basket"] for row in known}))}
    return learn.orders_of(
        np.array([code[row["basket"]] for row in known], np.int64),
        np.array([user_of.get(row["user_id"], -1) for row in known], np.int64),
        np.array([item_of[row["item_id"]] for row in known], np.int64),
        np.array([row["day"] for row in known], "datetime64[D]"),
        len(item_ids),
    )


def learned_weights(orders: learn.Orders, leaf: NDArray[np.int64], day: np.datetime64, users: int, seed: int) -> Weights:
    """Return the weights that tell best which line was held out of the orders of the last weeks, by the orders before."""
    cut = day - np.timedelta64(LEARN_DAYS, "D")
    late = np.flatnonzero(orders.day > cut)
    carts, truth = learn.hold_out(orders.take(late), seed)
    if len(carts) < learn.FEWEST_CARTS:
        return Weights(np.asarray(learn.PRIOR), np.asarray(learn.PRIOR))
    before = learn.world_of(orders.take(np.flatnonzero(orders.day <= cut)), leaf, cut, users)
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(carts), min(LEARN_CARTS, len(carts)), replace=False))
    carts, truth = carts.take(some), truth[some]
    nobody = replace(carts, user=np.full(len(carts), -1))
    return Weights(learn.fit(before, carts, truth), learn.fit(before, nobody, truth))


def carts_of(rows: list[NDArray[np.int64]], user: NDArray[np.int64], items: int) -> learn.Orders:
    """Return carts, given as item codes, in the layout of orders."""
    indptr = np.r_[0, np.cumsum([len(row) for row in rows])].astype(np.int64)
    item = np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, np.int64)
    return learn.Orders(indptr, item, user, np.zeros(len(rows), "datetime64[D]"), items)
