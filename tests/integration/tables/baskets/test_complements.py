"""What completes an item and a cart: counted by hand on a shop of four items, and found again in real orders."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_shop import Shop, event, item, open_shop

from recpipe.config.settings import load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed
from recpipe.lake.lake import Lake
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.baskets import cart_recommendations, complements
from recpipe.tables.baskets import co_purchase as learn
from recpipe.tables.baskets.baskets import RULE
from recpipe.tables.baskets.cart_recommendations import CARTS
from recpipe.tables.baskets.complements import ITEM_COMPLEMENTS
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)
TEA, POT, MUG, COLA = "tea", "pot", "mug", "cola"


def order(user: str | None, day: str, name: str, *items: str) -> list[dict]:
    return [event(user, some, "purchase", f"{day} 10:00", f"{name}-{some}") | {"order_id": name} for some in items]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Tea is bought with a pot, cola for itself; mugs come with both, by one user now and then."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    shop.deliver(
        "2026-03-01",
        items=tuple(item(name) for name in (TEA, POT, MUG, COLA)),
        events=(*order("a", "2026-03-01", "1", TEA, POT), *order("b", "2026-03-01", "2", TEA, POT, MUG), *order("c", "2026-03-01", "3", COLA)),
    )  # fmt: skip
    shop.deliver(
        "2026-03-02",
        events=(
            *order("a", "2026-03-02", "4", TEA, POT),
            *order("b", "2026-03-02", "5", TEA, MUG),
            event("c", TEA, "cart", "2026-03-02 11:00"),
            event("a", MUG, "cart", "2026-03-02 09:00"),
            event("a", POT, "cart", "2026-03-02 09:30"),
            event("b", TEA, "cart", "2026-03-02 09:00"),
        ),
    )
    return shop


def rows(shop: Shop, table: str, day: date = DAY) -> list[dict]:
    return shop.lake.reader().read(table, day, day).to_pylist()


def test_what_is_bought_together_completes(shop):
    """Tea and pot stand in three of five orders, each in four and three; tea and mug in two; pot and mug in one alone."""
    assert run_day(shop.settings, ITEM_COMPLEMENTS, DAY)["rows"] == 4
    found = {(row["item_id"], row["complement_id"]): row for row in rows(shop, "complements")}
    assert set(found) == {(TEA, POT), (TEA, MUG), (POT, TEA), (MUG, TEA)}
    assert [found[TEA, POT][name] for name in ("rank", "orders_together", "model_version")] == [1, 3, RULE]
    assert found[TEA, MUG]["rank"] == 2
    assert found[TEA, POT]["lift"] == pytest.approx(3 * 5 / (4 * 3))


def test_a_cart_that_was_not_bought_is_completed(shop):
    """c left tea; a bought the pot, not the mug; b bought the tea after the cart."""
    run_day(shop.settings, CARTS, DAY)
    found = rows(shop, "cart_recommendations")
    assert {row["user_id"]: row["cart_item_ids"] for row in found} == {"c": [TEA], "a": [MUG]}
    first = next(row for row in found if row["user_id"] == "c")
    assert (first["item_id"], first["kind"], first["because_item_ids"]) == (POT, "cart", [TEA])
    assert {row["item_id"] for row in found if row["user_id"] == "a"} == {COLA}  # tea and pot were bought since


@pytest.mark.parametrize("task", [ITEM_COMPLEMENTS, CARTS])
def test_rows_do_not_depend_on_shards_nor_on_later_days(shop, task, monkeypatch):
    monkeypatch.setattr(complements, "ITEMS_A_BLOCK", 1)
    monkeypatch.setattr(cart_recommendations, "CARTS_A_BLOCK", 1)
    run_day(shop.settings, task, DAY, shards=1)
    once = rows(shop, task.name)
    later = (*order("c", "2026-03-03", "9", TEA, COLA), *order("a", "2026-03-03", "8", MUG, COLA))
    shop.deliver("2026-03-03", items=(item("new"),), events=later)
    run_day(shop.settings, task, DAY, shards=3)
    assert rows(shop, task.name) == once


@pytest.mark.parametrize("task", [ITEM_COMPLEMENTS, CARTS])
def test_nothing_bought_is_an_empty_day(tmp_path, task):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02", items=(item(TEA),))
    assert run_day(shop.settings, task, DAY)["rows"] == 0
    assert shop.lake.day(task.name, DAY).status == "empty"


def test_a_shop_without_items_has_an_empty_day(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02")
    assert run_day(shop.settings, ITEM_COMPLEMENTS, DAY)["rows"] == 0


def test_what_cannot_be_bought_completes_nothing(shop):
    shop.deliver("2026-03-03", items=(item(POT, available=False),))
    run_day(shop.settings, ITEM_COMPLEMENTS, date(2026, 3, 3))
    found = {(row["item_id"], row["complement_id"]) for row in rows(shop, "complements", date(2026, 3, 3))}
    assert found == {(TEA, MUG), (POT, TEA), (MUG, TEA)}


def test_what_became_of_it(shop):
    """Two first items each. c bought the pot that was offered; a bought the cola, which alone was offered, and sells the least.

    Tea was bought along with what both lists name; the pot once of three times with what its list names, twice with what sells;
    the mug with what sells alone.
    """
    settings = shop.settings.changed(horizon_days=1, metric_k=2)
    for task in (ITEM_COMPLEMENTS, CARTS):
        run_day(settings, task, DAY)
    bought = (("c", "6", POT, TEA), ("d", "7", POT, COLA), ("e", "8", MUG, POT), ("a", "9", COLA))
    shop.deliver("2026-03-03", events=tuple(line for who, *held in bought for line in order(who, "2026-03-03", *held)))
    later, reader = date(2026, 3, 3), shop.lake.reader()
    value = {row["name"]: row["value"] for row in measure_task(settings, ITEM_COMPLEMENTS, reader, later).to_pylist()}
    assert value == {RULE: pytest.approx((1 + 1 / 3 + 0) / 3), "popularity": pytest.approx((1 + 2 / 3 + 1) / 3)}
    value = {row["name"]: row["value"] for row in measure_task(settings, CARTS, reader, later).to_pylist()}
    assert value == {RULE: 1.0, "popularity": 0.5}


@pytest.fixture
def busy(tmp_path: Path) -> Shop:
    """Sixty orders of two to four of nine items by chance; z has left a cart of four, and y of three."""
    rng = np.random.default_rng(3)
    shop = open_shop(tmp_path / "home", min_users=1, top_k=9)
    names = [f"i{n}" for n in range(9)]
    bought = [order(f"u{n % 12}", "2026-03-01", str(n), *rng.choice(names, rng.integers(2, 5), False)) for n in range(60)]
    left = [event(one, name, "cart", "2026-03-02 10:00") for one, held in (("z", names[:4]), ("y", names[5:8])) for name in held]
    shop.deliver(
        "2026-03-01", items=tuple(item(name) for name in names), events=tuple(line for lines in bought for line in lines)
    )
    shop.deliver("2026-03-02", events=tuple(left))
    return shop


def test_reasons_of_carts_are_faithful(busy):
    """Without the item that is named first the score falls the furthest, without both that are named further than without two others."""
    plan = plan_day(busy.settings, CARTS, DAY)
    state = CARTS.open(busy.settings, plan, busy.lake.reader(plan.versions))
    names = state.baskets.item_ids

    def scores(gone: tuple[str, ...] = ()) -> dict[tuple[str, str], float]:
        left = [cart[~np.isin(names[cart], gone)] for cart in state.carts]
        return {
            (row["user_id"], row["item_id"]): row["score"] for row in CARTS.build(replace(state, carts=left), 0, 1)[0].to_pylist()
        }

    looked_at = 0
    for row in CARTS.build(state, 0, 1)[0].to_pylist():
        if row["kind"] == "cart":
            for size in range(1, len(row["because_item_ids"]) + 1):
                named = frozenset(row["because_item_ids"][:size])
                found = {
                    frozenset(gone): scores(gone).get((row["user_id"], row["item_id"]), -np.inf)
                    for gone in combinations(row["cart_item_ids"], size)
                }
                assert found[named] == pytest.approx(min(found.values()))
                looked_at += 1
    assert looked_at >= 6


def test_orders_with_both_are_what_makes_a_complement(busy):
    """Faithful: without the orders that ``orders_together`` counts the score falls further than without as many others."""
    plan = plan_day(busy.settings, ITEM_COMPLEMENTS, DAY)
    baskets, most = ITEM_COMPLEMENTS.open(busy.settings, plan, busy.lake.reader(plan.versions))
    held = baskets.orders.matrix.toarray() > 0
    place = {name: at for at, name in enumerate(baskets.item_ids)}
    rng = np.random.default_rng(0)

    def score(rows: np.ndarray, pair: tuple[str, str]) -> float:
        orders = baskets.orders.take(rows)
        world = learn.world_of(orders, np.full(9, -1), np.datetime64(DAY), len(baskets.user_ids))
        made = ITEM_COMPLEMENTS.build((replace(baskets, orders=orders, world=world), most), 0, 1)[0].to_pylist()
        return next((row["score"] for row in made if (row["item_id"], row["complement_id"]) == pair), -np.inf)

    for row in ITEM_COMPLEMENTS.build((baskets, most), 0, 1)[0].to_pylist()[::9]:
        pair = row["item_id"], row["complement_id"]
        both = np.flatnonzero(held[:, [place[name] for name in pair]].all(1))
        assert len(both) == row["orders_together"]
        others = [rng.choice(np.setdiff1d(np.arange(60), both), len(both), False) for _ in range(3)]
        without, *rest = (score(np.setdiff1d(np.arange(60), gone), pair) for gone in (both, *others))
        assert without < min(rest)


# --- the suites ---------------------------------------------------------------------------------------------------

GOOD = {
    "complements": {
        "day": DAY, "item_id": TEA, "rank": 1, "complement_id": POT, "score": 1.0, "orders_together": 3, "lift": 2.0,
        "model_version": RULE,
    },
    "cart_recommendations": {
        "day": DAY, "user_id": "c", "rank": 1, "item_id": POT, "score": 1.0, "kind": "cart", "because_item_ids": [TEA],
        "cart_item_ids": [TEA], "model_version": RULE,
    },
}  # fmt: skip
BREAKS = [
    (ITEM_COMPLEMENTS, "unknown_items", {"complement_id": "new"}),
    (ITEM_COMPLEMENTS, "itself", {"complement_id": TEA}),
    (ITEM_COMPLEMENTS, "unavailable_items", {"complement_id": "gone"}),
    (ITEM_COMPLEMENTS, "never_together", {"orders_together": 1}),
    (ITEM_COMPLEMENTS, "ranks_amiss", {"rank": 2}),
    (CARTS, "unknown_items", {"item_id": "new"}),
    (CARTS, "held_items", {"item_id": TEA}),
    (CARTS, "unavailable_items", {"item_id": "gone"}),
    (CARTS, "ranks_amiss", {"rank": 2}),
    (CARTS, "because_amiss", {"because_item_ids": []}),
    (CARTS, "because_amiss", {"because_item_ids": [MUG]}),
    (CARTS, "because_amiss", {"kind": "habit"}),
]
MODULES = {"complements": complements, "cart_recommendations": cart_recommendations}


@pytest.mark.parametrize(("task", "fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, task, fact, change):
    shop.deliver("2026-03-02", items=(item("gone", available=False),))
    plan = plan_day(shop.settings, task, DAY)
    state = task.open(shop.settings, plan, shop.lake.reader(plan.versions))
    state = state[0] if isinstance(state, tuple) else state
    count, good = MODULES[task.name].count_faults, GOOD[task.name]
    assert set(count(state, [good]).values()) == {0}
    assert count(state, [good | change])[fact] == 1


@pytest.mark.parametrize(("task", "fact"), sorted({(task.name, fact) for task, fact, _ in BREAKS}))
def test_a_fault_stops_the_publication(shop, task, fact):
    module = MODULES[task]
    found = pa.Table.from_pylist([GOOD[task]], schema=TABLES[task].schema)
    facts, suite = dict.fromkeys(module.FACTS, 0), module.suite(shop.settings)
    audit(shop.settings, task, DAY, found.to_batches(), facts, suite).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, task, DAY, found.to_batches(), facts | {fact: 1}, suite).raise_if_failed()


# --- real orders --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_carts_of_a_real_shop_are_completed(tmp_path):
    """Six weeks of Online Retail; of the orders of the last day half of the lines are carts, the others are looked for."""
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds online_retail_ii")
    folder = Path(os.environ["RECPIPE_TEST_DATA"]) / "online_retail_ii"
    day, settings = (
        date(2011, 10, 20),
        load_settings(home=tmp_path / "home", horizon_days=1, lookback_days=42, bootstrap_draws=200),
    )
    deliver_real(settings, folder, day)
    run_day(settings, CARTS, day)
    reader = Lake.from_settings(settings).reader()
    found = measure_task(settings, CARTS, reader, day + timedelta(days=1)).to_pylist()
    value = {row["name"]: row["value"] for row in found}
    print(value)
    assert value[RULE] > 1.5 * value["popularity"] > 0


def deliver_real(settings, folder, day):
    first, last = (datetime.combine(day + timedelta(days=n), time()) for n in (-41, 2))
    events = pq.read_table(
        folder / "events.parquet", filters=[("event_type", "=", "purchase"), ("ts", ">=", first), ("ts", "<", last)]
    ).to_pandas()
    events = events[events["user_id"].notna() & events["is_merchandise"]].drop_duplicates(["order_id", "item_id"])
    catalogue = sorted(events["item_id"].unique())
    lines = [
        {"event_id": f"{row.order_id}-{row.item_id}", "user_id": row.user_id, "item_id": row.item_id, "event_type": "purchase",
         "ts": row.ts.tz_localize("UTC").to_pydatetime(), "order_id": row.order_id, "day": row.ts.date()}
        for row in events.itertuples()
    ]  # fmt: skip
    tomorrow = [row for row in lines if row["day"] > day]
    carts = [row | {"event_type": "cart", "day": day, "event_id": "c" + row["event_id"]} for row in tomorrow[::2]]
    carts = [row | {"ts": row["ts"] - timedelta(days=1)} for row in carts]
    lake, days = Lake.from_settings(settings), [day - timedelta(days=n) for n in range(41, -2, -1)]
    for name, found in (
        ("items", [{"item_id": name, "available": True, "day": days[0]} for name in catalogue]),
        ("events", lines + carts),
    ):
        schema = TABLES[name].schema
        full = [{column: row.get(column) for column in schema.names} for row in found]
        lake.publish(name, days, pa.Table.from_pylist(full, schema=schema))
