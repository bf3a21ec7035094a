"""The orders of the last months as of a day, and the weights of what completes one: what two tasks are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.lake.reader import Reader, window
from recpipe.pipeline.run_plan import RunPlan
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.plan_copies import rules_of_plan
from recpipe.tables.baskets import co_purchase as learn

RULE: Final = "complements-1"
"""Names the way that weights are learned; a change of it changes rows."""
LEARN_DAYS: Final = 28
LEARN_CARTS: Final = 800
COLUMNS: Final = ["user_id", "item_id", "day", "session_id", "order_id"]


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
        What they say (`recpipe.tables.baskets.co_purchase`).
    rules
        What the shop's files of knowledge say of the day.
    """

    day: date
    version: str
    item_ids: NDArray[np.object_]
    available: NDArray[np.bool_]
    user_ids: NDArray[np.object_]
    orders: learn.Orders
    world: learn.World
    weights: Weights
    rules: DayRules


def open_baskets(settings: Settings, plan: RunPlan, reader: Reader, asking: NDArray[np.object_] | None = None) -> Baskets:
    """Read the orders up to the day, and learn from its last weeks what completes one; ``asking`` are users for the rules."""
    day, ours = plan.day, rules_of_plan(settings, plan.knowledge, plan.day)
    items = reader.as_of("items", day, ["day", "item_id", "category", "available"])
    item_ids = objects(items["item_id"])
    delivered = [tuple(level for level in path or () if level) for path in items["category"].to_pylist()]
    rules = day_rules(ours, reader, day, item_ids, delivered, asking)
    leaf = leaf_codes(rules.categories)
    lines = purchases(reader, *window(day, settings.history.lookback_days))
    user_ids = objects(pc.drop_null(pc.unique(lines["user_id"])).sort())
    orders = orders_from(lines, item_ids, user_ids)
    world = learn.world_of(orders, leaf, np.datetime64(day), len(user_ids))
    weights = learned_weights(orders, leaf, np.datetime64(day), len(user_ids), settings.training.seed)
    available = np.asarray(items["available"].to_numpy(zero_copy_only=False), np.bool_)
    return Baskets(day, plan.model_version, item_ids, available, user_ids, orders, world, weights, rules)


def objects(column: pa.Array | pa.ChunkedArray) -> NDArray[np.object_]:
    """Return a column of text as objects."""
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(object)


def leaf_codes(categories: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """Return (items,) a code for each whole path of the category tree, −1 where there is none."""
    code = {path: at for at, path in enumerate(sorted({path for path in categories if path}))}
    return np.array([code.get(path, -1) for path in categories], np.int64)


def purchases(reader: Reader, first: date, last: date) -> pa.Table:
    """Return the lines that were bought on some days, each with its ``basket``: order, else visit, else user and day.

    Columns: ``user_id``, ``item_id``, ``day`` and ``basket``, a text; lines of which none is known are left out.
    """
    bought = (ds.field("event_type") == "purchase") & ds.field("item_id").is_valid()
    rows = reader.events(first, last, COLUMNS, bought)
    order, visit, user = (_named(rows[name]) for name in ("order_id", "session_id", "user_id"))
    of_day = pc.binary_join_element_wise("day", user, pc.strftime(rows["day"], "%Y-%m-%d"), "\0")
    parts = [pc.binary_join_element_wise(kind, name, "\0") for kind, name in (("order", order), ("visit", visit))]
    rows = rows.select(["user_id", "item_id", "day"]).append_column("basket", pc.coalesce(*parts, of_day))
    return rows.filter(pc.and_(pc.is_valid(rows["basket"]), _not_empty(rows["item_id"])))


def _named(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text in which an empty text is null, too."""
    return pc.if_else(_not_empty(column), column, pa.scalar(None, pa.string()))


def _not_empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.not_equal(column, ""), False)


def orders_from(lines: pa.Table, item_ids: NDArray[np.object_], user_ids: NDArray[np.object_]) -> learn.Orders:
    """Return lines, as `purchases` has them, as orders of the catalogue's items."""
    item = codes_of(lines["item_id"], item_ids)
    lines, item = lines.filter(item >= 0), item[item >= 0]
    order = codes_of(lines["basket"], objects(pc.unique(lines["basket"]).sort()))
    days = lines["day"].to_numpy().astype("datetime64[D]")
    return learn.orders_of(order, codes_of(lines["user_id"], user_ids), item, days, len(item_ids))


def codes_of(column: pa.Array | pa.ChunkedArray, ids: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return (rows,) the place of each text among ids, −1 where it is none of them."""
    found = pc.index_in(column, value_set=pa.array(ids, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)


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
