"""Profiles of users: by hand on a shop of a few users, faithful in what they name, and beside real purchases."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from small_shop import Shop, event, item, moment, open_shop, user

from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, BadSetting, MissingDay
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.campaigns.campaign_audiences import AUDIENCES
from recpipe.tables.campaigns.campaigns import read_campaigns
from recpipe.tables.profiles import profile_signals, user_profiles
from recpipe.tables.profiles.preferences import Evidence, Keys, family_of, weigh, weight_of
from recpipe.tables.profiles.profile_events import Catalogue, Happened, read_catalogue
from recpipe.tables.profiles.profile_outcomes import popular, recall
from recpipe.tables.profiles.profile_signals import families, interests, percentiles, words_of
from recpipe.tables.profiles.profile_words import sentence
from recpipe.tables.profiles.user_profiles import FACTS, PROFILES
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)  # a Monday

ITEMS = (
    *(item(f"lamp{n}", f"red lamp {'abc'[n]}", ["home", "lights"], brand="Lumo", price=float(10 * n + 10)) for n in range(3)),
    *(item(f"mug{n}", f"blue mug {'abc'[n]}", ["home", "kitchen"], price=5.0) for n in range(3)),
    *(item(f"hat{n}", f"green hat {'abc'[n]}", ["wear"], price=20.0) for n in range(3)),
)


def buys(who: str, what: str, when: str = "2026-03-02 10:00", kind: str = "purchase", **more) -> dict:
    return event(who, what, kind, when) | more


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """On its only day u1 buys two lamps, u2 a mug and a hat, u3 views a hat; everything still counts in full."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    events = (buys("u1", "lamp0"), buys("u1", "lamp1"), buys("u2", "mug0"), buys("u2", "hat0"), buys("u3", "hat1", kind="view"))
    shop.deliver("2026-03-02", items=ITEMS, users=tuple(user(f"u{n}", "2026-03-01") for n in range(1, 4)), events=events)
    return shop


def tags(shop: Shop, day: date = DAY) -> dict[tuple[str, str], dict]:
    rows = shop.lake.reader().read("user_profiles", day, day).to_pylist()
    return {(row["user_id"], row["tag"]): row for row in rows}


def test_the_tags_of_a_day_by_hand(shop):
    """Others of u1 have 2.2 of evidence, of it 1.2 hats and 1 mug; u1 has 2, all of it lamps."""
    run_day(shop.settings, PROFILES, DAY)
    found = tags(shop)
    u1 = {
        tag: row["weight"] for (who, tag), row in found.items() if who == "u1" and row["kind"] in ("category", "brand", "topic")
    }
    expected_home = 2 * 1 / 2.2
    assert u1 == {
        "category:home": pytest.approx((2 - expected_home) / 6),
        "category:home>lights": pytest.approx(2 / 6),
        "topic:red": pytest.approx(2 / 6),
        "topic:lamp": pytest.approx(2 / 6),
        "brand:Lumo": pytest.approx(2 / 6),  # nobody else has a brand: nothing is expected of it
    }
    lamps = found["u1", "category:home>lights"]
    assert lamps["because_item_ids"] == ["lamp0", "lamp1"]
    assert (lamps["pieces"], lamps["seen"], lamps["expected"]) == (2, 2.0, 0.0)
    assert lamps["evidence"] == "Met 2 of 2 times in it, on 2026-03-02; most of all red lamp a, red lamp b."
    assert (lamps["first_day"], lamps["last_day"]) == (DAY, DAY)


def test_a_user_with_one_event_has_tags_and_they_are_weak(shop):
    run_day(shop.settings, PROFILES, DAY)
    mine = {tag: row["weight"] for (who, tag), row in tags(shop).items() if who == "u3"}
    # a view is .2; of the others' 4 of evidence 1 is of hats
    assert mine["category:wear"] == pytest.approx((0.2 - 0.2 / 4) / 4.2)
    assert max(mine.values()) < 0.2


def test_weights_grow_with_evidence_and_fade_with_age(shop):
    for n in range(3, 13):
        shop.deliver(f"2026-03-{n:02}", events=(buys("u1", "lamp0", f"2026-03-{n:02} 10:00"),))
    weights = []
    for day in (DAY, date(2026, 3, 7), date(2026, 3, 12)):
        run_day(shop.settings, PROFILES, day)
        weights.append(tags(shop, day)["u1", "category:home>lights"]["weight"])
    assert weights == sorted(weights)
    assert weights[-1] > 0.7
    shop.deliver("2026-06-12")
    run_day(shop.settings, PROFILES, date(2026, 6, 12))
    old = tags(shop, date(2026, 6, 12))["u1", "category:home>lights"]
    assert old["weight"] < weights[-1]
    assert (old["pieces"], old["last_day"]) == (12, date(2026, 3, 12))


def test_what_was_sent_back_is_no_interest(shop):
    shop.deliver("2026-03-03", events=(buys("u2", "hat0", "2026-03-03 09:00", "return"),))
    run_day(shop.settings, PROFILES, date(2026, 3, 3))
    assert ("u2", "category:wear") not in tags(shop, date(2026, 3, 3))


def test_an_item_counts_once_a_day(shop):
    again = tuple(buys("u3", "hat1", f"2026-03-02 {hour}:30", "view") for hour in range(11, 16))
    more = open_shop(shop.settings.places.home.parent / "more", min_users=1)
    events = (buys("u1", "lamp0"), buys("u1", "lamp1"), buys("u2", "mug0"), buys("u2", "hat0"), buys("u3", "hat1", kind="view"))
    more.deliver("2026-03-02", items=ITEMS, events=events + again)
    for one in (shop, more):
        run_day(one.settings, PROFILES, DAY)
    assert tags(shop)["u3", "category:wear"]["seen"] == tags(more)["u3", "category:wear"]["seen"] == pytest.approx(0.2)


def test_prices_are_compared_within_the_category(tmp_path):
    """Ten lamps cost 10 to 100, ten hats 1 to 10: a hat of 10 is dear, a lamp of 10 is cheap."""
    shop = open_shop(tmp_path / "home")
    lamps = tuple(item(f"l{n}", "", ["lights"], price=10.0 * n) for n in range(1, 11))
    hats = tuple(item(f"h{n}", "", ["wear"], price=1.0 * n) for n in range(1, 11))
    shop.deliver("2026-03-02", items=lamps + hats, events=(buys("a", "l1"), buys("b", "h10"), buys("c", "h5", price=5.5)))
    run_day(shop.settings, PROFILES, DAY)
    found = {who: tag for (who, tag), row in tags(shop).items() if row["kind"] == "price"}
    assert found == {"a": "price:low", "b": "price:high", "c": "price:middle"}
    assert tags(shop)["b", "price:high"]["evidence"].startswith("1 of 1 times the price was in the high third")


def test_the_like_of_an_item_without_a_category_share_a_word():
    titles = [*(f"lamp {'abcdefghij'[n]}" for n in range(10)), *(f"hat {'abcdefghij'[n]}" for n in range(10))]
    prices = np.r_[np.arange(10.0, 101, 10), np.arange(1.0, 11)]
    items = Catalogue(np.array([f"i{n:02}" for n in range(20)], object), titles, [()] * 20, [""] * 20, prices)
    monkey = interests(items)
    assert monkey["topic"][0] == []  # every other title has the word: it says too little to be a topic
    found = percentiles(items, {**monkey, "topic": [[f"topic:{title.split()[0]}"] for title in titles]}, np.arange(20), prices)
    assert found == pytest.approx(np.tile((np.arange(10) + 0.5) / 10, 2))
    alone = percentiles(items, monkey, np.array([0, 10]), np.array([np.nan, 1.0]))
    assert np.isnan(alone[0])
    assert alone[1] == pytest.approx(0.5 / 20)


def test_rhythm_is_when_a_user_comes_in_the_shops_zone(tmp_path):
    shop = open_shop(tmp_path / "home", timezone="Asia/Tokyo")  # nine hours ahead: 23:00 UTC on Friday is Saturday morning
    saturdays = tuple(buys("a", "hat0", f"2026-02-{n:02} 23:00") for n in (6, 13, 20, 27))
    other = tuple(buys("b", "hat1", f"2026-02-{n:02} 10:00") for n in (23, 24, 25, 26))  # Monday to Thursday at 19:00
    shop.deliver("2026-03-02", items=ITEMS, events=saturdays + other)
    run_day(shop.settings, PROFILES, DAY)
    found = {(who, tag) for (who, tag), row in tags(shop).items() if row["kind"] == "rhythm"}
    assert found == {
        *(("a", f"rhythm:{name}") for name in ("weekend", "morning", "weekly")),
        *(("b", f"rhythm:{name}") for name in ("weekday", "evening", "every few days")),
    }
    weekly = tags(shop)["a", "rhythm:weekly"]
    assert weekly["pieces"] == 3
    assert weekly["because_item_ids"] == []
    assert weekly["evidence"] == "Came back 3 of 3 times after 3 to 10 days, from 2026-02-14 to 2026-02-28."


def test_times_at_exactly_midnight_say_nothing_of_the_hour(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02", items=ITEMS, events=(buys("a", "hat0", "2026-03-02 00:00"), buys("b", "hat0", "2026-02-28 00:00")))
    run_day(shop.settings, PROFILES, DAY)
    assert {tag for (who, tag), row in tags(shop).items() if row["kind"] == "rhythm"} == {"rhythm:weekday", "rhythm:weekend"}


def test_a_search_is_a_tag_and_speaks_for_what_is_close_to_it(shop, monkeypatch):
    """The word red is a topic; the items closest to the text are the lamps, all of them lights."""
    monkeypatch.setattr(profile_signals, "NEAR", 0.1)  # in this shop's vectors most words are the same
    shop.deliver("2026-03-03", events=(event("u4", None, "search", "2026-03-03 09:00", query="Red  RED"),))
    shop.know("red red")
    day = date(2026, 3, 3)
    run_day(shop.settings, PROFILES, day)
    mine = {tag: row for (who, tag), row in tags(shop, day).items() if who == "u4"}
    assert {"search:red red", "topic:red", "category:home>lights"} <= set(mine)
    assert mine["search:red red"]["weight"] == pytest.approx(1 / 5)
    assert 0 < mine["category:home>lights"]["seen"] <= 0.3
    assert mine["category:home>lights"]["because_item_ids"] == []
    shop.deliver("2026-03-04", events=(event("u5", None, "search", "2026-03-04 09:00", query="red for ann@example.org"),))
    run_day(shop.settings, PROFILES, date(2026, 3, 4))
    assert not [row for (who, _), row in tags(shop, date(2026, 3, 4)).items() if who == "u5" and row["kind"] == "search"]


def test_reviews_say_how_strict_a_user_is_and_what_for(shop):
    """u1 gives the hat 1 where others give 5; review_insights of the day before found that u1 complains of the size."""
    stars = (("u1", 1.0), ("u2", 5.0), ("u3", 5.0))
    reviews = tuple(buys(who, "hat0", "2026-03-03 10:00", "review", rating=rating) for who, rating in stars)
    shop.deliver("2026-03-03", events=reviews)
    insight = {
        "day": date(2026, 3, 3), "event_id": reviews[0]["event_id"], "item_id": "hat0", "aspect": "size", "polarity": "negative",
        "abstained": False, "model_version": "x",
    }  # fmt: skip
    rows = pa.Table.from_pylist([insight, insight | {"aspect": "overall"}], schema=TABLES["review_insights"].schema)
    shop.lake.publish("review_insights", [date(2026, 3, 3)], rows)
    shop.deliver("2026-03-04")
    day = date(2026, 3, 4)
    run_day(shop.settings, PROFILES, day)
    found = {(who, tag): row for (who, tag), row in tags(shop, day).items() if row["kind"] == "review"}
    assert {key for key in found if key[0] == "u1"} == {
        ("u1", f"review:{n}") for n in ("picky", "minds size", "complains of size")
    }
    assert found["u1", "review:picky"]["because_item_ids"] == ["hat0"]
    run_day(shop.settings, PROFILES, date(2026, 3, 3))  # of the day itself the insights are not read
    assert ("u1", "review:minds size") not in tags(shop, date(2026, 3, 3))


def test_rows_do_not_depend_on_shards_nor_on_later_deliveries(shop, monkeypatch):
    monkeypatch.setattr(user_profiles, "USERS_A_BLOCK", 1)
    run_day(shop.settings, PROFILES, DAY, shards=1)
    once = tags(shop)
    shop.deliver(
        "2026-03-03", items=(item("lamp0", "green hat z", ["wear"], price=1.0),), events=(buys("u1", "hat0", "2026-03-03 10:00"),)
    )
    run_day(shop.settings, PROFILES, DAY, shards=3)
    assert tags(shop) == once
    monkeypatch.setattr(user_profiles, "USERS_A_BLOCK", 100)
    run_day(shop.settings, PROFILES, DAY, shards=2)
    assert tags(shop) == once


def test_a_day_before_any_event_is_empty(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02")
    assert run_day(shop.settings, PROFILES, DAY)["rows"] == 0
    assert shop.lake.day("user_profiles", DAY).status == "empty"
    shop.deliver("2026-03-02", events=(event(None, "hat0", "view", "2026-03-02 10:00"),))
    assert run_day(shop.settings, PROFILES, DAY)["rows"] == 0


def test_no_user_has_more_tags_of_a_family_than_set(shop):
    few = shop.settings.changed(profile_tags=1)
    run_day(few, PROFILES, DAY)
    kept = [tag for (who, tag), row in tags(shop).items() if who == "u1" and row["kind"] == "topic"]
    assert kept == ["topic:lamp"]  # of equal weights the first by name


def test_attributes_of_users_change_nothing(shop):
    run_day(shop.settings, PROFILES, DAY)
    once = tags(shop)
    told = [user(f"u{n}", "2026-03-01") | {"attributes": [("age", f"{20 * n}")], "country": "France"} for n in range(1, 4)]
    rows = [{name: ({"day": DAY} | one).get(name) for name in TABLES["users"].schema.names} for one in told]
    shop.lake.publish("users", [DAY], pa.Table.from_pylist(rows, schema=TABLES["users"].schema))
    run_day(shop.settings, PROFILES, DAY)
    assert tags(shop) == once
    assert "users" not in {one.table for one in shop.lake.day("user_profiles", DAY).inputs}


# --- the weights --------------------------------------------------------------------------------------------------


def test_one_event_is_weak_and_fifty_are_strong():
    seen = np.array([1.0, 5.0, 50.0, 50.0, 50.0])
    found = weight_of(seen, np.array([0.0, 0.0, 0.0, 25.0, 60.0]))
    assert found == pytest.approx([1 / 5, 5 / 9, 50 / 54, 25 / 54, 0.0])


pieces = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 5), st.sampled_from((0.2, 0.5, 1.0)), st.integers(1, 40)), min_size=1, max_size=40
)
BANDS = Keys.of([{0: 1.0}, {1: 1.0}, {0: 1.0, 1: 0.5}, {}])


def family(rows: list[tuple[int, int, int, float, int]]):
    """Make a family of two tags from (user, item, key, amount, date)."""
    ordered = sorted(rows)
    user, what, key, amount, day = (np.array([row[n] for row in ordered]) for n in range(5))
    evidence = Evidence(user.astype(np.int64), key.astype(np.int64), what.astype(np.int64), day.astype(np.int64), amount * 1.0)
    return family_of("topic", "topic", ["topic:a", "topic:b"], BANDS, evidence, 3)


def weights(rows) -> dict[tuple[int, int], float]:
    """Return the weights of all users' tags by the formula, one after another."""
    shares = [{0: 1.0}, {1: 1.0}, {0: 1.0, 1: 0.5}, {}]
    found = {}
    for who in range(3):
        for tag in range(2):
            seen = sum(r[3] * shares[r[2]].get(tag, 0) for r in rows if r[0] == who)
            own = sum(r[3] * max(shares[r[2]].values(), default=0) for r in rows if r[0] == who)
            rest = sum(r[3] * max(shares[r[2]].values(), default=0) for r in rows if r[0] != who)
            others = sum(r[3] * shares[r[2]].get(tag, 0) for r in rows if r[0] != who)
            expected = own * others / rest if rest else 0.0
            found[who, tag] = max(seen - expected, 0) / (seen + 4)
    return found


@given(pieces, st.randoms(use_true_random=False))
@rules(max_examples=150, deadline=None)
def test_weights_are_the_formula_and_what_is_named_costs_the_most(drawn, random):
    """An independent loop gives the same weights; without a named item a weight falls by no less than without any other."""
    rows = [(who, what, random.randrange(4), amount, day) for who, what, amount, day in drawn]
    found = weigh(family(rows), 0, 3, 10)
    expected = {key: value for key, value in weights(rows).items() if value > 1e-8}
    got = {(int(u), int(c)): w for u, c, w in zip(found.user, found.code, found.weight, strict=True)}
    assert {key for key in got if got[key] > 1e-8} == set(expected)
    assert all(got[key] == pytest.approx(expected[key], abs=1e-8) for key in expected)
    for who, tag, named in zip(found.user.tolist(), found.code.tolist(), found.items, strict=True):
        loss = {
            what: got[who, tag] - weights([r for r in rows if (r[0], r[1]) != (who, what)])[who, tag]
            for what in {r[1] for r in rows if r[0] == who}
        }
        others = [value for what, value in loss.items() if what not in named]
        assert all(loss[one] > 0 for one in named)
        assert not named or min(loss[one] for one in named) >= max([*others, 0]) - 1e-8
        assert len(named) == min(3, sum(round(value, 9) > 1e-9 for value in loss.values())) or min(loss.values()) < 2e-9


bought = st.lists(
    st.tuples(st.sampled_from([one["item_id"] for one in ITEMS]), st.integers(1, 28)), min_size=1, max_size=12, unique=True
)


@given(bought)
@example([("hat1", 5)])
@example([("lamp0", 2), ("lamp0", 9), ("lamp2", 9), ("lamp1", 20), ("lamp2", 21), ("hat0", 3), ("mug2", 28)])
@rules(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_removing_named_evidence_lowers_the_weight_more_than_removing_other(shop, lines):
    """From events to rows: the purchases of one item are taken away, and everything is made again."""
    happened = faithful_shop(shop, tuple(lines))
    known = happened.items.ids[happened.events["item"].to_numpy()]

    def tags_without(gone: str) -> dict[str, dict]:
        kept = (known != gone) | (happened.events["user"] == 1)
        left = replace(happened, events=happened.events[kept].reset_index(drop=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(profile_signals, "PEERS", 3)  # so that three lamps say what is dear
            state = user_profiles.State("x", 30, left, families(shop.settings, left))
        return {row["tag"]: row for row in user_profiles.make(state, 0, 1)[0].to_pylist() if row["user_id"] == "u"}

    whole = tags_without("")
    if len(lines) == 1:
        assert {"category", "topic", "price"} <= {row["kind"] for row in whole.values()}
    without = {name: tags_without(name) for name, _ in lines}
    for tag, row in whole.items():
        if row["kind"] in ("category", "brand", "topic", "price"):
            loss = {name: row["weight"] - found.get(tag, {"weight": 0.0})["weight"] for name, found in without.items()}
            named = row["because_item_ids"]
            rest = [loss[name] for name in loss if name not in named]
            assert named
            assert min(loss[name] for name in named) >= max([*rest, 0]) - 1e-8


def faithful_shop(shop: Shop, lines: tuple[tuple[str, int], ...]) -> Happened:
    """Return what happened where u bought some things in February, and v one of each kind, as if it had been read."""
    items = read_catalogue(shop.lake.reader(), DAY)
    mine = [(0, name, date(2026, 2, day)) for name, day in lines]
    events = [*mine, *((1, name, date(2026, 3, 1)) for name in ("lamp0", "mug1", "hat2", "hat1"))]
    rows = [
        {
            "user": who, "item": int(np.searchsorted(items.ids, name)), "event_type": "purchase", "date": when.toordinal(), "hour": 10,
            "query": None, "rating": np.nan, "price": np.nan, "event_id": f"{who}{name}{when}", "weight": 1.0,
        }
        for who, name, when in events
    ]  # fmt: skip
    frame = pd.DataFrame(rows).sort_values(["user", "date", "item"]).reset_index(drop=True)
    return Happened(DAY, 90.0, np.array(["u", "v"], object), items, frame, {})


# --- words --------------------------------------------------------------------------------------------------------


def test_words_are_of_any_script():
    assert words_of("SET/3 Café-Mugs with 10 €") == {"set", "café", "mugs"}
    assert words_of("红色茶杯") == {"红色", "色茶", "茶杯"}


def test_every_family_has_a_sentence():
    assert sentence("gap", "rhythm:seldom", 1, 2, DAY.toordinal(), DAY.toordinal(), []) == (
        "Came back 1 of 2 times after more than 45 days, on 2026-03-02."
    )
    text = sentence("price", "price:low", 2, 3, DAY.toordinal(), DAY.toordinal() + 1, ["A", "A", "", "B"])
    assert text.endswith("from 2026-03-02 to 2026-03-03; most of all A, B.")


# --- as a filter of audiences -------------------------------------------------------------------------------------

CAMPAIGN = {"id": "lamps", "first_day": "2026-03-04", "last_day": "2026-03-05", "item_ids": ["lamp2"]}


def declare(shop: Shop, **more) -> Shop:
    file = shop.settings.places.home / "campaigns.jsonl"
    file.write_text("\n" + json.dumps(CAMPAIGN | more) + "\n")
    return Shop(shop.settings.changed(campaigns=str(file)))


@pytest.mark.parametrize(
    ("asked", "addressed"),
    [
        ({"any": ["topic:lamp", "topic:mug"], "least_weight": 0.1}, ["u1", "u2"]),
        ({"any": ["topic:lamp", "topic:mug"]}, ["u1"]),  # .33 and .17
        ({"all": ["topic:mug", "topic:hat"], "least_weight": 0}, ["u2"]),
        ({"none": ["topic:lamp"], "least_weight": 0.1}, ["u2", "u3"]),
        ({"any": ["topic:hat"], "none": ["category:home>kitchen"], "least_weight": 0}, ["u3"]),
        ({"any": ["topic:nothing"]}, []),
    ],
)
def test_a_campaign_addresses_those_whose_profile_of_the_day_before_fits(shop, asked, addressed):
    run_day(shop.settings, PROFILES, DAY)
    shop.deliver("2026-03-03", events=(buys("u3", "lamp0", "2026-03-03 10:00"),))
    shop = declare(shop, audience=asked)
    run_day(shop.settings, AUDIENCES, date(2026, 3, 3))
    rows = shop.lake.reader().read("campaign_audiences", date(2026, 3, 3), date(2026, 3, 3)).to_pylist()
    assert sorted(row["user_id"] for row in rows) == addressed
    assert "user_profiles" in {one.table for one in shop.lake.day("campaign_audiences", date(2026, 3, 3)).inputs}


def test_an_audience_without_profiles_of_the_day_before_is_refused(shop):
    shop.deliver("2026-03-03")
    shop = declare(shop, audience={"any": ["topic:lamp"]})
    with pytest.raises(MissingDay, match="user_profiles of 2026-03-02 is not published: run the DAG profile_users"):
        run_day(shop.settings, AUDIENCES, date(2026, 3, 3))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "line 2: 'audience' is \\[\\]"),
        ({"some": ["topic:a"]}, "line 2: there is no key 'some' in 'audience'; there are: any, all, none, least_weight"),
        ({"least_weight": 0.5}, "line 2: 'audience' names no tag"),
        ({"any": "topic:a"}, "line 2: 'any' of 'audience' is 'topic:a'; it has to be a list"),
        ({"any": ["lamps"]}, "line 2: 'lamps' in 'audience' is no tag: write KIND:NAME"),
        ({"none": ["colour:red"]}, "line 2: 'colour:red' in 'audience' is no tag"),
        ({"any": ["topic:a"], "least_weight": 2}, "line 2: 'least_weight' is 2"),
    ],
)
def test_an_audience_that_is_amiss_is_refused_with_its_line(shop, asked, message):
    with pytest.raises(BadSetting, match=message):
        read_campaigns(declare(shop, audience=asked).settings.audiences)


# --- what became of it, and the suite -----------------------------------------------------------------------------


U2_SINCE = (("category:home", 0.0, 1 / 4), ("category:home>kitchen", 0.0, 0.0), ("category:wear", 1.0, 3 / 4))
"""Tags of u2, the share of what u2 bought since that is under each, and that of all."""


def test_what_became_of_the_tags(shop):
    """Since, u1 bought a lamp and two hats, u2 a hat: the tags of u1 hold a third of it, those of u2 all."""
    run_day(shop.settings, PROFILES, DAY)
    later = DAY + timedelta(days=7)
    since = (buys("u1", "lamp2"), buys("u1", "hat1"), buys("u1", "hat2"), buys("u2", "hat2"))
    moved = tuple(one | {"ts": moment("2026-03-05 10:00"), "event_id": f"later{n}"} for n, one in enumerate(since))
    shop.deliver("2026-03-05", events=moved)
    shop.deliver(str(later))
    rows = measure_task(shop.settings, PROFILES, shop.lake.reader(), later).to_pylist()
    value = {(row["metric"], row["name"]): row["value"] for row in rows}
    own = shop.lake.day("user_profiles", DAY).model_version
    assert value["tag_recall@10:category", own] == pytest.approx((1 / 3 + 1) / 2)
    assert value["tag_recall@10:category", "popular_tags"] == pytest.approx(1.0)
    assert value["tag_recall_gain@10:category", own] == pytest.approx((1 / 3 + 1) / 2 - 1)
    assert value["tag_hit_rate:brand", own] == pytest.approx(1.0)  # u1 alone has brands; one of the two buyers bought Lumo
    assert value["tag_hit_rate:brand", "all_users"] == pytest.approx(0.5)
    assert value["tag_hit_gain:brand", own] == pytest.approx(1.0)
    assert value["tag_share:brand", own] == pytest.approx(1.0)  # all that u1 bought of any brand, as everybody
    others = 1 / 4  # of the four purchases one is a lamp: u1 has lights and home, u2 kitchen, wear and home
    weights = {key: row["weight"] for key, row in tags(shop).items()}
    u1 = [(weights["u1", "category:home>lights"], 1 / 3, others), (weights["u1", "category:home"], 1 / 3, others)]
    u2 = [(weights["u2", tag], share, of_all) for tag, share, of_all in U2_SINCE if ("u2", tag) in weights]
    for place, name in ((1, own), (2, "all_users")):
        means = [sum(one[0] * one[place] for one in some) / sum(one[0] for one in some) for some in (u1, u2)]
        assert value["tag_share:category", name] == pytest.approx(np.mean(means))


def test_habits_that_last(tmp_path):
    """a comes on Saturday mornings and b on weekday evenings, before and since: of all that is done then half is theirs."""
    shop = open_shop(tmp_path / "home", timezone="Asia/Tokyo", min_users=1, bootstrap_draws=50)
    saturdays = tuple(buys("a", "hat0", f"2026-02-{n:02} 23:00") for n in (6, 13, 20, 27))
    shop.deliver("2026-03-02", items=ITEMS, events=(*saturdays, *(buys("b", "hat1", f"2026-02-{n} 10:00") for n in (23, 24, 25))))
    run_day(shop.settings, PROFILES, DAY)
    shop.deliver("2026-03-07", events=(buys("a", "hat0", "2026-03-06 23:00"), buys("b", "hat1", "2026-03-03 10:00")))
    shop.deliver("2026-03-09")
    rows = measure_task(shop.settings, PROFILES, shop.lake.reader(), date(2026, 3, 9)).to_pylist()
    value = {row["metric"]: (row["value"], row["users"]) for row in rows if row["name"] != "all_users"}
    assert value["tag_share:rhythm"] == (pytest.approx(1.0), 2)
    assert value["tag_share_gain:rhythm"] == (pytest.approx(1.0), 2)
    (everybody,) = [row["value"] for row in rows if (row["metric"], row["name"]) == ("tag_share:rhythm", "all_users")]
    assert everybody == pytest.approx(0.5)
    assert value["tag_share:price"] == (None, 0)  # nothing is known of the prices of three hats


def test_recall_by_hand():
    named = {"a": ["t1"], "b": ["t2"], "c": []}
    assert recall(["t1"], {"a": 1, "b": 3, "c": 5}, named) == 0.25
    assert np.isnan(recall(["t1"], {"c": 5}, named))
    assert popular(named, {"u": {"a": 1, "b": 3}, "v": {"a": 3}}) == ["t1", "t2"]


BREAKS = [
    ("unknown_users", {"user_id": "stranger", "because_item_ids": []}),
    ("kinds_amiss", {"kind": "brand"}),
    ("weights_amiss", {"weight": 0.9}),
    ("weights_amiss", {"seen": 9.0}),
    ("items_never_met", {"because_item_ids": ["hat0"]}),
    ("days_amiss", {"last_day": DAY + timedelta(days=1)}),
    ("days_amiss", {"first_day": DAY + timedelta(days=1)}),
    ("evidence_empty", {"evidence": ""}),
]


@pytest.fixture
def state(shop) -> user_profiles.State:
    return user_profiles.open_profiles(shop.settings, RunPlan(DAY, "x", {}, 1), shop.lake.reader())


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(state, fact, change):
    rows, facts = user_profiles.make(state, 0, 1)
    assert set(facts.values()) == {0}
    good = next(row for row in rows.to_pylist() if (row["user_id"], row["tag"]) == ("u1", "category:home>lights"))
    bad = pa.Table.from_pylist([good | change], schema=rows.schema)
    assert user_profiles.count_faults(state, bad)[fact] == 1


def test_too_many_tags_are_counted(state):
    rows, _ = user_profiles.make(state, 0, 1)
    assert user_profiles.count_faults(replace(state, most=1), rows)["tags_too_many"] > 0


@pytest.mark.parametrize("fact", FACTS)
def test_a_fault_stops_the_publication(shop, fact):
    facts, suite = dict.fromkeys(FACTS, 0), user_profiles.suite(shop.settings)
    table = pa.Table.from_pylist([], schema=TABLES["user_profiles"].schema)
    audit(shop.settings, "user_profiles", DAY, table.to_batches(), facts, suite).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, "user_profiles", DAY, table.to_batches(), facts | {fact: 1}, suite).raise_if_failed()


# --- real data ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_households_buy_under_their_tags(tmp_path):
    """A month of completejourney and the week after it: categories are told better than by the most popular ones."""
    import sys

    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds completejourney")
    sys.path.insert(0, str(Path(__file__).parents[4]))
    from benchmarks import profiles
    from recpipe.config.settings import load_settings

    folder, small = Path(os.environ["RECPIPE_TEST_DATA"]) / "completejourney", tmp_path / "data"
    small.mkdir()
    events = pd.read_parquet(folder / "events.parquet")
    first = pd.Timestamp(profiles.DAYS["completejourney"]) - pd.Timedelta(days=60)
    events[(events["ts"] >= first) & (events["user_id"] % 5 == 0)].to_parquet(small / "events.parquet")
    (small / "items.parquet").symlink_to(folder / "items.parquet")
    settings = load_settings(home=tmp_path / "home", horizon_days=profiles.HORIZON, bootstrap_draws=200)
    day = profiles.lay("completejourney", small, settings)
    run_day(settings, PROFILES, day)
    reader = Lake.from_settings(settings).reader()
    rows = measure_task(settings, PROFILES, reader, day + timedelta(days=profiles.HORIZON)).to_pylist()
    gain = {row["metric"]: row["ci_low"] for row in rows if row["name"].startswith(user_profiles.RULE)}
    assert gain["tag_recall_gain@10:category"] > 0
    assert gain["tag_hit_gain:category"] > 0.5
    assert gain["tag_hit_gain:topic"] > 0.5
