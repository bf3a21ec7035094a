"""The items that complete an item: bought in one order with it, and no replacement for it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import COMPLEMENTS
from recpipe.lake.reader import Reader
from recpipe.pipeline.blocks import blocks_of, shard_of
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Metric, Task
from recpipe.pipeline.task_outcomes import mean_metric
from recpipe.rules.rule_checks import count_substitutes, count_worse
from recpipe.tables.baskets import co_purchase as learn
from recpipe.tables.baskets.baskets import RULE, Baskets, carts_of, open_baskets, purchases
from recpipe.validation.suites import Suite, whole_suite

ITEMS_A_BLOCK: Final = 4096


FACTS: Final = ("unknown_items", "itself", "unavailable_items", "never_together", "substitutes", "barred_items", "ranks_amiss")


def make(state: Baskets, shard: int, shards: int, most: int) -> tuple[pa.Table, Facts]:
    """Return what completes the items of one shard, at most so many each."""
    rows: list[dict[str, Any]] = []
    pair = learn.pair_scores(state.world.pairs, state.weights.nobody)
    for block in shard_of(blocks_of(state.item_ids, ITEMS_A_BLOCK), shard, shards):
        rows += _rows(state, block, pair, most) if len(block) else []
    return pa.Table.from_pylist(rows, schema=COMPLEMENTS.schema), count_faults(state, rows)


def _rows(state: Baskets, block: NDArray[np.intp], pair: sp.csr_matrix, most: int) -> list[dict[str, Any]]:
    pairs, items = state.world.pairs, len(state.item_ids)
    carts = carts_of([np.array([item]) for item in block], np.full(len(block), -1), items)
    found = learn.candidates_of(state.world, carts, state.available, popular=False)
    if state.rules.speaks:
        found = found.where(state.rules.may_complete(block[found.cart], found.item))
    scores = learn.score(state.world, carts, state.weights.nobody, found, pair)
    chosen, value = learn.best(found, scores, most)
    together = pairs.matrix(pairs.together)[block]
    at, place = np.nonzero(chosen >= 0)
    other = chosen[at, place]
    both = learn.entries(together, at, other)
    lift = both * len(state.orders) / (pairs.orders[block[at]] * pairs.orders[other])
    return [
        {
            "day": state.day,
            "item_id": state.item_ids[block[row]],
            "rank": int(rank) + 1,
            "complement_id": state.item_ids[item],
            "score": float(value[row, rank]),
            "orders_together": int(count),
            "lift": float(more),
            "model_version": state.version,
        }
        for row, rank, item, count, more in zip(at, place, other, both, lift, strict=True)
    ]


def count_faults(state: Baskets, rows: list[dict[str, Any]]) -> Facts:
    """Count what is wrong with rows."""
    available = dict(zip(state.item_ids, state.available, strict=True))
    pairs = [(row["item_id"], row["complement_id"]) for row in rows]
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row["item_id"], []).append(row["rank"])
    return {
        "unknown_items": sum(row[name] not in available for row in rows for name in ("item_id", "complement_id")),
        "itself": sum(row["item_id"] == row["complement_id"] for row in rows),
        "unavailable_items": sum(not available.get(row["complement_id"], True) for row in rows),
        "never_together": sum(row["orders_together"] < learn.LEAST_TOGETHER for row in rows),
        "substitutes": count_substitutes(state.rules, pairs),
        "barred_items": count_worse(state.rules, pairs),
        "ranks_amiss": sum(sorted(some) != list(range(1, len(some) + 1)) for some in ranks.values()),
    }


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of complements."""
    from recpipe.validation.rule import between, none

    return whole_suite(
        COMPLEMENTS.name,
        settings.intake,
        rows=[between("rank", 1, settings.lists.top_k, "No list is longer than set")],
        day=[
            none("unknown_items", "Every item was delivered on the day or before"),
            none("itself", "No item completes itself"),
            none("unavailable_items", "Every complement can be bought"),
            none("never_together", "What completes an item was bought in one order with it, more than once"),
            none("substitutes", "No item is completed by what replaces it, by the shop's files of knowledge"),
            none("barred_items", "Whoever may be shown an item may be shown what completes it"),
            none("ranks_amiss", "Ranks run from 1 without gaps"),
        ],
        needed=FACTS,
    )


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Return how often an item was bought along with one of its first complements, as a mean over items bought since.

    ``completed`` is the share of an item's orders of two lines or more that hold one of them. The baseline names for every item
    the items that sold in most orders of the weeks before.
    """
    k = settings.evaluation.metric_k
    lists: dict[str, set[str]] = {}
    for row in reader.read(COMPLEMENTS.name, made_on, made_on).to_pylist():
        if row["rank"] <= k:
            lists.setdefault(row["item_id"], set()).add(row["complement_id"])
    orders = baskets_between(reader, made_on + timedelta(days=1), day)
    popular = popular_items(reader, made_on, k + 1)
    shares: dict[str, list[tuple[bool, bool]]] = {}
    for held in orders:
        for item in held & lists.keys() if len(held) > 1 else ():
            usual = set([other for other in popular if other != item][:k])
            shares.setdefault(item, []).append((bool(lists[item] & held), bool(usual & held)))
    means = np.array([np.mean(shares[item], axis=0) for item in sorted(shares)]).reshape(-1, 2)
    name = f"completed@{k}"
    return [mean_metric(settings, name, means[:, at], day, name, by, by=by) for at, by in enumerate(("", "popularity"))]


def baskets_between(reader: Reader, first: date, last: date) -> list[set[str]]:
    """Return the items of each order of some days."""
    lines = purchases(reader, first, last)
    found: dict[str, set[str]] = {}
    for basket, item in zip(lines["basket"].to_pylist(), lines["item_id"].to_pylist(), strict=True):
        found.setdefault(basket, set()).add(item)
    return [found[name] for name in sorted(found)]


def popular_items(reader: Reader, day: date, most: int) -> list[str]:
    """Return the items of most orders in the four weeks up to a day."""
    count: dict[str, int] = {}
    for held in baskets_between(reader, day - timedelta(days=27), day):
        for item in held:
            count[item] = count.get(item, 0) + 1
    return sorted(count, key=lambda item: (-count[item], item))[:most]


def _open(settings: Settings, plan: RunPlan, reader: Reader) -> tuple[Baskets, int]:
    return open_baskets(settings, plan, reader), settings.lists.top_k


ITEM_COMPLEMENTS: Final = Task(
    table=COMPLEMENTS,
    reads=("events", "items"),
    description="What completes each item: bought in one order with it, and no substitute.",
    open=_open,
    build=lambda state, shard, shards: make(state[0], shard, shards, state[1]),
    version=lambda settings, day: RULE,
    uses_rules=True,
    suite=suite,
    measure=measure,
)
