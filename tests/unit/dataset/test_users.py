"""Who is new on a day, and what every user is known by."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_shop import event, item, moment, open_shop, user

from recpipe.config.settings import load_settings
from recpipe.contract import EPISODES
from recpipe.dataset.as_of import read_known
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.cohorts import assign_cohorts, met_pairs, users_of
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.support import build_support
from recpipe.tables.recommendations.episode_rows import episode_rows

DAY = date(2026, 3, 30)
UNTIL = np.datetime64("2026-03-31T00:00", "us")
SETTINGS = load_settings(home="unused")


def history(*rows: tuple[int, int, str, float, str]) -> History:
    """Rows are user, item, time, weight, time of the return."""
    user_, item_, ts, weight, returned = zip(*rows, strict=True)
    return History(
        np.array(["u0", "u1", "u2"][: max(user_) + 1], object),
        np.array(user_, np.int32),
        np.array(item_, np.int32),
        np.array(ts, "datetime64[us]"),
        np.array(weight, np.float32),
        np.array(returned, "datetime64[us]"),
    )


def one_user(registered: datetime, items: int) -> tuple[Evidence, pa.Table]:
    """Return what is known of a user who met so many items an hour before the end of the day."""
    rows = [(0, n, "2026-03-30T23:00", 1.0, "NaT") for n in range(items)]
    none = np.array([], "datetime64[us]")
    met = (
        history(*rows)
        if rows
        else History(*(np.array([], k) for k in (object, np.int32, np.int32)), none, np.array([], np.float32))
    )
    ids = np.array([f"i{n:02d}" for n in range(20)], object)
    catalogue = Catalogue(
        ids, [""] * 20, np.zeros((20, 4), np.float32), np.full(20, np.datetime64("2026-01-01")), np.ones(20, bool),
        np.zeros(20, np.float32), [()] * 20,
    )  # fmt: skip
    evidence = Evidence(catalogue, met, np.array([], np.int32), none, UNTIL)
    users = pa.table(
        {"user_id": ["u0"], "registered_at": pa.array([registered], pa.timestamp("us", "UTC")), "country": ["France"]}
    )
    return evidence, users


def cohort(days_ago: int, items: int, hour: int = 12) -> str:
    registered = datetime(2026, 3, 30, hour, tzinfo=UTC) - timedelta(days=days_ago)
    evidence, users = one_user(registered, items)
    return str(assign_cohorts(evidence, users, SETTINGS, DAY).cohort[0])


@pytest.mark.parametrize(
    ("days_ago", "items", "expected"),
    [
        (0, 0, "zero"), (27, 0, "zero"), (500, 0, "zero"),
        (0, 1, "few"), (27, 10, "few"), (27, 1, "few"),
        (28, 10, "warm"), (28, 1, "warm"), (27, 11, "warm"), (0, 11, "warm"),
    ],
)  # fmt: skip
def test_cohorts_at_their_bounds(days_ago, items, expected):
    assert cohort(days_ago, items) == expected


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 23))
def test_cohorts_follow_the_contract(days_ago, items, hour):
    few = days_ago < 28 and items <= 10
    assert cohort(days_ago, items, hour) == ("zero" if items == 0 else "few" if few else "warm")


@pytest.mark.parametrize(("registered", "expected"), [("2026-03-02 23:59", "warm"), ("2026-03-03 00:00", "few")])
def test_the_days_of_a_new_user_begin_at_midnight(registered, expected):
    evidence, users = one_user(moment(registered), 3)
    assert assign_cohorts(evidence, users, SETTINGS, DAY).cohort[0] == expected


@pytest.mark.parametrize(("registered", "expected"), [("2026-06-02 22:59", "warm"), ("2026-06-02 23:00", "few")])
def test_the_days_of_a_new_user_are_the_shops(registered, expected):
    """In British summer a day begins at 23:00 UTC."""
    evidence, users = one_user(moment(registered), 3)
    settings = load_settings(home="unused", timezone="Europe/London")
    assert assign_cohorts(evidence, users, settings, date(2026, 6, 30)).cohort[0] == expected


def test_a_support_has_one_entry_an_item_by_its_strongest_event():
    found, ts = build_support(
        history(
            (0, 5, "2026-03-21T00:00", 1.0, "NaT"),  # a purchase of ten days ago, half: 0.5
            (0, 5, "2026-03-31T00:00", 0.2, "NaT"),  # and a view of now
            (0, 3, "2026-03-11T00:00", 0.6, "NaT"),  # 20 days: 0.15
            (0, 3, "2026-03-26T00:00", 0.2, "NaT"),  # 5 days: 0.141
            (1, 3, "2026-03-21T00:00", 0.4, "NaT"),
        ),
        UNTIL,
        half_life_days=10.0,
    )
    assert found.indptr.tolist() == [0, 2, 3]
    assert found.k.tolist() == [2, 1]
    assert found.item.tolist() == [3, 5, 3]  # oldest first
    assert found.weight.tolist() == pytest.approx([0.15, 0.5, 0.2])
    assert found.age_days.tolist() == [20, 10, 10]
    assert found.label.tolist() == [1, 1, 1]
    assert list(ts) == list(np.array(["2026-03-11", "2026-03-21", "2026-03-21"], "datetime64[us]"))


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([("2026-03-01T10:00", "2026-03-02T10:00")], 0),
        ([("2026-03-01T10:00", "2026-03-02T10:00"), ("2026-03-03T10:00", "NaT")], 1),  # bought again
        ([("2026-03-01T10:00", "2026-03-04T10:00"), ("2026-03-03T10:00", "2026-03-04T10:00")], 0),
        ([("2026-03-01T10:00", "2026-03-31T00:00")], 1),  # sent back after the instant
    ],
)
def test_what_was_sent_back_since_is_labelled_so(rows, label):
    found, _ = build_support(history(*((0, 1, ts, 1.0, back) for ts, back in rows)), UNTIL, 90.0)
    assert found.label.tolist() == [label]


def test_weights_of_old_events_stay_above_zero():
    found, _ = build_support(history((0, 1, "2000-01-01", 0.2, "NaT")), UNTIL, half_life_days=1.0)
    assert found.weight[0] > 0


@pytest.fixture
def known_shop(shop):
    shop.deliver(
        "2026-03-29",
        items=(item("a"), item("b"), item("c")),
        users=(user("old", "2025-01-01 00:00", "Spain"), user("silent", "2026-03-29 00:00", "France")),
        events=(
            event("old", "c", "purchase", "2026-03-29 10:00"),
            event("stranger", "a", "purchase", "2026-03-29 12:00"),
            event("stranger", "b", "cart", "2026-03-29 12:00"),
            event("typist", None, "search", "2026-03-29 10:00", query="red cup"),
            event("typist", None, "search", "2026-03-29 11:00", query="blue cup"),
            event("typist", None, "search", "2026-03-29 12:00", query="red cup"),
            event("sender", "b", "return", "2026-03-29 12:00"),
        ),
    )
    shop.deliver("2026-03-30", events=(event("stranger", "a", "return", "2026-03-30 12:00"),))
    return shop


def of_day(shop, day=DAY):
    known = read_known(shop.lake.reader(), shop.settings, day)
    return known, users_of(known, shop.settings, day)


def test_users_whom_only_events_name_are_users_too(known_shop):
    """Their first event stands for their registration, and their country is not known."""
    _, users = of_day(known_shop)
    assert list(users.user_ids) == ["old", "sender", "silent", "stranger", "typist"]
    assert list(users.cohort) == ["warm", "zero", "zero", "few", "zero"]
    assert list(users.country) == ["Spain", "", "France", "", ""]
    assert users.registered_at[3] == np.datetime64("2026-03-29T12:00", "us")
    assert users.support.k.tolist() == [1, 0, 0, 2, 0]
    assert users.returns.tolist() == [[1, 1], [3, 0]]


def test_supports_name_countries_of_the_history(known_shop):
    """Nobody of France has met anything: the evidence knows no such country."""
    known, users = of_day(known_shop)
    history = known.evidence.history
    assert history.country_names == ("Spain",)
    assert dict(zip(history.user_ids, history.country.tolist(), strict=True)) == {"old": 0, "stranger": -1}
    assert users.support.country.tolist() == [0, -1, -1, -1, -1]


def test_search_texts_are_newest_first_and_each_once(known_shop):
    _, users = of_day(known_shop)
    assert users.query_texts == [(), (), (), (), ("red cup", "blue cup")]


def test_no_more_search_texts_than_set(tmp_path):
    shop = open_shop(tmp_path, last_queries=2)
    searches = [event("u", None, "search", f"2026-03-30 1{n}:00", query=f"text {n}") for n in range(4)]
    shop.deliver("2026-03-30", items=(item("a"),), events=tuple(searches))
    assert of_day(shop)[1].query_texts == [("text 3", "text 2")]


def test_the_whole_table_of_episodes(known_shop):
    known, users = of_day(known_shop)
    rows = episode_rows(users, known.evidence.catalogue, DAY)
    assert rows.schema.equals(EPISODES.schema)
    zero = {"day": DAY, "cohort": "zero", "k": 0, "support": []}
    age = 1.5 / 90
    assert rows.to_pylist() == [
        {**zero, "user_id": "sender", "query_texts": []},
        {**zero, "user_id": "silent", "query_texts": []},
        {
            "day": DAY, "user_id": "stranger", "cohort": "few", "k": 2, "query_texts": [],
            "support": [
                {"item_id": "a", "label": 0.0, "weight": pytest.approx(0.5**age), "ts": moment("2026-03-29 12:00")},
                {"item_id": "b", "label": 1.0, "weight": pytest.approx(0.5 * 0.5**age), "ts": moment("2026-03-29 12:00")},
            ],
        },
        {**zero, "user_id": "typist", "query_texts": ["red cup", "blue cup"]},
    ]  # fmt: skip


def test_a_day_without_new_users_has_a_table_without_rows(shop):
    shop.deliver("2026-03-30", items=(item("a"),))
    known, users = of_day(shop)
    assert episode_rows(users, known.evidence.catalogue, DAY).num_rows == 0


def test_users_whose_events_are_all_older_than_what_is_read_are_long_known(tmp_path):
    """They are not of the cohort zero: they have met something. A type without weight is no sign of that."""
    shop = open_shop(tmp_path, lookback_days=2, event_weights={"purchase": 1.0, "view": 0.0})
    shop.deliver(
        "2026-03-28",
        items=(item("a"),),
        users=(user("buyer", "2025-01-01 00:00"), user("looker", "2025-01-01 00:00"), user("silent", "2025-01-01 00:00")),
        events=(
            event("buyer", "a", "purchase", "2026-03-28 10:00"),
            event("guest", "a", "purchase", "2026-03-28 10:00"),
            event("looker", "a", "view", "2026-03-28 10:00"),
            event(None, "a", "purchase", "2026-03-28 10:00"),
        ),
    )
    shop.deliver("2026-03-30", events=(event("now", "a", "purchase", "2026-03-30 10:00"),))
    known, users = of_day(shop)
    assert dict(zip(users.user_ids, users.cohort, strict=True)) == {
        "buyer": "warm", "guest": "warm", "looker": "zero", "now": "few", "silent": "zero",
    }  # fmt: skip
    assert users.support.k.tolist() == [0, 0, 0, 1, 0]
    assert episode_rows(users, known.evidence.catalogue, DAY)["user_id"].to_pylist() == ["looker", "now", "silent"]


def test_a_user_who_is_delivered_again_is_not_new_again(shop):
    shop.deliver("2026-01-01", items=(item("a"),), users=(user("u", "2026-01-01 00:00", "Spain"),))
    shop.deliver(
        "2026-03-30",
        users=(user("u", "2026-03-30 00:00", "France"),),
        events=(event("u", "a", "purchase", "2026-03-30 10:00"),),
    )
    _, users = of_day(shop)
    assert (users.cohort[0], users.country[0]) == ("warm", "France")
    assert users.registered_at[0] == np.datetime64("2026-01-01")


def test_what_was_met_outlives_the_support(tmp_path):
    """Later views push a purchase out of the support, and a type without weight never comes into it."""
    shop = open_shop(tmp_path, last_events=2, event_weights={"purchase": 1.0, "view": 0.5, "cart": 0.0})
    views = [event("v", "b", "view", f"2026-03-30 1{n}:00") for n in range(4)]
    shop.deliver(
        "2026-03-30",
        items=(item("a"), item("b"), item("c"), item("d")),
        events=(
            event("v", "a", "purchase", "2026-03-30 09:00"),
            event("v", "c", "cart", "2026-03-30 09:00"),
            event("u", "d", "return", "2026-03-30 09:00"),
            event(None, "d", "purchase", "2026-03-30 09:00"),
            *views,
        ),
    )
    _, users = of_day(shop)
    assert users.support.item.tolist() == [1]
    assert users.met.tolist() == [[0, 3], [1, 0], [1, 1], [1, 2]]
    assert [found.tolist() for found in met_pairs(users, np.array([1, 0]))] == [[0, 0, 0, 1], [0, 1, 2, 3]]
    assert [found.tolist() for found in met_pairs(users, np.array([], int))] == [[], []]
