"""Who is shown and who is served, worked out by hand; and those who read the outcomes of all read no others."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from recpipe.contract import ITEMS, TABLES, USERS
from recpipe.evaluation.day_outcomes import evaluate_day
from recpipe.evaluation.fairness import attention
from recpipe.evaluation.outcome_text import outcome_table
from recpipe.evaluation.outcomes import measure_day, of_lists
from recpipe.lake.lake import Lake
from recpipe.metrics.intervals import greatest_gap, seed_of, sum_draws

FIRST, LISTS, DAY = date(2026, 3, 1), date(2026, 3, 8), date(2026, 3, 15)
ONE, TWO, THREE = 1.0, 1 / np.log2(3), 0.5
ALL_PLACES = ONE + TWO + THREE
BRANDS = {"i0": "Acme", "i1": "Acme", "i2": "Bolt", "i4": "Bolt", "i5": "Cup & Co", "i6": "Acme"}


@pytest.fixture
def branded(settings):
    """Six items have brands, i7 came a week later than the others; users have countries and attributes."""
    lake = Lake.from_settings(settings)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lake.publish("items", [FIRST], table(ITEMS, [
        {"day": FIRST, "item_id": f"i{n}", "title": f"cup i{n}", "available": n != 3, "brand": BRANDS.get(f"i{n}"), "price": n + 1.0,
         "category": ["home", "cups" if n < 4 else "mugs"]} for n in range(7)]))  # fmt: skip
    late = date(2026, 3, 8)
    lake.publish("items", [late], table(ITEMS, [{"day": late, "item_id": "i7", "title": "cup i7", "available": True}]))
    lake.publish("users", [FIRST], table(USERS, [
        {"day": FIRST, "user_id": user, "registered_at": start, "country": country, "platform": "web", "attributes": [("age", age)]}
        for user, country, age in (
            ("w0", "France", "40"), ("w1", "France", "40"), ("w2", "France", "20"), ("w3", "Spain", "20"), ("w4", "Spain", "20"),
            ("w5", "Malta", "20"), ("z0", "Spain", "40"), ("z1", None, "40"), ("z2", None, "77"),
        )]))  # fmt: skip
    know(settings)
    return settings.changed(new_item_days=7, item_groups=[], user_groups=[])


def know(settings):
    from recpipe.dataset.as_of import build_evidence

    build_evidence(Lake.from_settings(settings).reader(), settings, LISTS)


def table(contract, rows):
    full = [{name: row.get(name) for name in contract.columns} for row in rows]
    return pa.Table.from_pylist(full, schema=contract.schema)


def measured(settings, **more):
    rows = measure_day(settings.changed(**more), DAY).groups.to_pylist()
    return {(row["group"], row["metric"]): row for row in rows}


def values(found, metric):
    return {group: row["value"] for (group, name), row in found.items() if name == metric}


# Six users are shown i4, i5, i6, three are shown i0, i1, i2. Since then w0 met i4, w1 i5, w4 i7, z0 i2.


def test_exposure_by_brand_by_hand(branded):
    found = measured(branded, item_groups=["brand"])
    wanted = {
        "brand=Acme": (6 * THREE + 3 * (ONE + TWO)) / (9 * ALL_PLACES),
        "brand=Bolt": (6 * ONE + 3 * THREE) / (9 * ALL_PLACES),
        "brand=Cup & Co": 6 * TWO / (9 * ALL_PLACES),
        "brand (none)": 0.0,
    }
    assert values(found, "exposure@3") == pytest.approx(wanted)
    assert sum(wanted.values()) == pytest.approx(1)
    # seven items are available: i3 is not
    assert values(found, "catalogue_share") == pytest.approx(
        {"brand=Acme": 3 / 7, "brand=Bolt": 2 / 7, "brand=Cup & Co": 1 / 7, "brand (none)": 1 / 7}
    )
    # events up to the lists: six of i0 and of i1, one of i2 and of i3
    assert values(found, "sales_share") == pytest.approx(
        {"brand=Acme": 12 / 14, "brand=Bolt": 1 / 14, "brand=Cup & Co": 0, "brand (none)": 1 / 14}
    )
    assert values(found, "met_share") == pytest.approx(
        {"brand=Acme": 0, "brand=Bolt": 2 / 4, "brand=Cup & Co": 1 / 4, "brand (none)": 1 / 4}
    )
    assert found["brand=Acme", "exposure_to_sales@3"]["value"] == pytest.approx(wanted["brand=Acme"] / (12 / 14))
    assert found["brand=Bolt", "exposure_to_met@3"]["value"] == pytest.approx(wanted["brand=Bolt"] / (2 / 4))
    assert found["brand=Acme", "exposure_to_met@3"]["value"] is None  # nobody met one
    assert found["brand=Cup & Co", "exposure_to_sales@3"]["value"] is None
    assert {row["users"] for (_, metric), row in found.items() if metric == "exposure@3"} == {9}
    assert {row["users"] for (_, metric), row in found.items() if metric == "met_share"} == {4}


def test_the_other_ways_to_split_the_catalogue(branded):
    found = measured(branded, item_groups=["category:1", "newness", "price", "popularity"])
    share = 6 * ALL_PLACES / (9 * ALL_PLACES)
    assert values(found, "exposure@3") == pytest.approx({
        "category:1=home > mugs": share, "category:1=home > cups": 1 - share, "category:1 (none)": 0,
        "newness=new": 0, "newness=old": 1,
        # prices on sale are 1, 2, 3, 5, 6, 7: two in each third
        "price=low": 3 * (ONE + TWO) / (9 * ALL_PLACES), "price=middle": (6 * ONE + 3 * THREE) / (9 * ALL_PLACES),
        "price=high": 6 * (TWO + THREE) / (9 * ALL_PLACES), "price (none)": 0,
        # i0 alone has more than a fifth of the sales; i1 stands before the last fifth, i2, i3 and all others in it
        "popularity=head": 3 * ONE / (9 * ALL_PLACES), "popularity=middle": 3 * TWO / (9 * ALL_PLACES),
        "popularity=tail": (6 * ALL_PLACES + 3 * THREE) / (9 * ALL_PLACES),
    })  # fmt: skip
    assert found["newness=new", "catalogue_share"]["value"] == pytest.approx(1 / 7)  # i7 alone


def test_intervals_hold_their_value_and_ratios_are_of_the_same_draws(branded):
    found = measured(branded, item_groups=["brand"])
    for row in found.values():
        if row["ci_low"] is not None:
            assert row["ci_low"] <= row["value"] <= (row["ci_high"] or np.inf)
    row, share = found["brand=Bolt", "exposure_to_sales@3"], found["brand=Bolt", "exposure@3"]
    assert row["ci_low"] == pytest.approx(share["ci_low"] * 14)
    assert share["ci_low"] < share["ci_high"]


def test_only_the_most_exposed_groups_have_rows_of_their_own(branded, monkeypatch):
    from recpipe.evaluation import fairness

    monkeypatch.setattr(fairness, "MOST_GROUPS", 1)
    found = values(measured(branded, item_groups=["brand"]), "exposure@3")
    assert set(found) == {"brand=Acme", "brand (rest)", "brand (none)"}
    assert sum(found.values()) == pytest.approx(1)
    kept = values(measured(branded, least_exposure={"brand=Cup & Co": 0.1}), "exposure@3")
    assert set(kept) == {"brand=Acme", "brand=Cup & Co", "brand (rest)", "brand (none)"}


def test_quality_by_country_by_hand(branded):
    found = measured(branded, user_groups=["country"])
    # France: w0 hits at 1, w1 at 2. Spain: w4 does not hit, z0 hits at 3. One user of Malta is not named; two have no country
    assert values(found, "group_ndcg@3") == pytest.approx(
        {"country=France": (ONE + TWO) / 2, "country=Spain": THREE / 2, "country (rest)": None, "country (none)": None}
    )
    assert values(found, "group_hit_rate@3") == pytest.approx(
        {"country=France": 1, "country=Spain": 0.5, "country (rest)": None, "country (none)": None}
    )
    gap = found["country", "gap_ndcg@3"]
    assert (gap["value"], gap["users"]) == (pytest.approx((ONE + TWO) / 2 - THREE / 2), 4)
    assert gap["ci_low"] <= gap["value"] <= gap["ci_high"]


def test_quality_by_attribute_platform_and_cohort(branded):
    found = measured(branded, user_groups=["attributes.age", "platform", "cohort"])
    users = {group: row["users"] for (group, metric), row in found.items() if metric == "group_ndcg@3"}
    assert users == {
        "attributes.age=20": 1, "attributes.age=40": 3, "attributes.age (rest)": 0, "platform=web": 4, "cohort=warm": 3, "cohort=zero": 1,
    }  # fmt: skip
    assert found["attributes.age=40", "group_ndcg@3"]["value"] == pytest.approx((ONE + TWO + THREE) / 3)
    assert found["attributes.age=20", "group_ndcg@3"]["value"] is None  # one user was measured
    assert found["platform", "gap_ndcg@3"]["value"] is None  # one group has no gap


def test_what_the_shop_does_not_deliver_has_no_rows(settings):
    """No item of this shop has a brand, a category or a price, and no user a country or a platform."""
    found = measured(
        settings, item_groups=["brand", "category:0", "price"], user_groups=["country", "platform", "attributes.age"]
    )
    assert found == {}


def test_a_name_that_few_users_share_is_not_written(branded):
    groups = {group for group, _ in measured(branded, user_groups=["country", "attributes.age"])}
    assert not groups & {"country=Malta", "attributes.age=77"}


# --- who reads what -----------------------------------------------------------------------------------------------


def test_nothing_else_changes_with_the_groups(settings):
    without = settings.changed(item_groups=[], user_groups=[])
    plain, with_groups = measure_day(without, DAY), measure_day(settings, DAY)
    assert plain.rows.equals(with_groups.rows)
    assert plain.groups.num_rows == 0 < with_groups.groups.num_rows
    assert set(with_groups.groups["metric"].to_pylist()).isdisjoint(plain.rows["metric"].to_pylist())


def test_those_who_read_the_lists_read_no_group(settings):
    without = settings.changed(item_groups=[], user_groups=[])
    plain, seen = evaluate_day(without, DAY), outcome_table(without, [DAY])
    full = evaluate_day(settings, DAY)
    assert full["warnings"] == plain["warnings"]
    assert outcome_table(settings, [DAY]) == seen
    rows = Lake.from_settings(settings).reader().read("outcomes")
    assert rows.num_rows > of_lists(rows).num_rows == 61
    assert Lake.from_settings(settings).day("outcomes", DAY).rows == rows.num_rows  # the audit took keys with a null


def test_the_page_shows_both(settings):
    with_cohorts = settings.changed(user_groups=["cohort"])
    page = Path(evaluate_day(with_cohorts, DAY)["report"]).read_text()
    assert "Who is shown" in page
    assert "Who is served" in page
    without = settings.changed(item_groups=[], user_groups=[])
    page = Path(evaluate_day(without, DAY)["report"]).read_text()
    assert "Who is shown" not in page
    assert "Who is served" not in page


def test_a_night_without_lists_has_groups_without_values(settings):
    lake = Lake.from_settings(settings)
    lake.publish("recommendations", [LISTS], TABLES["recommendations"].schema.empty_table())
    found = measured(settings)
    assert {row["value"] for row in found.values()} == {None}
    assert evaluate_day(settings, DAY)["rows"] > 61


# --- the parts ----------------------------------------------------------------------------------------------------


def test_attention_of_short_and_empty_lists():
    lists = np.array([[3, 1, -1], [-1, -1, -1]])
    assert attention(lists) == pytest.approx(np.array([[ONE / (ONE + TWO), TWO / (ONE + TWO), 0], [0, 0, 0]]))


def test_many_users_are_drawn_in_cells_with_the_same_spread(monkeypatch):
    from recpipe.metrics import intervals

    columns = np.random.default_rng(1).random((5000, 2))
    one = sum_draws(columns, 400, seed_of(1, "a"))
    monkeypatch.setattr(intervals, "MOST_CELLS", 500)
    cells = sum_draws(columns, 400, seed_of(1, "a"))
    assert cells.mean(axis=0) == pytest.approx(columns.sum(axis=0), rel=0.01)
    assert cells.std(axis=0) == pytest.approx(one.std(axis=0), rel=0.25)


def test_groups_that_are_alike_have_no_gap_above_chance():
    """Forty shops of eight groups of one kind: the interval leaves 0 in one of twenty or so."""
    draw = np.random.default_rng(3)
    shops = [[draw.random(30) for _ in range(8)] for _ in range(40)]
    found = [greatest_gap(shop, 300, [seed_of(n, g) for g in range(8)]) for n, shop in enumerate(shops)]
    assert min(gap.value for gap in found) > 0.05  # the greatest of 28 differences is never 0
    assert sum(gap.low > 0 for gap in found) <= 6
    assert greatest_gap([np.ones(30), np.zeros(30)], 100, [seed_of(1), seed_of(2)]).low == 1


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=2, max_size=4))
@rules(max_examples=50, deadline=None)
def test_the_gap_is_that_of_the_best_and_the_worst(groups):
    arrays = [np.array(values) for values in groups]
    gap = greatest_gap(arrays, 50, [seed_of(1, n) for n in range(len(groups))])
    means = [values.mean() for values in arrays]
    assert gap.value == pytest.approx(max(means) - min(means))
    assert 0 <= gap.low <= gap.value + 1e-12
    assert gap.high >= gap.value - 1e-12
    assert gap.users == sum(map(len, groups))
