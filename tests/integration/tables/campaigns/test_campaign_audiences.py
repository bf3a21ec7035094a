"""Audiences of campaigns: by hand on a shop of a few users, and the regression beside an independent one."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from small_shop import Shop, event, item, open_shop, user

from recpipe.contract import AUDIENCE_REASONS, TABLES
from recpipe.errors import AuditFailed, BadSetting, MissingDay, RecpipeError
from recpipe.lake.stale import stale_days
from recpipe.metrics.probability import auc
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.shards import stage_shard
from recpipe.tables.campaigns import campaign_audiences, campaign_history, campaign_outcomes, responses
from recpipe.tables.campaigns.campaign_audiences import AUDIENCES, FACTS
from recpipe.tables.campaigns.campaigns import read_campaigns
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)
FANS = ("u1", "u2")
LATER = {"id": "reds", "first_day": "2026-03-03", "last_day": "2026-03-05", "item_ids": ["red0", "red1"]}


def declare(shop: Shop, *campaigns: dict, **more) -> Shop:
    """Write campaigns beside the home, and return the shop with settings that name them."""
    file = shop.settings.places.home / "campaigns.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in campaigns))
    return Shop(shop.settings.changed(campaigns=str(file), **more))


def listed(shop: Shop, name: str, *rows: str) -> str:
    (shop.settings.places.home / name).write_text("\n".join(rows) + "\n")
    return name


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """u1 and u2 buy reds, u3 and u4 blues, u5 a green; u6 has bought nothing."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    items = tuple(item(f"{name}{n}", name) for name in ("red", "blue", "green") for n in range(2))
    users = tuple(user(f"u{n}", "2026-03-01") for n in range(1, 7))
    bought = (("u1", "red0"), ("u1", "red1"), ("u2", "red0"), ("u3", "blue0"), ("u3", "blue1"), ("u4", "blue0"), ("u5", "green0"))
    events = tuple(event(who, what, "purchase", "2026-03-01 10:00") for who, what in bought)
    shop.deliver("2026-03-01", items=items, users=users, events=events)
    shop.deliver("2026-03-02")
    shop.know("red", "blue", "green")
    return shop


def rows(shop: Shop, day: date = DAY) -> list[dict]:
    found = shop.lake.reader().read("campaign_audiences", day, day).to_pylist()
    return sorted(found, key=lambda row: (row["campaign_id"], row["rank"]))


def test_without_earlier_answers_users_are_ranked_by_what_they_bought(shop):
    shop = declare(shop, LATER | {"max_users": 3})
    assert run_day(shop.settings, AUDIENCES, DAY)["rows"] == 3
    found = rows(shop)
    assert [(row["rank"], row["user_id"]) for row in found][:2] == [(1, "u1"), (2, "u2")]
    assert {(row["basis"], row["probability"]) for row in found} == {("prior", 0.02)}
    assert found[0]["reason"] == {"kind": "campaign_items", "because_item_ids": ["red0", "red1"]}
    assert found[2]["reason"] == {"kind": "nothing_known", "because_item_ids": []}
    assert shop.lake.day("campaign_audiences", DAY).model_version == found[0]["model_version"]


def test_a_text_alone_names_the_items(shop, monkeypatch):
    monkeypatch.setattr(campaign_history, "TEXT_ITEMS", 2)
    shop = declare(shop, {key: LATER[key] for key in ("id", "first_day", "last_day")} | {"text": "blue", "max_users": 2})
    run_day(shop.settings, AUDIENCES, DAY)
    assert [row["user_id"] for row in rows(shop)] == ["u3", "u4"]
    assert rows(shop)[0]["model_version"].count("+") == 2


def test_no_campaign_and_no_day_of_one_are_empty_days(shop):
    assert run_day(shop.settings, AUDIENCES, DAY)["rows"] == 0
    shop = declare(shop, LATER | {"first_day": "2026-03-04"})
    assert run_day(shop.settings, AUDIENCES, DAY)["rows"] == 0
    assert shop.lake.day("campaign_audiences", DAY).status == "empty"


def test_a_shop_without_users_has_an_empty_day(tmp_path):
    shop = open_shop(tmp_path / "home")
    shop.deliver("2026-03-02")
    shop = declare(shop, LATER)
    assert run_day(shop.settings, AUDIENCES, DAY)["rows"] == 0


def test_suppressed_users_and_those_outside_the_candidates_are_left_out(shop):
    everybody = listed(shop, "all.csv", "user_id,day", "u1,", "u3,2026-03-03")
    own = listed(shop, "own.csv", "user_id", "u4")
    among = listed(shop, "among.csv", "user_id", "u1", "u2", "u3", "u4", "stranger")
    shop = declare(shop, LATER | {"suppress": own, "candidates": among}, suppression=str(shop.settings.places.home / everybody))
    run_day(shop.settings, AUDIENCES, DAY)
    assert [row["user_id"] for row in rows(shop)] == ["u2", "u3"]  # u3 is suppressed from the next day on


def test_the_cap_counts_the_days_before_and_the_campaigns_of_the_day(shop):
    first = LATER | {"id": "first", "first_day": "2026-03-02", "max_users": 1}
    shop = declare(shop, first, LATER | {"id": "a", "max_users": 1}, LATER | {"id": "b", "max_users": 1}, campaign_cap=1)
    run_day(shop.settings, AUDIENCES, date(2026, 3, 1))
    assert [row["user_id"] for row in rows(shop, date(2026, 3, 1))] == ["u1"]
    run_day(shop.settings, AUDIENCES, DAY)
    assert next((row["campaign_id"], row["user_id"]) for row in rows(shop)) == ("a", "u2")
    assert Counter(row["user_id"] for row in rows(shop)).most_common(1)[0][1] == 1
    again = Shop(shop.settings.changed(campaign_cap_days=1))
    run_day(again.settings, AUDIENCES, DAY)
    assert next(row["user_id"] for row in rows(again)) == "u1"


def test_a_cap_refuses_a_day_whose_earlier_days_are_missing(shop):
    """Else whom it addresses would depend on which day was made first."""
    first = LATER | {"id": "first", "first_day": "2026-03-02"}
    capped = declare(shop, first, LATER, campaign_cap=1)
    with pytest.raises(MissingDay, match="campaign 'first', whose audience of 2026-03-01 is not published"):
        run_day(capped.settings, AUDIENCES, DAY)
    shorter = capped.settings.changed(campaign_cap_days=1)
    assert run_day(shorter, AUDIENCES, DAY)["rows"] > 0
    run_day(capped.settings, AUDIENCES, date(2026, 3, 1))
    (stale,) = stale_days(shop.lake)
    assert (stale.table, stale.day, stale.source_day) == ("campaign_audiences", DAY, date(2026, 3, 1))
    assert run_day(capped.settings, AUDIENCES, DAY)["rows"] == 0  # all were addressed by the first


def test_a_cap_counts_whom_campaigns_addressed_before_the_table_was_kept(shop):
    among = listed(shop, "among.csv", "user_id", "u1", "u3")
    elsewhere = LATER | {"id": "elsewhere", "first_day": "2026-03-02", "candidates": among}
    before_the_shop = LATER | {"id": "old", "first_day": "2026-02-20", "last_day": "2026-02-21"}
    shop = declare(shop, elsewhere, before_the_shop, LATER, campaign_cap=1)
    run_day(shop.settings, AUDIENCES, DAY)
    assert {"u1", "u3"}.isdisjoint(found := [row["user_id"] for row in rows(shop)])
    assert "u2" in found


# --- what earlier campaigns teach ---------------------------------------------------------------------------------


@pytest.fixture
def taught(shop) -> Shop:
    """Four campaigns of 40 users, of which those who buy reds answer; the last begins on 3 April."""
    users = [f"v{n:02}" for n in range(40)]
    shop.deliver("2026-03-03", users=tuple(user(one, "2026-03-03") for one in users))
    fans, mild = users[:16], users[16:28]
    for day in ("2026-03-04", "2026-03-05"):
        lines = [(one, "red0") for one in fans] + [(one, "blue0") for one in mild] + [(one, "green0") for one in users[28:]]
        shop.deliver(day, events=tuple(event(*line, "purchase", f"{day} 10:00") for line in lines))
    for n, first in enumerate((date(2026, 3, 6), date(2026, 3, 13), date(2026, 3, 20))):
        answered = fans[n : n + 10] + mild[:1]
        shop.deliver(str(first), events=tuple(event(one, "red1", "purchase", f"{first} 12:00") for one in answered))
    shop.deliver("2026-04-02")
    among = listed(shop, "among.csv", "user_id", *users)
    campaigns = [
        {
            "id": f"c{n}",
            "first_day": str(first),
            "last_day": str(first + timedelta(days=4)),
            "item_ids": ["red1"],
            "candidates": among,
        }
        for n, first in enumerate((date(2026, 3, 6), date(2026, 3, 13), date(2026, 3, 20), date(2026, 4, 3)))
    ]
    return declare(shop, *campaigns)


def test_probabilities_are_learned_from_campaigns_that_ended(taught):
    day = date(2026, 4, 2)
    run_day(taught.settings, AUDIENCES, day)
    found = rows(taught, day)
    assert len(found) == 40
    assert {row["basis"] for row in found} == {"responses"}
    chances = [row["probability"] for row in found]
    assert chances == sorted(chances, reverse=True)
    assert {row["user_id"] for row in found[:14]} <= {f"v{n:02}" for n in range(17)}
    assert sum(chances) == pytest.approx(11, abs=4)  # eleven of forty answered each campaign
    assert {row["reason"]["kind"] for row in found} <= set(AUDIENCE_REASONS)


def test_rows_do_not_depend_on_shards_nor_on_later_deliveries(taught):
    day = date(2026, 4, 2)
    run_day(taught.settings, AUDIENCES, day, shards=1)
    once = rows(taught, day)
    run_day(taught.settings, AUDIENCES, day, shards=3)
    assert rows(taught, day) == once
    taught.deliver("2026-04-03", events=tuple(event(f"v{n}", "red1", "purchase", "2026-04-03 09:00") for n in range(30, 40)))
    run_day(taught.settings, AUDIENCES, day, shards=2)
    assert rows(taught, day) == once


def test_delivered_answers_count_instead_of_purchases(taught):
    lines = [f"c{n},v{user:02},2026-03-{6 + 7 * n:02}" for n in range(3) for user in range(30, 40)]
    file = taught.settings.places.home / listed(taught, "answers.csv", "campaign_id,user_id,day", *lines)
    shop = Shop(taught.settings.changed(campaign_responses=str(file)))
    run_day(shop.settings, AUDIENCES, date(2026, 4, 2))
    assert {row["user_id"] for row in rows(shop, date(2026, 4, 2))[:10]} == {f"v{user}" for user in range(30, 40)}


def test_what_became_of_an_audience(taught):
    """Of the audience's 40 the first ten and the last answer; the others of the shop were no candidates."""
    day, last = date(2026, 4, 2), date(2026, 4, 7)
    run_day(taught.settings, AUDIENCES, day)
    order = [row["user_id"] for row in rows(taught, day)]
    answered = [*order[:10], order[-1]]
    taught.deliver("2026-04-07", events=tuple(event(one, "red1", "purchase", "2026-04-07 09:00") for one in answered))
    found = {(one.name, one.by): one for one in AUDIENCES.measure(taught.settings, taught.lake.reader(), date(2026, 3, 31), last)}
    by = rows(taught, day)[0]["model_version"]
    assert found["response_rate:c3", by].value == pytest.approx(11 / 40)
    chances = np.array([row["probability"] for row in rows(taught, day)])
    truth = np.array([one in answered for one in order], float)
    pairs = [(a > b) + (a == b) / 2 for a in chances[truth > 0] for b in chances[truth == 0]]
    assert found["auc:c3", by].value == pytest.approx(np.mean(pairs))
    assert found["auc:c3", by].low <= found["auc:c3", by].value <= found["auc:c3", by].high
    assert ("auc:c3", campaign_outcomes.SIMPLE) in found
    parts = np.array_split(np.argsort(chances, kind="stable"), 10)
    error = sum(abs(chances[part].sum() - truth[part].sum()) for part in parts) / 40
    assert found["calibration_error:c3", by].value == pytest.approx(error)
    assert found["response_rate:c3", "not_addressed"].value is None
    assert AUDIENCES.measure(taught.settings, taught.lake.reader(), day, date(2026, 4, 6)) == []


def test_users_who_vanish_or_come_later_are_not_measured(taught):
    """A correction takes v00 back after the audience was made; a user of the campaign's last day could not have been addressed."""
    day, last = date(2026, 4, 2), date(2026, 4, 7)
    settings = taught.settings
    run_day(settings, AUDIENCES, day)
    taught.deliver("2026-03-03", users=tuple(user(f"v{n:02}", "2026-03-03") for n in range(1, 40)))
    taught.deliver("2026-04-07", users=tuple(user(f"w{n}", "2026-04-07") for n in range(9)))
    file = Path(settings.audiences.campaigns)
    said = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({key: one[key] for key in one if key != "candidates"}) + "\n" for one in said))
    found = {(one.name, one.by): one for one in AUDIENCES.measure(settings, taught.lake.reader(), date(2026, 3, 31), last)}
    counts = {by: one.count for (name, by), one in found.items() if name == "response_rate:c3"}
    assert sorted(counts.values()) == sorted([39, len(taught.lake.reader().as_of("users", day)) - 39])


def test_files_that_change_under_way_are_refused(shop):
    shop = declare(shop, LATER)
    plan = plan_day(shop.settings, AUDIENCES, DAY)
    declare(shop, LATER | {"max_users": 1})
    with pytest.raises(RecpipeError, match="planned with version"):
        stage_shard(shop.settings, AUDIENCES, plan, 0)


def test_named_items_are_those_whose_absence_costs_the_most(taught):
    """Faithful: without the first named item the log odds fall, and by no less than without any other bought item."""
    day = date(2026, 4, 2)
    campaigns = read_campaigns(taught.settings.audiences)
    shop = campaign_history.read_shop(taught.settings, taught.lake.reader(), day, campaigns)
    model = responses.by_affinity()
    place = {name: n for n, name in enumerate(shop.users)}
    for name in ("u1", "u2", "v00", "v16"):
        weights = shop.weights["c3"]
        seen = responses.look(shop.purchases, shop.answers, weights, day.toordinal(), 120)
        (reason,) = responses.why(model, seen, np.array([place[name]]), shop.items, weights)
        bought = seen.bought[[place[name]]].toarray()[0]

        def odds(row: np.ndarray, seen: responses.Look = seen) -> float:
            return float(np.log1p(seen.parts @ row / seen.scales).sum())

        loss = {}
        for at in np.flatnonzero(bought):
            without = bought.copy()
            without[at] = 0
            loss[shop.items[at]] = odds(bought) - odds(without)
        best = sorted((one for one in loss if round(loss[one], 9) > 0), key=lambda one: (-round(loss[one], 9), one))
        assert reason["because_item_ids"] == best[:3]


def test_without_the_purchases_that_are_named_the_probability_falls_the_furthest(taught):
    """Faithful to the end: the lines themselves are taken away, and everything is counted anew by the model that was learned."""
    day = date(2026, 4, 2)
    campaigns = read_campaigns(taught.settings.audiences)
    shop = campaign_history.read_shop(taught.settings, taught.lake.reader(), day, campaigns)
    model, weights = campaign_history.learn_model(taught.settings.audiences, shop, campaigns, day), shop.weights["c3"]
    lines = shop.purchases

    def chance(user: int, gone: int = -1) -> float:
        kept = (lines.users != user) | (lines.items != gone)
        left = replace(lines, **{name: getattr(lines, name)[kept] for name in ("users", "items", "days", "values")})
        seen = responses.look(left, shop.answers, weights, day.toordinal(), 120)
        return float(model.probability(seen.values[[user]])[0])

    place, looked_at = {name: at for at, name in enumerate(shop.items)}, 0
    seen = responses.look(lines, shop.answers, weights, day.toordinal(), 120)
    for who in range(len(shop.users)):
        (reason,) = responses.why(model, seen, np.array([who]), shop.items, weights)
        bought = set(lines.items[lines.users == who].tolist())
        if reason["because_item_ids"] and len(bought) > 1:
            named = place[reason["because_item_ids"][0]]
            assert chance(who, named) < min(chance(who, other) for other in bought - {named}) < chance(who) + 1e-3
            looked_at += 1
    assert looked_at >= 5


# --- the file of campaigns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"id": ""}, "line 2: 'id' is ''"),
        ({"id": "x", "when": 1}, "line 2: there is no key 'when'"),
        ({"id": "x", "first_day": "soon"}, "line 2: 'first_day' is 'soon'"),
        ({"id": "x", "last_day": "2026-03-01"}, "line 2: the campaign ends on"),
        ({"id": "x", "item_ids": []}, "line 2: a campaign needs"),
        ({"id": "x", "item_ids": [1]}, "line 2: 'text' has to be"),
        ({"id": "x", "max_users": 0}, "line 2: 'max_users' is 0"),
        ({"id": "x", "suppress": "none.csv"}, "line 2: 'suppress' names"),
        ({}, "line 2: campaign 'reds' stands in line 1"),
    ],
)
def test_an_entry_that_is_amiss_is_refused_with_its_line(shop, entry, message):
    with pytest.raises(BadSetting, match=message):
        read_campaigns(declare(shop, LATER, LATER | entry).settings.audiences)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "\n{\n", "line 2: this is no JSON"),
        ("a.jsonl", "[]\n", "line 1: a campaign has to be a mapping"),
        ("a.yaml", "a: 1\n", "line 1: a list of campaigns"),
        ("a.yaml", "- id: x\n  text: [\n", "line 3: this is no YAML"),
        (
            "a.yaml",
            "- id: x\n  first_day: 2026-03-03\n  last_day: 2026-03-04\n  text: t\n\n- id: y\n  text: t\n",
            "line 6: 'first_day'",
        ),
    ],
)
def test_a_file_that_is_amiss_is_refused_with_its_line(shop, name, text, message):
    file = shop.settings.places.home / name
    file.write_text(text)
    with pytest.raises(BadSetting, match=message):
        read_campaigns(shop.settings.changed(campaigns=str(file)).audiences)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("campaign_id,day", "a,2026-03-01"), "line 1: there is no column 'user_id'"),
        (("campaign_id,user_id,day", "a,u1,2026-03-01", "a,,2026-03-01"), "line 3: column 'user_id' is empty"),
        (("campaign_id,user_id,day", "a,u1,then"), "line 2: column 'day' is then"),
    ],
)
def test_answers_that_cannot_be_read_are_refused_with_their_line(shop, lines, message):
    file = shop.settings.places.home / listed(shop, "answers.csv", *lines)
    with pytest.raises(BadSetting, match=message):
        run_day(declare(shop, LATER, campaign_responses=str(file)).settings, AUDIENCES, DAY)


@pytest.mark.parametrize("name", ["c.jsonl", "c.yaml"])
def test_files_that_are_no_utf_8_are_refused_with_their_line(shop, name):
    file = shop.settings.places.home / name
    file.write_bytes(b"\n\n- id: caf\xe9\n")
    with pytest.raises(BadSetting, match=f"{name}, line 3: this is no text in UTF-8"):
        read_campaigns(shop.settings.changed(campaigns=str(file)).audiences)
    listed(shop, "own.csv", "user_id")
    (shop.settings.places.home / "own.csv").write_bytes(b"user_id\nu1\ncaf\xe9\n")
    with pytest.raises(BadSetting, match=r"own\.csv, line 3: this is no text in UTF-8"):
        run_day(declare(shop, LATER | {"suppress": "own.csv"}).settings, AUDIENCES, DAY)


def test_yaml_says_the_same_as_json_lines(shop):
    text = "- id: reds\n  first_day: 2026-03-03\n  last_day: 2026-03-05\n  item_ids: [red0, red1]\n"
    file = shop.settings.places.home / "c.yaml"
    file.write_text(text)
    assert read_campaigns(shop.settings.changed(campaigns=str(file)).audiences) == read_campaigns(
        declare(shop, LATER).settings.audiences
    )


# --- the suite ----------------------------------------------------------------------------------------------------

GOOD = {
    "day": DAY, "campaign_id": "reds", "user_id": "u1", "rank": 1, "probability": 0.02, "basis": "prior",
    "reason": {"kind": "campaign_items", "because_item_ids": ["red0"]}, "model_version": "v",
}  # fmt: skip
BREAKS = [
    ("unknown_users", {"user_id": "nobody"}),
    ("unknown_campaigns", {"campaign_id": "other"}),
    ("suppressed_users", {"user_id": "u5", "reason": {"kind": "campaign_items", "because_item_ids": ["green0"]}}),
    ("users_over_cap", {"user_id": "u2"}),
    ("ranks_amiss", {"rank": 3}),
    ("reasons_amiss", {"reason": {"kind": "campaign_items", "because_item_ids": []}}),
    ("reasons_amiss", {"reason": {"kind": "buys_often", "because_item_ids": ["red0"]}}),
    ("reasons_amiss", {"reason": {"kind": "similar_items", "because_item_ids": ["blue0"]}}),
]


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, fact, change):
    shop = declare(shop, LATER | {"max_users": 2, "suppress": listed(shop, "s.csv", "user_id", "u5")}, campaign_cap=1)
    plan = plan_day(shop.settings, AUDIENCES, DAY)
    state = campaign_audiences.open_audiences(shop.settings, plan, shop.lake.reader(plan.versions))
    state = replace(state, counts=Counter({"u2": 1}))
    assert set(campaign_audiences.count_faults(state, [GOOD]).values()) == {0}
    assert campaign_audiences.count_faults(state, [GOOD | change])[fact] == 1


@pytest.mark.parametrize("fact", FACTS)
def test_a_fault_stops_the_publication(shop, fact):
    table = pa.Table.from_pylist([GOOD], schema=TABLES["campaign_audiences"].schema)
    suite, facts = campaign_audiences.suite(shop.settings), dict.fromkeys(FACTS, 0)
    audit(shop.settings, "campaign_audiences", DAY, table.to_batches(), facts, suite).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, "campaign_audiences", DAY, table.to_batches(), facts | {fact: 1}, suite).raise_if_failed()


# --- the numbers --------------------------------------------------------------------------------------------------


def test_what_is_known_of_users_by_hand():
    """u0 bought a twice and b once, u1 b, u2 nothing; a is the campaign's; both are of one category."""
    lines = [(0, 0, 10), (0, 0, 12), (0, 1, 12), (1, 1, 4), (1, 0, 31)]
    columns = [np.array(some, np.int64) for some in zip(*lines, strict=True)]
    purchases = responses.Purchases(*columns, np.array([2.0, 2, 5, 5, 9]), (3, 2), np.array([0, 0]))
    answers = responses.Answers(*(np.array(some, np.int64) for some in ([0, 1, 2], [3, 3, 3], [9, 9, 9], [5, 0, 0])))
    seen = responses.look(purchases, answers, np.array([1.0, 0.0]), 30, 30)
    months = (30 - 4 + 1) / 30
    known = {name: seen.values[:, at] for at, name in enumerate(responses.NAMES)}
    assert known["recency"] == pytest.approx(-np.log1p([18, 26, 30]))
    assert known["frequency"] == pytest.approx(np.log1p(np.array([2, 1, 0]) / months))
    assert known["value"] == pytest.approx(np.log1p(np.array([9, 5, 0]) / months))
    assert known["responses"] == pytest.approx(np.log1p([1, 0, 0]))
    assert known["response_rate"] == pytest.approx((np.array([1, 0, 0]) + 4 / 3) / 5)
    assert seen.parts == pytest.approx(np.array([[1, 0], [0, 1 / np.sqrt(2)], [1 / 3, 1 / 3]]))
    sums = np.array([[2, 0, 0], [1 / np.sqrt(2), 1 / np.sqrt(2), 0], [1, 1 / 3, 0]])
    for row, name in enumerate(("own_items", "close_items", "categories")):
        assert known[name] == pytest.approx(np.log1p(sums[row] / (sums[row].sum() / 2)))
    assert known["breadth"] == pytest.approx(np.log1p([1, 1, 1]))


def test_the_regression_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    design = rng.normal(size=(300, 4)) * [1, 10, 0.1, 3]
    truth = (rng.random(300) < responses.sigmoid(design[:, 0] - design[:, 3] / 3)).astype(float)
    found = responses.fit(design, truth, 2.0)
    scaled = (design - design.mean(0)) / design.std(0)
    other = linear.LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(scaled, truth)
    assert found.weights == pytest.approx(other.coef_[0], abs=1e-5)
    assert found.intercept == pytest.approx(other.intercept_[0], abs=1e-4)


def test_calibration_mends_log_odds_that_are_too_sure():
    rng = np.random.default_rng(1)
    odds = rng.normal(size=4000)
    truth = (rng.random(4000) < responses.sigmoid(odds - 1)).astype(float)
    assert responses.calibrate(3 * odds, truth) == pytest.approx((1 / 3, -1), abs=0.1)
    assert responses.calibrate(odds[:0], truth[:0]) == (1.0, 0.0)


@rules(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20))
def test_auc_counts_pairs_as_often_as_their_rows(rows):
    scores, truth, weights = (np.array(some, float) for some in zip(*rows, strict=True))
    pairs = [
        (weights[a] * weights[b], (scores[a] > scores[b]) + (scores[a] == scores[b]) / 2)
        for a in np.flatnonzero(truth)
        for b in np.flatnonzero(truth == 0)
    ]
    total = sum(weight for weight, _ in pairs)
    found = auc(scores, truth, weights)
    assert np.isnan(found) if not total else found == pytest.approx(sum(w * right for w, right in pairs) / total)


# --- real campaigns -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_redemptions_are_told_better_than_by_recency_frequency_and_value(monkeypatch):
    folder = os.environ.get("RECPIPE_TEST_CAMPAIGNS")
    if not folder:
        pytest.skip("needs real campaigns: set RECPIPE_TEST_CAMPAIGNS to the folder of completejourney's parquet files")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4]))
    from benchmarks.campaigns import compare

    found = compare(Path(folder), draws=500)
    print(found)
    assert found["auc"] > found["auc_simple"] > 0.6
    assert found["low"] > 0
    assert found["calibration_error"] < 0.1
