"""Each table obeys the files of knowledge, by the copy that its plan names; without them nothing changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from coloured_night import DAY, TEXT, fill, published
from small_shop import Shop, event, item, open_shop, user

from recpipe.errors import AuditFailed, BadSetting, RecpipeError
from recpipe.evaluation.judge import judge_learners
from recpipe.evaluation.outcomes import measure_day
from recpipe.models.popularity import Popularity
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Task
from recpipe.rules.day_rules import DayRules
from recpipe.rules.load import read_rules
from recpipe.tables.baskets.cart_recommendations import CARTS
from recpipe.tables.baskets.complements import ITEM_COMPLEMENTS
from recpipe.tables.campaigns.campaign_audiences import AUDIENCES
from recpipe.tables.item_classes.item_classes import CLASSES
from recpipe.tables.recommendations.night_plan import plan_night
from recpipe.tables.recommendations.night_publish import publish_night, recommend_day
from recpipe.tables.recommendations.night_shards import rank_shard
from recpipe.tables.search.search_recommendations import SEARCHES


def knows(shop: Shop, **files: str) -> Shop:
    """Write files of knowledge beside the home, and return the shop with settings that name them."""
    folder = shop.settings.places.home / "shop"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return Shop(shop.settings.changed(knowledge=str(folder)))


def lists(shop: Shop, day: date = DAY) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in published(shop, day=day).to_pylist():
        found[row["user_id"]] = found.get(row["user_id"], "") + row["item_id"]
    return found


@pytest.fixture
def three(tmp_path: Path) -> Shop:
    shop = fill(open_shop(tmp_path / "home", top_k=3, min_users=1, bootstrap_draws=50))
    shop.model(TEXT)
    return shop


# --- the lists of a night -----------------------------------------------------------------------------------------


def test_no_list_holds_what_is_blocked_nor_what_its_user_is_too_young_for(three):
    """u2 lives in Spain and was born in 1980; of the others nothing is known, also by the fallback that serves u3."""
    people = (user("u2", "2026-03-01 00:00", "Spain") | {"attributes": [("born", "1980")]},)
    day = three.deliver("2026-03-03", users=people)
    recommend_day(three.settings, day, "1")
    assert lists(three, day) == {"u1": "bec", "u2": "eb", "u3": "acb"}
    shop = knows(three, blocked="items: [b]")
    recommend_day(shop.settings, day, "1")
    assert lists(shop, day) == {"u1": "ec", "u2": "e", "u3": "ace"}
    shop = knows(three, blocked="items: [{id: b, countries: [France]}]")
    recommend_day(shop.settings, day, "1")
    assert lists(shop, day) == {"u1": "ec", "u2": "eb", "u3": "ace"}
    shop = knows(shop, blocked="", age_limits="age_from: {attribute: born, as: birth_year}\nlimits: [{age: 18, items: [e, c]}]")
    recommend_day(shop.settings, day, "1", shards=3)
    assert lists(shop, day) == {"u1": "b", "u2": "eb", "u3": "ab"}


def test_the_limit_of_a_category_counts_the_paths_of_the_tree(tmp_path):
    shop = open_shop(tmp_path / "home", top_k=4, max_per_category=1, category_level=0)
    shelf = tuple(item(f"{name}{n}", name, [name]) for name in ("red", "blue", "green") for n in range(2))
    shop.deliver("2026-03-02", items=shelf, users=(user("u1", "2026-03-01"),))
    shop.model(Popularity())
    recommend_day(shop.settings, DAY, "1")
    assert len(lists(shop)["u1"]) == len("blue0" + "green0" + "red0")
    shop = knows(shop, categories="merge: [{into: blue, from: [red]}]")
    recommend_day(shop.settings, DAY, "1")
    assert lists(shop) == {"u1": "blue0green0"}


def test_without_a_folder_no_byte_changes(three):
    plan = plan_night(three.settings, DAY, "1")
    assert "knowledge" not in plan.as_json()
    before = pq.read_table(rank_shard(three.settings, plan, 0))
    shop = knows(three, blocked="# nothing")
    assert pq.read_table(rank_shard(shop.settings, plan, 0)).equals(before)
    empty = plan_night(shop.settings, DAY, "1")
    assert pq.read_table(rank_shard(shop.settings, empty, 0)).equals(before)


def test_shards_read_the_copy_of_the_plan(three):
    shop = knows(three, blocked="items: [b]")
    plan = plan_night(shop.settings, DAY, "1")
    assert plan.knowledge == read_rules(shop.settings).sha256
    assert RunPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    before = pq.read_table(rank_shard(shop.settings, plan, 0))
    shop = knows(shop, blocked="items: [a, b, c, e]")
    assert pq.read_table(rank_shard(shop.settings, plan, 0)).equals(before)
    assert "b" not in before["item_id"].to_pylist()
    other = plan_night(shop.settings, DAY, "1")
    with pytest.raises(RecpipeError, match="another plan"):
        publish_night(shop.settings, replace(other, shards=1), [rank_shard(shop.settings, replace(plan, shards=1), 0)])


def test_a_copy_that_is_gone_or_differs_is_refused(three):
    shop = knows(three, blocked="items: [b]")
    plan = plan_night(shop.settings, DAY, "1")
    copy = shop.settings.places.work / "knowledge" / plan.knowledge
    (copy / "blocked.yaml").write_text("items: [c]")
    with pytest.raises(RecpipeError, match="not those that 2026-03-02 was planned with"):
        rank_shard(shop.settings, plan, 0)
    (copy / "blocked.yaml").unlink()
    with pytest.raises(RecpipeError, match="are gone from"):
        rank_shard(shop.settings, plan, 0)


def test_a_fault_stops_the_plan(three):
    shop = knows(three, blocked="items:\n  - a\n  - a\n")
    with pytest.raises(BadSetting, match=r"blocked\.yaml, line 3"):
        plan_night(shop.settings, DAY, "1")
    with pytest.raises(BadSetting, match=r"blocked\.yaml, line 3"):
        plan_day(shop.settings, CLASSES, DAY)


@pytest.mark.parametrize(
    "files",
    [
        {"blocked": "items: [b]"},
        {"age_limits": "age_from: {attribute: born, as: age}\nlimits: [{age: 18, items: [b]}]"},
    ],
)
def test_a_night_that_forgets_the_rules_is_refused(three, monkeypatch, files):
    shop = knows(three, **files)
    honest, plan = DayRules.barred, replace(plan_night(shop.settings, DAY, "1"), shards=1)
    monkeypatch.setattr(DayRules, "barred", lambda self, rows: np.zeros_like(honest(self, rows)))
    with pytest.raises(AuditFailed, match="files of knowledge bar"):
        publish_night(shop.settings, plan, [rank_shard(shop.settings, plan, 0)])
    monkeypatch.setattr(DayRules, "barred", honest)
    assert publish_night(shop.settings, plan, [rank_shard(shop.settings, plan, 0)])


def test_rivals_are_ranked_under_the_same_rules(three):
    """Both met e, which is barred from everybody: no learner can have a hit."""
    recommend_day(three.settings, DAY, "1")
    last = three.deliver("2026-03-03", events=tuple(event(name, "e", "purchase", "2026-03-03 10:00") for name in ("u1", "u2")))
    for settings, hit in ((three.settings, True), (knows(three, blocked="items: [e]").settings, False)):
        settings = settings.changed(horizon_days=1)
        found = measure_day(settings, last).rows.to_pylist()
        rates = [
            row["value"] for row in found if row["metric"] == "hit_rate@10" and row["cohort"] == "all" and row["name"] != "1"
        ]
        assert [rate > 0 for rate in rates] == [hit] * 2
        (scores,) = judge_learners(settings, [Popularity()], DAY, last)
        assert bool(scores.sum()) == hit


# --- the tables of the tasks --------------------------------------------------------------------------------------


def order(buyer: str, name: str, *items: str) -> list[dict]:
    lines = [event(buyer, one, "purchase", "2026-03-01 10:00", f"{name}-{one}") for one in items]
    return [line | {"order_id": name} for line in lines]


@pytest.fixture
def kitchen(tmp_path: Path) -> Shop:
    """Tea is bought with pot and mug; a grown-up and a child left tea in the cart."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    people = [
        user(name, "2026-03-01", "Spain") | {"attributes": [("age", age)]} for name, age in (("child", "9"), ("grown", "50"))
    ]
    orders = [line for n in range(3) for line in order(f"b{n}", f"o{n}", "tea", "pot", "mug")]
    carts = [event(name, "tea", "cart", "2026-03-02 10:00") for name in ("child", "grown")]
    shelf = [item(name, "red", [name]) for name in ("tea", "pot", "mug")]
    shop.deliver("2026-03-01", items=tuple(shelf), users=tuple(people), events=tuple(orders))
    shop.deliver("2026-03-02", events=tuple(carts))
    return shop


def run(shop: Shop, task: Task, *columns: str) -> set[tuple[str, ...]]:
    run_day(shop.settings, task, DAY)
    rows = shop.lake.reader().read(task.name, DAY, DAY).to_pylist()
    return {tuple(row[name] for name in columns) for row in rows}


def test_complements_are_no_substitutes_and_nothing_blocked(kitchen):
    pairs = {("tea", "pot"), ("tea", "mug"), ("pot", "tea"), ("pot", "mug"), ("mug", "tea"), ("mug", "pot")}
    assert run(kitchen, ITEM_COMPLEMENTS, "item_id", "complement_id") == pairs
    shop = knows(kitchen, substitutes="groups: [{items: [pot], categories: [mug]}]")
    assert run(shop, ITEM_COMPLEMENTS, "item_id", "complement_id") == pairs - {("pot", "mug"), ("mug", "pot")}
    assert "+knowledge-" in shop.lake.day("complements", DAY).model_version
    shop = knows(shop, substitutes="", blocked="items: [mug]")
    assert run(shop, ITEM_COMPLEMENTS, "item_id", "complement_id") == {
        ("tea", "pot"),
        ("pot", "tea"),
        ("mug", "tea"),
        ("mug", "pot"),
    }
    shop = knows(shop, blocked="items: [{id: mug, countries: [Spain]}]")
    assert run(shop, ITEM_COMPLEMENTS, "item_id", "complement_id") == pairs - {("tea", "mug"), ("pot", "mug")}


def test_carts_are_completed_by_what_their_user_may_be_shown(kitchen):
    everything = {(name, what) for name in ("child", "grown") for what in ("pot", "mug")}
    assert run(kitchen, CARTS, "user_id", "item_id") == everything
    shop = knows(kitchen, age_limits="age_from: {attribute: age, as: age}\nlimits: [{age: 18, items: [pot]}]")
    assert run(shop, CARTS, "user_id", "item_id") == everything - {("child", "pot")}
    shop = knows(shop, substitutes="groups: [{items: [tea, mug]}]")
    assert run(shop, CARTS, "user_id", "item_id") == {("grown", "pot")}


def test_carts_and_complements_that_forget_the_rules_are_refused(kitchen, monkeypatch):
    shop = knows(kitchen, blocked="items: [mug]")
    monkeypatch.setattr(DayRules, "speaks", property(lambda self: False))
    for task in (ITEM_COMPLEMENTS, CARTS):
        with pytest.raises(AuditFailed):
            run_day(shop.settings, task, DAY)
        assert shop.lake.day(task.name, DAY) is None or not shop.lake.day(task.name, DAY).complete


def test_nobody_is_addressed_about_what_they_may_not_be_shown(kitchen):
    file = kitchen.settings.places.home / "campaigns.jsonl"
    one = {"id": "pots", "first_day": "2026-03-03", "last_day": "2026-03-04", "item_ids": ["pot", "tea"]}
    file.write_text(json.dumps(one))
    shop = Shop(kitchen.settings.changed(campaigns=str(file)))
    assert run(shop, AUDIENCES, "user_id") == {("child",), ("grown",)}
    limited = knows(shop, age_limits="age_from: {attribute: age, as: age}\nlimits: [{age: 18, items: [pot]}]")
    assert run(limited, AUDIENCES, "user_id") == {("grown",)}
    blocked = knows(limited, age_limits="", blocked="items: [tea, {id: pot, countries: [France]}]")
    assert run(blocked, AUDIENCES, "user_id") == {("child",), ("grown",)}
    blocked = knows(limited, blocked="items: [tea, {id: pot, countries: [Spain]}]")
    assert run(blocked, AUDIENCES, "user_id") == set()


def test_an_audience_that_forgets_the_rules_is_refused(kitchen, monkeypatch):
    file = kitchen.settings.places.home / "campaigns.jsonl"
    file.write_text(json.dumps({"id": "pots", "first_day": "2026-03-03", "last_day": "2026-03-04", "item_ids": ["pot"]}))
    shop = knows(Shop(kitchen.settings.changed(campaigns=str(file))), blocked="items: [pot]")
    monkeypatch.setattr(DayRules, "turned_away", lambda self, items: np.zeros(len(self.user_ids), bool))
    with pytest.raises(AuditFailed, match="bar them from"):
        run_day(shop.settings, AUDIENCES, DAY)


def test_searches_find_what_everybody_may_be_shown(kitchen, monkeypatch):
    kitchen.deliver("2026-03-02", events=(event("grown", None, "search", "2026-03-02 10:00", query="red"),))
    assert run(kitchen, SEARCHES, "item_id") == {("tea",), ("pot",), ("mug",)}
    shop = knows(kitchen, blocked="items: [{id: pot, countries: [Spain]}]")
    assert run(shop, SEARCHES, "item_id") == {("tea",), ("mug",)}
    monkeypatch.setattr(DayRules, "open_to_all", property(lambda self: np.ones(len(self.item_ids), bool)))
    with pytest.raises(AuditFailed, match="bar anybody from"):
        run_day(shop.settings, SEARCHES, DAY)


def test_classes_are_those_of_the_tree(tmp_path):
    """Warm and hot are one class; a path outside the tree is none, and its item is asked about."""
    shop = open_shop(tmp_path / "home", min_users=1)
    shelf = [item(f"{name}{n}", name, path) for name, path in (("red", ["warm"]), ("blue", ["cold"])) for n in range(4)]
    shelf += [item("x", "red"), item("y", "red", ["hot"]), item("z", "blue", ["ice"])]
    shop.deliver("2026-03-02", items=tuple(shelf))
    shop.know("red", "blue", "warm", "cold", "hot", "ice")
    assert dict(run(shop, CLASSES, "item_id", "level")) == {"x": 1}
    shop = knows(shop, categories="paths: [warm, cold]\nrename: [{from: hot, to: warm}]")
    run_day(shop.settings, CLASSES, DAY)
    rows = {row["item_id"]: row for row in shop.lake.reader().read("item_classes", DAY, DAY).to_pylist()}
    assert {name: row["class_path"] for name, row in rows.items()} == {"x": ["warm"], "z": ["cold"]}
    assert "+knowledge-" in rows["x"]["model_version"]


def test_the_rows_of_a_night_do_not_depend_on_shards(three):
    shop = knows(three, blocked="items: [{id: e, countries: [Spain]}]")
    recommend_day(shop.settings, DAY, "1", shards=1)
    once = published(shop)
    recommend_day(shop.settings, DAY, "1", shards=3)
    assert published(shop).equals(once)
