"""Where a delivery is the whole catalogue, its differences are published, what is gone is withdrawn, and the rest is only counted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadDelivery, MissingDay
from recpipe.lake.lake import Lake
from recpipe.lake.stale import stale_days
from recpipe.tables.ingest.days_in import ingest_day, ingest_history
from recpipe.validation.verdicts import load_verdict

FIRST = date(2011, 9, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]


@pytest.fixture
def whole(settings: Settings) -> Settings:
    return load_settings(home=settings.places.home, items_delivery="snapshot", users_delivery="snapshot", first_day=FIRST)


def item(name: str, title: str = "Mug", **more: Any) -> dict[str, Any]:
    return {"item_id": name, "title": title, "price": 1.5, "category": ["home", "cups, all"], "brand": None, **more}


def as_of(settings: Settings, day: date) -> dict[str, tuple[str, bool]]:
    rows = Lake.from_settings(settings).reader().as_of("items", day).to_pylist()
    return {row["item_id"]: (row["title"], row["available"]) for row in rows}


def rows_on(settings: Settings, table: str, day: date) -> list[dict[str, Any]]:
    return Lake.from_settings(settings).reader().read(table, day, day).to_pylist()


def facts(settings: Settings, table: str, day: date) -> dict[str, Any]:
    verdict = load_verdict(settings.places, table, day)
    assert verdict is not None
    return dict(verdict.facts)


WHOLES = [
    [item("a"), item("b"), item("c")],
    [item("a"), item("b", "Cup"), item("d")],  # b is another, c is gone, d is new
    [item("a"), item("b", "Cup"), item("d")],  # nothing
    [item("a"), item("b"), item("c"), item("d")],  # b as it was at first, c is back
]


def test_only_differences_are_published_and_what_is_gone_is_withdrawn(whole, deliver):
    for day, rows in zip(DAYS, WHOLES, strict=False):
        deliver(whole, day, items=rows)
        ingest_day(whole, day)
    assert [sorted((r["item_id"], r["available"]) for r in rows_on(whole, "items", day)) for day in DAYS[:4]] == [
        [("a", True), ("b", True), ("c", True)],
        [("b", True), ("c", False), ("d", True)],
        [],
        [("b", True), ("c", True)],
    ]
    assert as_of(whole, DAYS[1]) == {"a": ("Mug", True), "b": ("Cup", True), "c": ("Mug", False), "d": ("Mug", True)}
    assert as_of(whole, DAYS[3]) == {"a": ("Mug", True), "b": ("Mug", True), "c": ("Mug", True), "d": ("Mug", True)}
    [gone] = [row for row in rows_on(whole, "items", DAYS[1]) if not row["available"]]
    assert (gone["title"], gone["price"], gone["category"]) == ("Mug", 1.5, ["home", "cups, all"])
    found = facts(whole, "items", DAYS[1])
    assert (found["delivered_rows"], found["rows"], found["unchanged_rows"], found["withdrawn_rows"]) == (3, 3, 1, 1)
    assert Lake.from_settings(whole).reader().read("quarantine").num_rows == 0


def test_history_gives_the_rows_of_the_days_one_by_one(whole, deliver, settings):
    other = load_settings(home=settings.places.home / "other", items_delivery="snapshot", first_day=FIRST)
    for day, rows in zip(DAYS, WHOLES, strict=False):
        for shop in (whole, other):
            deliver(shop, day, items=rows)
        ingest_day(whole, day)
    ingest_history(other, DAYS[0], DAYS[3])
    for day in DAYS[:4]:
        found = [sorted(map(str, rows_on(shop, "items", day))) for shop in (whole, other)]
        assert found[0] == found[1]


@pytest.mark.parametrize(
    "change",
    [
        {"price": 1.6},
        {"price": None},
        {"category": ["home", "cups", "all"]},
        {"brand": "Acme"},
        {"title": "mug"},
        {"available": False},
    ],
)
def test_a_change_of_any_column_is_a_change(whole, deliver, change):
    deliver(whole, DAYS[0], items=[item("a", available=True), item("b", available=True)])
    deliver(whole, DAYS[1], items=[item("a", available=True), item("b", available=True) | change])
    ingest_history(whole, DAYS[0], DAYS[1])
    assert [row["item_id"] for row in rows_on(whole, "items", DAYS[1])] == ["b"]


def test_an_item_whose_row_is_bad_today_is_not_gone(whole, deliver):
    whole = whole.changed(max_bad_share=0.5)
    deliver(whole, DAYS[0], items=[item("a"), item("b")])
    deliver(whole, DAYS[1], items=[item("a"), item("b", price=-1.0)])
    ingest_history(whole, DAYS[0], DAYS[1])
    assert as_of(whole, DAYS[1]) == {"a": ("Mug", True), "b": ("Mug", True)}
    found = facts(whole, "items", DAYS[1])
    assert (found["delivered_rows"], found["bad_rows"], found["unchanged_rows"], found["gone_rows"]) == (2, 1, 1, 0)


def test_a_day_without_a_file_says_nothing_and_withdraws_nothing(whole, deliver):
    deliver(whole, DAYS[0], items=[item("a")])
    deliver(whole, DAYS[1])
    ingest_history(whole, DAYS[0], DAYS[1])
    assert as_of(whole, DAYS[1]) == {"a": ("Mug", True)}


def test_users_are_never_withdrawn_and_a_filled_registration_is_no_change(whole, deliver):
    shop = whole.changed(max_snapshot_loss=0.5)
    deliver(shop, DAYS[0], users=[{"user_id": n, "country": "FR", "vip": "no"} for n in "abc"])
    deliver(
        shop, DAYS[1], users=[{"user_id": "a", "country": "FR", "vip": "no"}, {"user_id": "b", "country": "FR", "vip": "yes"}]
    )
    ingest_history(shop, DAYS[0], DAYS[1])
    assert [(row["user_id"], row["attributes"]) for row in rows_on(shop, "users", DAYS[1])] == [("b", [("vip", "yes")])]
    found = facts(shop, "users", DAYS[1])
    assert (found["unchanged_rows"], found["gone_rows"], found["withdrawn_rows"]) == (1, 1, 0)


def test_users_with_a_registration_are_held_to_it(whole, deliver):
    for day, hour in ((DAYS[0], 9), (DAYS[1], 9), (DAYS[2], 10)):
        deliver(whole, day, users=[{"user_id": "a", "registered_at": datetime(2011, 8, 1, hour, tzinfo=UTC)}])
        ingest_day(whole, day)
    assert [len(rows_on(whole, "users", day)) for day in DAYS[:3]] == [1, 0, 1]


def test_behind_the_door_the_differences_are_the_same(whole, deliver):
    keyed = load_settings(home=whole.places.home, user_key="ab" * 32, users_delivery="snapshot", first_day=FIRST)
    deliver(keyed, DAYS[0], users=[{"user_id": n, "note": f"mail {n}@example.org"} for n in "abc"])
    deliver(keyed, DAYS[1], users=[{"user_id": n, "note": f"mail {n}@example.org"} for n in "abcd"])
    ingest_history(keyed, DAYS[0], DAYS[1])
    assert [len(rows_on(keyed, "users", day)) for day in DAYS[:2]] == [3, 1]


# --- a catalogue that lost too much


def test_a_whole_that_lost_too_much_waits_for_a_person(whole, deliver):
    deliver(whole, DAYS[0], items=[item(str(n)) for n in range(40)])
    ingest_day(whole, DAYS[0])
    deliver(whole, DAYS[1], items=[item(str(n)) for n in range(30)])
    with pytest.raises(BadDelivery) as caught:
        ingest_day(whole, DAYS[1])
    assert str(caught.value).startswith(
        "10 of 40 items are missing in the whole that was delivered on 2011-09-02: 25.0%, where at most 20.0% may go in a day. "
        "Nothing was published."
    )
    assert "recpipe ingest --day 2011-09-02 --accept-volume" in str(caught.value)
    assert Lake.from_settings(whole).day("items", DAYS[1]).status == "open"
    assert len(as_of(whole, DAYS[1])) == 40
    few_events = whole.changed(accepted_days=[DAYS[1]])  # a holiday says nothing of the catalogue
    with pytest.raises(BadDelivery, match="RECPIPE_ACCEPTED_SNAPSHOTS"):
        ingest_day(few_events, DAYS[1])
    assert ingest_day(whole.accepting(DAYS[1]), DAYS[1])["items"] == 10


def test_a_list_of_users_that_shrank_waits_for_a_person(whole, deliver):
    for day, count in zip(DAYS, (40, 36, 20), strict=False):
        deliver(whole, day, users=[{"user_id": str(n)} for n in range(count)])
        if count > 20:
            ingest_day(whole, day)
    for take_in in (lambda: ingest_day(whole, DAYS[2]), lambda: ingest_history(whole, DAYS[1], DAYS[2])):
        with pytest.raises(BadDelivery, match="16 of 36 users are missing"):
            take_in()


# --- the order of days


def test_a_day_needs_all_days_before_it(whole, deliver):
    for day in DAYS[:3]:
        deliver(whole, day, items=[item("a")])
    ingest_day(whole, DAYS[0])
    with pytest.raises(MissingDay) as caught:
        ingest_day(whole, DAYS[2])
    assert str(caught.value) == (
        "Deliveries of items are the whole of it, and what changed on 2011-09-03 is told from the days before, and the items of "
        "2011-09-02 are not there yet: take in every day from 2011-09-01 first, move RECPIPE_FIRST_DAY, or set RECPIPE_ITEMS_DELIVERY "
        "to changes."
    )


def test_an_earlier_day_that_is_corrected_makes_the_later_ones_stale_and_running_them_again_mends_it(whole, deliver, caplog):
    for day, rows in zip(DAYS, WHOLES, strict=False):
        deliver(whole, day, items=rows)
        ingest_day(whole, day)
    deliver(whole, DAYS[1], items=[item("a"), item("b", "Bowl")])
    ingest_day(whole, DAYS[1])
    assert "run recpipe history --from 2011-09-03 --to 2011-09-04" in caplog.text
    stale = stale_days(Lake.from_settings(whole))
    assert [entry.day for entry in stale if entry.table == "items"] == DAYS[2:4]
    for day in DAYS[2:4]:
        ingest_day(whole, day)
    assert stale_days(Lake.from_settings(whole)) == []
    assert as_of(whole, DAYS[2]) == {"a": ("Mug", True), "b": ("Cup", True), "c": ("Mug", False), "d": ("Mug", True)}
    assert as_of(whole, DAYS[3]) == {"a": ("Mug", True), "b": ("Mug", True), "c": ("Mug", True), "d": ("Mug", True)}


def test_a_day_that_is_taken_in_twice_ends_in_the_same_rows(whole, deliver):
    for day, rows in zip(DAYS, WHOLES, strict=False):
        deliver(whole, day, items=rows)
        ingest_day(whole, day)
    before = rows_on(whole, "items", DAYS[3])
    ingest_day(whole, DAYS[3])
    assert rows_on(whole, "items", DAYS[3]) == before


def test_a_day_is_held_against_no_later_one_that_lies_between_days_of_a_history(whole, deliver):
    for day, rows in zip(DAYS, WHOLES, strict=False):
        deliver(whole, day, items=rows)
        ingest_day(whole, day)
    before = [sorted(map(str, rows_on(whole, "items", day))) for day in DAYS[:4]]
    mark = whole.places.landing_root / "items" / f"day={DAYS[1]}" / "_SUCCESS"
    mark.unlink()
    ingest_history(whole, DAYS[0], DAYS[3], skip_incomplete=True)  # the second day lies in the lake
    assert [sorted(map(str, rows_on(whole, "items", day))) for day in DAYS[:4]] == before
