"""New items drawn into lists: by the probabilities that are written down, the same whatever the shards."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coloured_night import published
from hypothesis import given, settings
from hypothesis import strategies as st
from small_shop import Shop, event, item, open_shop, user

from recpipe.contract import NEW_ITEM, RECOMMENDATIONS
from recpipe.dataset.support import Support
from recpipe.evidence.item_features import RECENT, SETTINGS
from recpipe.evidence.layout import KINDS, TRENDS, layout_of
from recpipe.models.base import score_users
from recpipe.models.pair_network import PairNetwork
from recpipe.models.text_prototype import TextPrototype
from recpipe.pipeline import blocks
from recpipe.ranking.exploration import ENDLESS, UNITS, draw, generator, inclusion, weights
from recpipe.tables.recommendations import night
from recpipe.tables.recommendations.night_publish import recommend_day
from recpipe.tables.recommendations.night_shards import rank_shard

TEXT = TextPrototype(popularity_weight=0.0)
OLD, TODAY = "2026-01-01", date(2026, 3, 2)


def words_alone() -> PairNetwork:
    """A stack that looks at words, meaning and category, as strong as each other, and at sales hardly."""
    names = layout_of(SETTINGS).features
    weight = np.zeros((2, len(names)), np.float32)
    weight[0, [names.index(name) for name in ("words", "meaning", "category")]] = 1
    none, nothing = np.zeros((len(names) + 1, 0), np.float32), np.zeros(0, np.float32)
    trend = np.full(len(TRENDS), 0.1, np.float32)
    recent = np.zeros(len(RECENT), np.float32)
    return PairNetwork(weight, trend, recent, none, nothing, none[:0], nothing, nothing, kind="stack")


@pytest.fixture
def colours(tmp_path):
    """Return a shop of eight old items, and of six that are delivered today and never sold."""

    def made(**given) -> Shop:
        shop = open_shop(tmp_path / "home", top_k=4, explore_days=7, explore_events=0, **given)
        paths = "max_per_category" in given  # their names would make all texts a little like each other
        old = tuple(item(f"old{n}", ("red", "blue")[n % 2], ["old", str(n % 3)] if paths else None) for n in range(8))
        people = tuple(user(f"u{n}", "2026-01-01 00:00") for n in range(40))
        shop.deliver(OLD, items=old, users=people)
        met = tuple(event(f"u{n}", f"old{n % 4}", "purchase", f"2026-03-01 {n % 24:02}:00") for n in range(36))
        shop.deliver("2026-03-01", events=met)
        new = tuple(item(f"new{n}", ("red", "blue", "red blue")[n % 3], ["new", str(n % 2)] if paths else None) for n in range(6))
        shop.deliver("2026-03-02", items=new)
        return shop

    return made


def staged(shop: Shop, learner=TEXT, shards: int = 1, day=TODAY) -> pa.Table:
    plan = shop.plan(learner, day, shards)
    rows = pa.concat_tables(pq.read_table(rank_shard(shop.settings, plan, n)) for n in range(shards)).cast(RECOMMENDATIONS.schema)
    return rows.sort_by([("user_id", "ascending"), ("rank", "ascending")])


# --- from the first night -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [TEXT, words_alone()], ids=["text_prototype", "stack"])
def test_what_is_delivered_today_stands_in_a_list_of_tonight_by_its_text(tmp_path, learner):
    shop = open_shop(tmp_path / "home", top_k=2)
    shop.deliver(
        OLD,
        items=(item("mug", "red"), item("pot", "red"), item("pan", "blue"), item("cup", "blue")),
        users=(user("u1", "2020-01-01 00:00"), user("u2", "2020-01-01 00:00")),
    )
    shop.deliver(
        "2026-03-01",
        events=(event("u1", "mug", "purchase", "2026-03-01 12:00"), event("u2", "pan", "purchase", "2026-03-01 12:00")),
    )
    before = staged(shop, learner, day=date(2026, 3, 1)).to_pylist()
    assert "new" not in {row["item_id"] for row in before}
    shop.deliver("2026-03-02", items=(item("new", "red"),))
    shop.model(learner)
    recommend_day(shop.settings, TODAY, "1")
    rows = [row for row in published(shop).to_pylist() if row["item_id"] == "new"]
    assert [(row["user_id"], row["reason"], row["propensity"]) for row in rows] == [
        ("u1", {"kind": "support", "because_item_ids": ["mug"]}, 1.0)
    ]


# --- the night ----------------------------------------------------------------------------------------------------


def test_nothing_is_drawn_unless_set(colours):
    rows = staged(colours()).to_pylist()
    assert {row["propensity"] for row in rows} == {1.0}
    assert NEW_ITEM not in {row["reason"]["kind"] for row in rows}


def test_drawn_items_are_new_and_take_the_last_ranks_of_lists_that_stay_as_they_were(colours):
    plain = staged(colours()).to_pylist()
    rows = staged(colours(explore_places=2)).to_pylist()
    assert len(rows) == len(plain) == 40 * 4
    for row, without in zip(rows, plain, strict=True):
        if row["rank"] <= 2:
            assert row == without
        else:
            assert row["reason"]["kind"] == NEW_ITEM
            assert row["item_id"].startswith("new")
            assert 0 < row["propensity"] <= 1
    lists: dict[str, set[str]] = {}
    for row in rows:
        lists.setdefault(row["user_id"], set()).add(row["item_id"])
    assert {len(found) for found in lists.values()} == {4}
    assert len({row["item_id"] for row in rows if row["reason"]["kind"] == NEW_ITEM}) == 6


def test_a_drawn_item_names_what_of_the_support_is_like_it_and_nothing_else(colours):
    red, blue = {"new0", "new3"}, {"new1", "new4"}
    met = {f"u{n}": f"old{n % 4}" for n in range(36)}
    seen = set()
    for row in staged(colours(explore_places=2)).to_pylist():
        if row["reason"]["kind"] == NEW_ITEM:
            own = met.get(row["user_id"])
            apart = own is None or row["item_id"] in (blue if int(own[3:]) % 2 == 0 else red)
            assert row["reason"]["because_item_ids"] == ([] if apart else [own])
            seen.add(apart)
    assert seen == {True, False}


def test_without_the_named_item_a_drawn_one_scores_lower_than_without_the_other(tmp_path):
    shop = open_shop(tmp_path / "home", top_k=2, explore_places=1, explore_events=0, explore_days=1)
    shop.deliver(
        OLD,
        items=(item("r", "red"), item("b", "blue"), item("r2", "red"), item("b2", "blue")),
        users=(user("u", "2026-01-01 00:00"),),
    )
    shop.deliver("2026-03-02", items=(item("new", "red"),), events=tuple(event("u", i, "view", "2026-03-02 09:00") for i in "rb"))
    (row,) = [row for row in staged(shop, words_alone()).to_pylist() if row["reason"]["kind"] == NEW_ITEM]
    assert (row["item_id"], row["reason"]["because_item_ids"]) == ("new", ["r"])
    plan = shop.plan(words_alone(), TODAY)
    opened = night.open_night(shop.settings, plan, shop.lake.reader(plan.versions))
    ids, support = opened.known.evidence.catalogue.item_ids.tolist(), opened.users.support
    left = {}
    for code in support.item:
        others = [array[support.item != code] for array in (support.item, support.label, support.weight, support.age_days)]
        alone = Support(np.array([0, len(support.item) - 1]), *others)
        left[ids[code]] = score_users(opened.learner, opened.space, alone)[0, ids.index("new")]
    assert left["r"] < left["b"]


def test_drawn_items_take_the_ranks_that_are_set(colours):
    plain = staged(colours()).to_pylist()
    rows = staged(colours(explore_places=1, explore_rank=2)).to_pylist()
    assert {row["rank"] for row in rows if row["reason"]["kind"] == NEW_ITEM} == {2}
    kept = [(row["user_id"], row["item_id"]) for row in rows if row["reason"]["kind"] != NEW_ITEM]
    assert kept == [(row["user_id"], row["item_id"]) for row in plain if row["rank"] <= 3]


def test_the_draw_does_not_depend_on_shards_blocks_or_reruns_but_on_day_and_seed(colours, monkeypatch):
    shop = colours(explore_places=2)
    wanted = staged(shop)
    for shards, size in ((2, 512), (5, 16), (1, 7)):
        monkeypatch.setattr(blocks, "MOST_USERS", size)
        monkeypatch.setattr(night, "users_a_block", lambda items, size=size: size)
        assert staged(shop, shards=shards).equals(wanted)
    other = Shop(shop.settings.changed(seed=7))
    assert staged(other)["item_id"] != wanted["item_id"]
    shop.deliver("2026-03-03")
    assert staged(shop, day=date(2026, 3, 3))["item_id"] != wanted["item_id"]


def test_a_published_night_with_a_draw_passes_its_audit(colours):
    shop = colours(explore_places=2, max_per_category=1)
    shop.model(TEXT)
    assert recommend_day(shop.settings, TODAY, "1", shards=3)["recommendations"] == published(shop).num_rows > 100


def test_with_limited_categories_no_list_holds_too_many_and_all_are_as_long_as_without_a_draw(colours):
    paths = {f"old{n}": ("old", n % 3) for n in range(8)} | {f"new{n}": ("new", n % 2) for n in range(6)}
    plain = staged(colours(max_per_category=1))
    rows = staged(colours(max_per_category=1, explore_places=2))
    assert rows["user_id"] == plain["user_id"]
    assert any(row["reason"]["kind"] == NEW_ITEM for row in rows.to_pylist())
    lists: dict[str, list] = {}
    for row in rows.to_pylist():
        lists.setdefault(row["user_id"], []).append(paths[row["item_id"]])
    assert all(len(found) == len(set(found)) for found in lists.values())


def test_how_long_an_item_counts_as_new(tmp_path):
    shop = open_shop(tmp_path / "home", top_k=3, explore_places=1, explore_days=2, explore_events=2)
    shop.deliver(
        "2026-02-27", items=(item("a", "red"), item("b", "red"), item("c", "red")), users=(user("u", "2026-02-27 00:00"),)
    )
    shop.deliver("2026-02-28", items=(item("d", "red"),))
    shop.deliver("2026-03-01", events=tuple(event(f"v{n}", i, "view", f"2026-03-01 1{n}:00") for n in range(2) for i in "abd"))
    drawn = {}
    for day in (date(2026, 3, 1), date(2026, 3, 2)):
        if day == TODAY:
            shop.deliver("2026-03-02")
        rows = open_night_of(shop, day)
        drawn[day] = {name for name, is_new in zip(*rows, strict=True) if is_new}
    assert drawn == {date(2026, 3, 1): {"c", "d"}, TODAY: {"c"}}


def open_night_of(shop: Shop, day: date) -> tuple[list[str], list[bool]]:
    plan = shop.plan(TEXT, day)
    opened = night.open_night(shop.settings, plan, shop.lake.reader(plan.versions))
    return opened.known.evidence.catalogue.item_ids.tolist(), opened.new.tolist()


# --- the probabilities --------------------------------------------------------------------------------------------


def test_one_place_is_a_softmax_of_standardised_scores_and_a_blind_share():
    scores = np.array([3.0, 1.0, 1.0, -5.0])
    wanted = np.exp((scores - scores.mean()) / scores.std() / 0.5)
    chance = inclusion(weights(scores, 0.5, 0.2), np.full(4, -1), np.full(4, ENDLESS), 1)
    assert chance == pytest.approx(0.8 * wanted / wanted.sum() + 0.2 / 4)
    assert weights(np.full(4, 7.0), 0.5, 0.2) == pytest.approx(0.25)


def test_a_hand_computed_draw_of_two_with_a_full_category():
    """A and b share one place, which their weights 6 and 2 split; c and d get what is left as 1 to 1."""
    weight = np.array([6.0, 2.0, 1.0, 1.0])
    category, room = np.array([0, 0, -1, -1]), np.array([1, 1, ENDLESS, ENDLESS])
    chance = inclusion(weight, category, room, 2)
    assert chance == pytest.approx([0.75, 0.25, 0.5, 0.5])
    drawn = {tuple(sorted(draw(chance, category, room, 2, start)[0])) for start in range(0, UNITS, UNITS // 16)}
    assert drawn <= set(product((0, 1), (2, 3)))
    assert {name for pair in drawn for name in pair} == {0, 1, 2, 3}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_over_all_starts_each_item_is_drawn_as_often_as_is_written_down(data):
    """The starts of one whole step are run through on a grid: shares are the propensities, up to the grid."""
    size = data.draw(st.integers(1, 9))
    weight = np.array(data.draw(st.lists(st.floats(1e-9, 1), min_size=size, max_size=size)))
    category = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size)))
    limit = np.array(data.draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)))
    room = np.where(category < 0, ENDLESS, limit[category])
    most = sum(n if code < 0 else min(n, limit[code]) for code, n in zip(*np.unique(category, return_counts=True), strict=True))
    places = data.draw(st.integers(1, int(most)))
    chance = inclusion(weight, category, room, places)
    assert chance.sum() == pytest.approx(places)
    assert (chance <= 1 + 1e-12).all()
    steps, often, said = 256, np.zeros(size), np.full(size, np.nan)
    for step in range(steps):
        drawn, propensity = draw(chance, category, room, places, step * (UNITS // steps) + UNITS // (2 * steps))
        assert len(set(drawn.tolist())) == places
        codes, counts = np.unique(category[drawn], return_counts=True)
        assert all(code < 0 or n <= limit[code] for code, n in zip(codes, counts, strict=True))
        often[drawn] += 1
        said[drawn] = propensity
    met = ~np.isnan(said)
    assert said[met] == pytest.approx(chance[met], abs=1e-9)
    assert often / steps == pytest.approx(chance, abs=2 / steps)


def test_keys_of_users_and_days_have_nothing_to_do_with_each_other():
    first = [
        int(generator(seed, TODAY + timedelta(days=day), name).integers(UNITS))
        for seed, day, name in product((1, 2), (0, 1), ("u1", "u11"))
    ]
    assert len(set(first)) == 8
    assert first[0] == int(generator(1, TODAY, "u1").integers(UNITS))


def test_the_channels_that_the_stack_of_this_test_looks_at_are_there():
    assert {"words", "meaning", "category"} <= set(KINDS)
