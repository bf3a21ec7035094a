"""Nights of newcomers together, on days that are written by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from recpipe.config.settings import load_settings
from recpipe.contract import NEWCOMER_OUTCOMES, OUTCOMES, TABLES
from recpipe.erasure.erase import erase
from recpipe.evaluation.day_outcomes import evaluate_day
from recpipe.evaluation.newcomer_outcomes import LISTS
from recpipe.evaluation.outcomes import measure_day, of_lists
from recpipe.evaluation.pooled import pooled_rows
from recpipe.lake.lake import Lake
from recpipe.lake.stale import stale_days
from recpipe.lake.tombstones import erasure_tokens
from recpipe.readers.outcome_curves import read_curves, read_pooled

LAST = date(2026, 6, 1)
SECOND_DAY = date(2026, 3, 15)


def put(settings, table, day, found):
    schema = TABLES[table].schema
    full = [{name: {**row, "day": day}.get(name) for name in schema.names} for row in found]
    Lake.from_settings(settings).publish(table, [day], pa.Table.from_pylist(full, schema=schema))


def one(user, ndcg, name=LISTS, cohort="few", metric_k=10, horizon_days=7, day=LAST):
    about = {"lists_day": day - timedelta(days=7), "horizon_days": horizon_days, "metric_k": metric_k, "k": 1, "met": 1}
    return {
        **about,
        "user_id": user,
        "cohort": cohort,
        "name": name,
        "ndcg": ndcg,
        "recall": ndcg,
        "hit_rate": 1.0 if ndcg else 0.0,
    }


def night(settings, back, *rows):
    day = LAST - timedelta(days=back)
    put(settings, "newcomer_outcomes", day, [{**row, "lists_day": day - timedelta(days=7)} for row in rows])


@pytest.fixture
def settings(tmp_path):
    """Two persons in three nights of the last 28 days, and a night of 60 days before; ann and ann2 are one person."""
    settings = load_settings(home=tmp_path, min_users=2, bootstrap_draws=2000)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    person = {"ann": "p", "ann2": "p", "bob": None, "eve": None}
    put(settings, "users", date(2026, 1, 1), [{"user_id": u, "registered_at": start, "person_id": p} for u, p in person.items()])
    night(settings, 60, one("eve", 1.0))
    night(settings, 27, one("ann", 1.0), one("bob", 0.0))
    night(settings, 5, one("ann2", 1.0), one("bob", 0.7, metric_k=5), one("bob", 0.7, "other", horizon_days=14))
    night(settings, 0, one("ann", 0.0), one("ann", 0.5, "popularity"), one("bob", 0.0, cohort="zero"))
    return settings


def pooled(settings, cohort="few", metric="pooled_ndcg@10", name=LISTS, window=28, day=LAST):
    rows = pooled_rows(settings, Lake.from_settings(settings).reader(), day).to_pylist()
    key = (cohort, metric, name, window)
    (row,) = [row for row in rows if (row["cohort"], row["metric"], row["name"], row["window_days"]) == key]
    return row


def test_a_window_is_the_mean_over_its_lists_with_an_interval_over_persons(settings):
    # ann 1, 1 (as ann2), 0; bob 0: twice ann 4/6, both 2/4, twice bob 0
    row = pooled(settings)
    assert (row["value"], row["users"], row["nights"]) == (0.5, 2, 3)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.0, 2 / 3))
    assert (row["table"], row["group"], row["horizon_days"]) == ("recommendations", None, 7)


def test_a_longer_window_reaches_further_back(settings):
    row = pooled(settings, window=91)
    assert (row["value"], row["users"], row["nights"]) == (3 / 5, 3, 4)


def test_the_first_day_of_a_window_is_in_it_and_the_one_before_is_not(settings):
    assert pooled(settings, day=LAST - timedelta(days=-1))["nights"] == 2  # the night 27 days before LAST has left it
    assert pooled(settings, day=LAST - timedelta(days=1))["nights"] == 2  # LAST itself is not yet there


def test_cohorts_stand_apart_and_too_few_persons_have_no_value(settings):
    row = pooled(settings, "zero")
    assert (row["value"], row["ci_low"], row["users"], row["nights"]) == (None, None, 1, 1)
    assert pooled(settings, name="popularity")["users"] == 1
    assert pooled(settings, "zero", name="item_knn")["users"] == 0


def test_rows_of_another_cut_off_or_horizon_are_left_out(settings):
    rows = pooled_rows(settings, Lake.from_settings(settings).reader(), LAST).to_pylist()
    assert {row["name"] for row in rows} == {LISTS, "popularity", "item_knn"}
    assert pooled(settings.changed(metric_k=5, min_users=1), metric="pooled_ndcg@5")["value"] == 0.7


def test_rows_have_the_schema_and_their_own_metric_names(settings):
    rows = pooled_rows(settings, Lake.from_settings(settings).reader(), LAST)
    assert rows.schema.equals(OUTCOMES.schema)
    assert {name.split("@")[0] for name in rows["metric"].to_pylist()} == {"pooled_ndcg", "pooled_recall", "pooled_hit_rate"}
    assert of_lists(rows).num_rows == 0  # whoever reads a night's rows never meets them


def test_nobody_measured_is_said_too(tmp_path):
    rows = pooled_rows(load_settings(home=tmp_path), Lake.from_settings(load_settings(home=tmp_path)).reader(), LAST).to_pylist()
    assert {(row["value"], row["users"], row["nights"]) for row in rows} == {(None, 0, 0)}
    assert len(rows) == 2 * 2 * 3 * 3


def test_an_erased_user_is_in_no_night(settings):
    erase(settings, erasure_tokens(settings, ["bob"]))
    left = Lake.from_settings(settings).reader().read("newcomer_outcomes")
    assert set(left["user_id"].to_pylist()) == {"ann", "ann2", "eve"}
    assert pooled(settings.changed(min_users=1))["value"] == pytest.approx(2 / 3)


# --- on the night that the other tests of this folder work out (tests/fixtures/evaluated_shop.py): z0 hits at rank 3


def test_a_night_leaves_a_row_a_newcomer_and_name(filled_home, tmp_path):
    settings = nights(filled_home, tmp_path)
    rows = measure_day(settings, SECOND_DAY).newcomers
    assert rows.schema.equals(NEWCOMER_OUTCOMES.schema)
    found = {row["name"]: row for row in rows.to_pylist()}
    assert set(found) == {LISTS, "popularity", "item_knn"}  # of the warm there is none, of z1 and z2 nothing to measure
    mine = found[LISTS]
    assert (mine["user_id"], mine["cohort"], mine["k"], mine["met"], mine["metric_k"]) == ("z0", "zero", 0, 1, 3)
    assert (mine["ndcg"], mine["recall"], mine["hit_rate"], mine["lists_day"]) == (0.5, 1.0, 1.0, date(2026, 3, 8))


def test_what_is_published_in_any_order_ends_in_the_same_rows(filled_home, tmp_path):
    settings = nights(filled_home, tmp_path).changed(min_users=1)
    lake = Lake.from_settings(settings)
    put(settings, "newcomer_outcomes", date(2026, 3, 10), [one("z1", 1.0, cohort="zero", metric_k=3)])
    evaluate_day(settings, SECOND_DAY)
    first = lake.reader().read("outcomes")
    (window,) = [one for one in read_pooled(settings) if one.window_days == 28]
    assert (window.nights, [p.value for p in window.points if (p.group, p.name) == ("zero", LISTS)]) == (2, [0.75])
    # an earlier night comes in again: the day is stale, and made anew it has what is there now
    put(settings, "newcomer_outcomes", date(2026, 3, 10), [one("z1", 0.0, cohort="zero", metric_k=3)])
    assert [(one.table, one.day, one.source) for one in stale_days(lake)] == [("outcomes", SECOND_DAY, "newcomer_outcomes")]
    evaluate_day(settings, SECOND_DAY)
    assert not lake.reader().read("outcomes").equals(first)
    put(settings, "newcomer_outcomes", date(2026, 3, 10), [one("z1", 1.0, cohort="zero", metric_k=3)])
    evaluate_day(settings, SECOND_DAY)
    assert lake.reader().read("outcomes").equals(first)


def test_curves_of_nights_know_no_pooled_row(filled_home, tmp_path):
    settings = nights(filled_home, tmp_path)
    evaluate_day(settings, SECOND_DAY)
    assert {len(points) for points in read_curves(settings, 60).values()} == {1}


def nights(filled_home, tmp_path):
    import shutil

    shutil.copytree(filled_home, tmp_path / "nights")
    return load_settings(home=tmp_path / "nights", min_users=2, metric_k=3, top_k=3, bootstrap_draws=200)
