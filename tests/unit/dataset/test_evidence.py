"""What the shop knew at the end of a day."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from small_shop import Shop, event, item, open_shop, user

from recpipe.dataset.as_of import build_evidence, read_known
from recpipe.dataset.cohorts import users_of
from recpipe.tables.recommendations.episode_rows import episode_rows


def known(shop: Shop, day: str):
    return read_known(shop.lake.reader(), shop.settings, date.fromisoformat(day))


def evidence(shop: Shop, day: str):
    return build_evidence(shop.lake.reader(), shop.settings, date.fromisoformat(day))


def times(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


def same(one, other) -> bool:
    """Whether two nested dataclasses hold the same, arrays, tables and all."""
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fM"))
    return bool(one.equals(other)) if isinstance(one, pa.Table) else bool(one == other)


@pytest.fixture
def two_days(shop) -> Shop:
    shop.deliver(
        "2026-03-01",
        items=(item("b", "blue cup", ["kitchen", "cups"], brand="Acme"), item("a", "red cup", price=2.5)),
        users=(user("u2", "2026-03-01 08:00", "France"), user("u1", "2026-03-01 09:00")),
        events=(
            event("u2", "a", "purchase", "2026-03-01 10:00"),
            event("u1", "b", "view", "2026-03-01 11:00"),
            event(None, "b", "purchase", "2026-03-01 12:00"),
            event("u1", "unheard-of", "purchase", "2026-03-01 12:30"),
            event("u1", None, "search", "2026-03-01 13:00", query="green cup"),
        ),
    )
    shop.deliver(
        "2026-03-02",
        items=(item("a", "red mug", available=False), item("c", "green cup")),
        events=(
            event("u2", "a", "return", "2026-03-02 10:00"),
            event("u2", "c", "favourite", "2026-03-02 09:00"),
            event("u1", "b", "purchase", "2026-03-02 11:00"),
        ),
    )
    return shop


def test_the_whole_evidence_of_a_day(two_days):
    found = evidence(two_days, "2026-03-02")
    catalogue, history = found.catalogue, found.history
    assert list(catalogue.item_ids) == ["a", "b", "c"]
    assert catalogue.texts == ["red mug", "blue cup kitchen cups Acme", "green cup"]
    assert list(catalogue.first_day) == list(np.array(["2026-03-01", "2026-03-01", "2026-03-02"], "datetime64[D]"))
    assert list(catalogue.available) == [False, True, True]
    assert np.isnan(catalogue.price).all()  # the newest delivery of a has no price any more
    assert catalogue.categories == [(), ("kitchen", "cups"), ()]
    assert list(history.user_ids) == ["u1", "u2"]
    assert list(history.user) == [0, 0, 1, 1]
    assert list(history.item) == [1, 1, 0, 2]
    assert list(history.ts) == list(times("2026-03-01T11:00", "2026-03-02T11:00", "2026-03-01T10:00", "2026-03-02T09:00"))
    assert history.weight.tolist() == pytest.approx([0.2, 1.0, 1.0, 0.6])
    assert np.array_equal(history.returned_at, times("NaT", "NaT", "2026-03-02T10:00", "NaT"), equal_nan=True)
    assert list(found.popularity_item) == [0, 1, 1, 2, 1]  # in the order of time, the anonymous purchase of b among them
    assert found.until == np.datetime64("2026-03-03T00:00", "us")


def test_an_earlier_day_knows_the_catalogue_of_then(two_days):
    found = evidence(two_days, "2026-03-01")
    assert found.catalogue.texts == ["red cup", "blue cup kitchen cups Acme"]
    assert list(found.catalogue.available) == [True, True]
    assert found.catalogue.price[0] == 2.5
    assert np.isnat(found.history.returned_at).all()


def test_days_end_at_the_shops_midnight(tmp_path):
    shop = open_shop(tmp_path, timezone="Europe/London")
    shop.deliver("2026-07-01", items=(item("a"),))
    assert evidence(shop, "2026-07-01").until == np.datetime64("2026-07-01T23:00", "us")


def test_of_an_event_delivered_twice_the_later_delivery_counts(shop):
    shop.deliver("2026-03-01", items=(item("a"), item("b")), events=(event("u", "a", "view", "2026-03-01 10:00", "e1"),))
    shop.deliver("2026-03-02", events=(event("u", "b", "purchase", "2026-03-01 10:00", "e1"),))
    assert list(evidence(shop, "2026-03-01").history.item) == [0]
    assert list(evidence(shop, "2026-03-02").history.item) == [1]


def test_only_the_newest_events_of_a_user_are_read(tmp_path):
    shop = open_shop(tmp_path, last_events=2)
    clicks = [event("u", x, "view", f"2026-03-01 1{n}:00") for n, x in enumerate("abcb")]
    shop.deliver(
        "2026-03-01", items=(item("a"), item("b"), item("c")), events=(*clicks, event("v", "a", "view", "2026-03-01 09:00"))
    )
    history = evidence(shop, "2026-03-01").history
    assert list(history.user) == [0, 0, 1]
    assert list(history.item) == [2, 1, 0]
    assert len(evidence(shop, "2026-03-01").popularity_item) == 5


def test_history_reaches_back_the_set_number_of_days(tmp_path):
    shop = open_shop(tmp_path, lookback_days=2)
    for n in (1, 2, 3):
        shop.deliver(f"2026-03-0{n}", items=(item("a"),), events=(event("u", "a", "view", f"2026-03-0{n} 10:00"),))
    assert list(evidence(shop, "2026-03-03").history.ts) == list(times("2026-03-02T10:00", "2026-03-03T10:00"))
    assert list(evidence(shop, "2026-03-03").catalogue.first_day) == [np.datetime64("2026-03-01")]


def test_event_types_without_weight_make_no_history_but_count_as_popular(tmp_path):
    shop = open_shop(tmp_path, event_weights={"purchase": 1.0, "view": 0.0})
    events = tuple(event("u", "a", kind, "2026-03-01 10:00") for kind in ("view", "cart", "purchase"))
    shop.deliver("2026-03-01", items=(item("a"),), events=events)
    found = evidence(shop, "2026-03-01")
    assert found.history.weight.tolist() == [1.0]
    assert len(found.popularity_item) == 3


def test_a_shop_without_any_event_has_evidence(shop):
    shop.deliver("2026-03-01", items=(item("a"),), users=(user("u", "2026-03-01 08:00"),))
    found = known(shop, "2026-03-01")
    assert len(found.evidence.history.user) == 0
    assert list(users_of(found, shop.settings, date(2026, 3, 1)).cohort) == ["zero"]


def test_what_a_day_knows_does_not_depend_on_how_it_was_stored(two_days, tmp_path):
    """The same rows, published in another order and replaced once, are the same evidence."""
    before = known(two_days, "2026-03-02")
    for name in ("items", "events", "users"):
        rows = two_days.lake.reader().read(name, date(2026, 3, 1), date(2026, 3, 1))
        two_days.lake.publish(name, [date(2026, 3, 1)], rows.take(pa.array(list(range(rows.num_rows))[::-1], pa.int64())))
    assert same(known(two_days, "2026-03-02"), before)


def test_nothing_of_the_future_changes_an_earlier_day(two_days):
    day = date(2026, 3, 2)
    before = known(two_days, "2026-03-02")
    rows = episode_rows(users_of(before, two_days.settings, day), before.evidence.catalogue, day)
    two_days.deliver(
        "2026-03-03",
        items=(item("a0", "blue thing"), item("b", "red cup", available=False)),
        users=(user("u0", "2026-03-01 07:00"), user("u1", "2020-01-01 00:00", "Spain")),
        events=(
            event("u1", "a", "purchase", "2026-03-03 10:00"),
            event("u1", "b", "return", "2026-03-03 10:00"),
            event("u3", "b", "view", "2026-03-02 10:00"),  # happened before, delivered after
            event("u2", "b", "purchase", "2026-03-01 10:00", "u2-a-purchase-2026-03-01 10:00-None"),  # a correction
        ),
    )
    after = known(two_days, "2026-03-02")
    assert same(after, before)
    assert episode_rows(users_of(after, two_days.settings, day), after.evidence.catalogue, day).equals(rows)
    assert not same(known(two_days, "2026-03-03"), before)  # the test can fail


def test_an_event_after_the_end_of_the_day_is_not_seen_even_if_it_was_delivered(shop):
    shop.deliver("2026-03-01", items=(item("a"),), events=(event("u", "a", "view", "2026-03-02 00:00"),))
    assert len(known(shop, "2026-03-01").evidence.history.user) == 0
    assert len(known(shop, "2026-03-01").evidence.popularity_item) == 0
