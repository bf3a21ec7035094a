"""Digests of reviews: by hand, from insights that are written as literals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_shop import Shop, event, open_shop

from recpipe.contract import TABLES
from recpipe.errors import AuditFailed
from recpipe.lake.stale import stale_days
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.reviews import item_digests
from recpipe.tables.reviews.item_digests import DIGESTS, FACTS, difference, wilson
from recpipe.validation.audit import audit

DAY = date(2026, 3, 29)


def insight(event_id: str, item: str, polarity: str | None, evidence: str, *, aspect: str = "overall", **more) -> dict:
    return {
        "event_id": event_id, "item_id": item, "aspect": aspect, "polarity": polarity, "abstained": polarity is None,
        "evidence": evidence, "expected_rating": {"positive": 4.0, "negative": 2.0}.get(polarity or "", 3.0),
        "confidence": 0.8 if polarity else 0.5, "model_version": "v",
    } | more  # fmt: skip


def publish(shop: Shop, day: date, *rows: dict) -> None:
    schema = TABLES["review_insights"].schema
    full = [{column: {**row, "day": day}.get(column) for column in schema.names} for row in rows]
    shop.lake.publish("review_insights", [day], pa.Table.from_pylist(full, schema=schema))
    shop.know(*(row["evidence"] for row in rows))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The mug: three good and a bad review now, one of each before. The cup: one review before. r0 is too old, r2 came twice."""
    shop = open_shop(tmp_path / "home", min_users=1)
    publish(shop, DAY - timedelta(56), insight("r0", "mug", "negative", "blue"))
    early = (
        insight("r1", "mug", "positive", "red"),
        insight("r2", "mug", "positive", "red"),
        insight("c1", "cup", None, "green"),
    )
    publish(shop, DAY - timedelta(28), *early, insight("r3", "mug", "negative", "blue", rating=1.0))
    now = (
        insight("r4", "mug", "positive", "red", rating=5.0), insight("r5", "mug", "positive", "red red blue", rating=4.0),
        insight("r6", "mug", "positive", "red blue", confidence=0.99), insight("r7", "mug", None, "green"),
        insight("r7", "mug", "negative", "green green", aspect="size"),
    )  # fmt: skip
    publish(shop, DAY - timedelta(27), *now)
    publish(shop, DAY, insight("r2", "mug", "negative", "blue"))
    return shop


def rows(shop: Shop, day: date = DAY) -> list[dict]:
    return shop.lake.reader().read("item_digests", day, day).to_pylist()


def test_the_table_of_a_day(shop):
    run_day(shop.settings, DIGESTS, DAY)
    cup, mug, size = rows(shop)
    low, high = difference(3, 4, 1, 2)[1:]
    version = shop.lake.day("item_digests", DAY).model_version
    assert mug == {
        "day": DAY, "item_id": "mug", "aspect": "overall", "reviews": 5, "reviews_before": 2, "positive": 3, "negative": 1,
        "positive_share": 0.75, "mean_rating": 4.5, "mean_expected_rating": pytest.approx((3 * 4 + 3 + 2) / 5), "trend": 0.25,
        "trend_low": low, "trend_high": high, "praise": "red red blue", "praise_event_id": "r5", "complaint": "blue",
        "complaint_event_id": "r2", "model_version": version,
    }  # fmt: skip
    nothing = dict.fromkeys(
        ("positive_share", "mean_rating", "trend", "trend_low", "trend_high", "praise", "praise_event_id", "complaint", "complaint_event_id")
    )  # fmt: skip
    assert cup == nothing | {
        "day": DAY, "item_id": "cup", "aspect": "overall", "reviews": 0, "reviews_before": 1, "positive": 0, "negative": 0,
        "mean_expected_rating": None, "model_version": version,
    }  # fmt: skip
    assert (size["aspect"], size["negative"], size["positive_share"], size["complaint"]) == ("size", 1, 0.0, "green green")


def test_rows_do_not_depend_on_shards_or_on_later_days(shop):
    run_day(shop.settings, DIGESTS, DAY, shards=1)
    once = rows(shop)
    publish(shop, DAY + timedelta(1), insight("r9", "mug", "negative", "blue"))
    run_day(shop.settings, DIGESTS, DAY, shards=3)
    assert rows(shop) == once


def test_the_reviews_that_are_named_are_what_the_share_rests_on(shop):
    """Faithful: without the review of the praise the share of positive ones falls the furthest, without the complaint's it rises."""
    plan = plan_day(shop.settings, DIGESTS, DAY)
    state = item_digests.open_digests(shop.settings, plan, shop.lake.reader(plan.versions))
    key = ("mug", "overall")
    whole = item_digests._digest(state, key)
    left = {}
    for gone in {row["event_id"] for row in state.now[key]}:
        now = {key: [row for row in state.now[key] if row["event_id"] != gone]}
        left[gone] = item_digests._digest(replace(state, now=now), key)["positive_share"]
    assert left[whole["praise_event_id"]] == min(left.values()) < whole["positive_share"]
    assert left[whole["complaint_event_id"]] == max(left.values()) > whole["positive_share"]


def test_a_day_of_insights_that_is_corrected_or_comes_in_later_makes_the_digest_stale(shop):
    """Also one from before the first that was there, and the one of the day itself."""
    run_day(shop.settings, DIGESTS, DAY)
    for day in (DAY - timedelta(55), DAY - timedelta(27), DAY):
        publish(shop, day, insight("r9", "mug", "negative", "blue"))
        (found,) = stale_days(shop.lake)
        assert (found.table, found.day, found.source, found.source_day) == ("item_digests", DAY, "review_insights", day)
        run_day(shop.settings, DIGESTS, DAY)
        assert stale_days(shop.lake) == []
    publish(shop, DAY - timedelta(56), insight("r0", "mug", "negative", "blue"))  # before both windows
    assert stale_days(shop.lake) == []


def test_a_shop_without_reviews_has_an_empty_day(tmp_path):
    shop = open_shop(tmp_path / "home")
    publish(shop, DAY)
    assert run_day(shop.settings, DIGESTS, DAY)["rows"] == 0
    assert shop.lake.day("item_digests", DAY).status == "empty"


def test_the_interval_of_a_trend_is_newcombes():
    """Newcombe 1998, table II, method 10: 56/70 less 48/80; and 10/10 less 0/20."""
    assert difference(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert difference(10, 10, 0, 20) == pytest.approx((1.0, 0.6791, 1.0), abs=5e-5)
    assert difference(3, 3, 0, 0) == (None, None, None)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_intervals_hold_what_they_speak_of_and_turn_round_with_it(good, bad, good_before, bad_before):
    trend, low, high = difference(good, good + bad, good_before, good_before + bad_before)
    if trend is None:
        assert good + bad == 0 or good_before + bad_before == 0
        return
    assert -1 <= low <= trend <= high <= 1
    turned = difference(good_before, good_before + bad_before, good, good + bad)
    assert turned == pytest.approx((-trend, -high, -low))
    assert 0 <= wilson(good, good + bad)[0] <= good / (good + bad) <= wilson(good, good + bad)[1] <= 1


def test_what_became_of_the_digests(shop):
    """The mug was expected at 3.4 stars, and got 5 and 4 since; it is the only one with a digest, so all have its mean.

    What was given since is read from the events: outcomes do not wait for the insights of their day.
    """
    run_day(shop.settings, DIGESTS, DAY)
    later = DAY + timedelta(7)
    given = (("s1", "mug", 5.0), ("s2", "mug", 4.0), ("s3", "new", 1.0), ("s4", "mug", None))
    reviews = [
        event("u", item, "review", "2026-04-05 10:00", name) | {"text": "red", "rating": stars} for name, item, stars in given
    ]
    shop.deliver(str(later), events=tuple(reviews))
    found = measure_task(shop.settings, DIGESTS, shop.lake.reader(), later).to_pylist()
    value = {(row["metric"], row["name"] == "shop_mean"): (row["value"], row["users"]) for row in found}
    assert value["next_rating_mae", False] == (pytest.approx(1.1), 1)
    assert value["next_rating_mae", True] == (pytest.approx(1.1), 1)
    assert value["next_rating_mae_gain", False] == (pytest.approx(0.0), 1)


# --- the suite ----------------------------------------------------------------------------------------------------


BREAKS = [
    ("unknown_reviews", {"item_id": "hat"}),
    ("counts_amiss", {"positive": 5}),
    ("speakers_amiss", {"praise": "blue"}),
    ("speakers_amiss", {"complaint_event_id": "r3"}),
    ("trends_amiss", {"trend_low": 0.3}),
    ("trends_amiss", {"trend_high": None}),
]


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, fact, change):
    plan = plan_day(shop.settings, DIGESTS, DAY)
    state = item_digests.open_digests(shop.settings, plan, shop.lake.reader(plan.versions))
    good = item_digests._digest(state, ("mug", "overall"))
    assert set(item_digests.count_faults(state, [good], [("mug", "overall")]).values()) == {0}
    assert item_digests.count_faults(state, [good | change], [])[fact] == 1
    assert item_digests.count_faults(state, [], [("mug", "overall")])["keys_without_row"] == 1


@pytest.mark.parametrize("fact", FACTS)
def test_a_fault_stops_the_publication(shop, fact):
    facts, suite = dict.fromkeys(FACTS, 0), item_digests.suite(shop.settings)
    table = pa.Table.from_pylist([], schema=TABLES["item_digests"].schema)
    audit(shop.settings, "item_digests", DAY, table.to_batches(), facts, suite).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, "item_digests", DAY, table.to_batches(), facts | {fact: 1}, suite).raise_if_failed()
