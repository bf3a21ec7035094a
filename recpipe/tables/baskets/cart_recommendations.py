"""The items that complete a cart that was filled and not bought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import CART_RECOMMENDATIONS
from recpipe.lake.reader import Reader, window
from recpipe.pipeline.blocks import blocks_of, shard_of
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Metric, Task
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.rules.rule_checks import count_refused, count_substitutes
from recpipe.tables.baskets import co_purchase as learn
from recpipe.tables.baskets.baskets import RULE, Baskets, carts_of, codes_of, open_baskets
from recpipe.tables.baskets.complements import popular_items
from recpipe.validation.suites import Suite, whole_suite

CARTS_A_BLOCK: Final = 256
MOST_NAMED: Final = 2
COLUMNS: Final = ["event_id", "user_id", "item_id", "event_type", "ts"]
OF_CARTS: Final = ds.field("event_type").isin(["cart", "purchase"])
FACTS: Final = ("unknown_items", "held_items", "unavailable_items", "substitutes", "barred_items", "ranks_amiss", "because_amiss")


@dataclass(frozen=True)
class State:
    """Carts that stand at the end of the day, by user, and what is known of orders.

    Attributes
    ----------
    baskets
        The orders.
    users
        (carts,) ids of users, sorted.
    buyers
        (carts,) their codes among those who bought, −1 for who did not.
    carts
        Item codes of each.
    since
        Item codes that each user bought since the cart was begun: they are not offered again.
    most
        Items of a list.
    """

    baskets: Baskets
    users: NDArray[np.object_]
    buyers: NDArray[np.int64]
    carts: list[NDArray[np.int64]]
    since: list[NDArray[np.int64]]
    most: int


def open_carts(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Read the orders, and the carts of the last days whose items were not bought since."""
    held, bought = open_lines(reader, *window(plan.day, settings.carts.cart_days))
    baskets = open_baskets(settings, plan, reader, np.array(sorted(held), np.object_))
    code = {item: at for at, item in enumerate(baskets.item_ids)}
    users = [user for user in sorted(held) if any(item in code for item in held[user])]
    buyers = codes_of(pa.array(users, pa.string()), baskets.user_ids)
    carts = [_codes(code, held[user]) for user in users]
    since = [_codes(code, bought.get(user, set())) for user in users]
    return State(baskets, np.array(users, np.object_), buyers, carts, since, settings.lists.top_k)


def _codes(code: dict[str, int], items: set[str]) -> NDArray[np.int64]:
    return np.array(sorted(code[item] for item in items if item in code), np.int64)


def open_lines(reader: Reader, first: date, last: date) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return, by user, the items put into the cart on some days and not bought since, and what was bought since the first of them.

    Bought at the moment that it was put into the cart counts as since.
    """
    rows = [row for row in reader.events(first, last, COLUMNS, OF_CARTS).to_pylist() if row["user_id"] and row["item_id"]]
    last_cart: dict[tuple[str, str], Any] = {}
    begun: dict[str, Any] = {}
    for row in rows:
        if row["event_type"] == "cart":
            line = (row["user_id"], row["item_id"])
            last_cart[line] = max(last_cart.get(line, row["ts"]), row["ts"])
            begun[row["user_id"]] = min(begun.get(row["user_id"], row["ts"]), row["ts"])
    bought: dict[str, set[str]] = {}
    done = set()
    for row in rows:
        if row["event_type"] == "purchase" and row["user_id"] in begun:
            line = (row["user_id"], row["item_id"])
            if row["ts"] >= begun[row["user_id"]]:
                bought.setdefault(row["user_id"], set()).add(row["item_id"])
            if line in last_cart and row["ts"] >= last_cart[line]:
                done.add(line)
    held: dict[str, set[str]] = {}
    for user, item in last_cart.keys() - done:
        held.setdefault(user, set()).add(item)
    return held, bought


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return what completes the carts of one shard."""
    rows: list[dict[str, Any]] = []
    both = (state.baskets.weights.named, state.baskets.weights.nobody)
    ways = [(weights, learn.pair_scores(state.baskets.world.pairs, weights)) for weights in both]
    for block in shard_of(blocks_of(state.users, CARTS_A_BLOCK), shard, shards):
        known = state.buyers[block] >= 0
        for some, (weights, pair) in zip((block[known], block[~known]), ways, strict=True):
            rows += _rows(state, some, weights, pair) if len(some) else []
    return pa.Table.from_pylist(rows, schema=CART_RECOMMENDATIONS.schema), count_faults(state, rows)


def _rows(state: State, block: NDArray[np.intp], weights: NDArray[np.float64], pair: sp.csr_matrix) -> list[dict[str, Any]]:
    baskets = state.baskets
    items = len(baskets.item_ids)
    carts = carts_of([state.carts[row] for row in block], state.buyers[block], items)
    since = np.concatenate([at * items + state.since[row] for at, row in enumerate(block)])
    found = learn.candidates_of(baskets.world, carts, baskets.available, but=since)
    if baskets.rules.speaks:
        asking = np.searchsorted(baskets.rules.user_ids, state.users[block])
        found = found.where(baskets.rules.may_join(carts.matrix, asking, found.cart, found.item))
    scores = learn.score(baskets.world, carts, weights, found, pair)
    chosen, value = learn.best(found, scores, state.most)
    said = learn.said_by(carts, chosen, pair, MOST_NAMED)
    own = learn.habits(baskets.world, carts, weights, found)
    names = baskets.item_ids
    rows = []
    for at, rank in zip(*np.nonzero(chosen >= 0), strict=True):
        item = chosen[at, rank]
        habit = own[np.searchsorted(found.key, at * items + item)]
        kind = "cart" if said.total[at, rank] > max(habit, 0) else "habit" if habit > 0 else "popular"
        because = [str(names[code]) for code in said.items[at, rank] if code >= 0] if kind == "cart" else []
        rows.append(
            {
                "day": baskets.day,
                "user_id": state.users[block[at]],
                "rank": int(rank) + 1,
                "item_id": names[item],
                "score": float(value[at, rank]),
                "kind": kind,
                "because_item_ids": because,
                "cart_item_ids": [str(name) for name in names[state.carts[block[at]]]],
                "model_version": baskets.version,
            }
        )
    return rows


def count_faults(state: State, rows: list[dict[str, Any]]) -> Facts:
    """Count what is wrong with rows."""
    available = dict(zip(state.baskets.item_ids, state.baskets.available, strict=True))
    rules = state.baskets.rules
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row["user_id"], []).append(row["rank"])
    return {
        "unknown_items": sum(row["item_id"] not in available for row in rows),
        "held_items": sum(row["item_id"] in row["cart_item_ids"] for row in rows),
        "unavailable_items": sum(not available.get(row["item_id"], True) for row in rows),
        "substitutes": count_substitutes(rules, [(held, row["item_id"]) for row in rows for held in row["cart_item_ids"]]),
        "barred_items": count_refused(rules, [(row["user_id"], row["item_id"]) for row in rows]),
        "ranks_amiss": sum(sorted(some) != list(range(1, len(some) + 1)) for some in ranks.values()),
        "because_amiss": sum(
            (row["kind"] == "cart") != bool(row["because_item_ids"])
            or not set(row["because_item_ids"]) <= set(row["cart_item_ids"])
            for row in rows
        ),
    }


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of carts."""
    from recpipe.contract import CART_REASONS
    from recpipe.validation.rule import between, none, one_of

    return whole_suite(
        CART_RECOMMENDATIONS.name,
        settings.intake,
        rows=[
            between("rank", 1, settings.lists.top_k, "No list is longer than set"),
            one_of("kind", CART_REASONS, "Every kind of reason is known"),
        ],
        day=[
            none("unknown_items", "Every item was delivered on the day or before"),
            none("held_items", "No cart is offered what it holds"),
            none("unavailable_items", "Every item can be bought"),
            none("substitutes", "No cart is offered what replaces one of its items, by the shop's files of knowledge"),
            none("barred_items", "No cart is offered what the shop's files of knowledge bar its user from"),
            none("ranks_amiss", "Ranks run from 1 without gaps"),
            none("because_amiss", "Items of the cart are named, and only where the cart speaks"),
        ],
        needed=FACTS,
    )


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Return the share of carts whose user bought one of the first items since, of those who bought anything beside the cart."""
    k = settings.evaluation.metric_k
    listed: dict[str, set[str]] = {}
    carts: dict[str, set[str]] = {}
    for row in reader.read(CART_RECOMMENDATIONS.name, made_on, made_on).to_pylist():
        carts[row["user_id"]] = set(row["cart_item_ids"])
        if row["rank"] <= k:
            listed.setdefault(row["user_id"], set()).add(row["item_id"])
    bought: dict[str, set[str]] = {}
    for row in reader.events(made_on + timedelta(days=1), day, ["user_id", "item_id", "event_type"]).to_pylist():
        if row["event_type"] == "purchase" and row["user_id"] in carts and row["item_id"] not in carts[row["user_id"]]:
            bought.setdefault(row["user_id"], set()).add(row["item_id"])
    popular = popular_items(reader, made_on, k + max((len(cart) for cart in carts.values()), default=0))
    usual = {user: set([item for item in popular if item not in carts[user]][:k]) for user in bought}
    hits = np.array([(bool(listed.get(u, set()) & bought[u]), bool(usual[u] & bought[u])) for u in sorted(bought)], np.float64)
    hits = hits.reshape(-1, 2)
    name = f"hit_rate@{k}"
    return [mean_metric(settings, name, hits[:, at], day, name, by, by=by) for at, by in enumerate(("", "popularity"))]


CARTS: Final = Task(
    table=CART_RECOMMENDATIONS,
    reads=("events", "items"),
    reads_history=("users",),
    uses_rules=True,
    description="What completes each cart that was filled in the last days and not bought.",
    open=open_carts,
    build=make,
    version=lambda settings, day: RULE,
    suite=suite,
    measure=measure,
)
