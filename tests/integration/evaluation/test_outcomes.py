"""Promises of the outcomes, on a shop small enough to work them out by hand."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from recpipe.contract import EVENTS, OUTCOMES, RECOMMENDATIONS
from recpipe.dataset.as_of import read_known
from recpipe.dataset.cohorts import users_of
from recpipe.errors import MissingDay
from recpipe.evaluation.day_outcomes import evaluate_day
from recpipe.evaluation.outcome_text import outcome_table
from recpipe.evaluation.outcomes import measure_day, of_lists, value_of
from recpipe.evaluation.pooled import pooled_rows
from recpipe.evaluation.truth import new_items
from recpipe.lake.lake import Lake
from recpipe.tables.families import TASKS

FIRST, LISTS, DAY = date(2026, 3, 1), date(2026, 3, 8), date(2026, 3, 15)
SECOND = 1 / np.log2(3)


@pytest.fixture
def measured(settings):
    return measure_day(settings, DAY).rows.to_pylist()


def value(rows, cohort, metric, name="3"):
    return value_of(rows, cohort, metric, name)["value"]


def users(rows, cohort, metric, name="3"):
    return value_of(rows, cohort, metric, name)["users"]


# w0 hits at 1, w1 at 2, w4 not at all; z0 hits at 3. w2 sent it back, w3 had met it, z1 came too late.


def test_users_are_those_who_newly_met_something_within_the_horizon(measured):
    assert [users(measured, cohort, "ndcg@3") for cohort in ("all", "warm", "zero", "few")] == [4, 3, 1, 0]
    assert [users(measured, cohort, "coverage@3") for cohort in ("all", "warm", "zero", "few")] == [9, 6, 3, 0]


def test_ranking_metrics_by_hand(measured):
    assert value(measured, "warm", "ndcg@3") == pytest.approx((1 + SECOND + 0) / 3)
    assert value(measured, "all", "ndcg@3") == pytest.approx((1 + SECOND + 0 + 0.5) / 4)
    assert value(measured, "warm", "recall@3") == pytest.approx(2 / 3)
    assert value(measured, "all", "hit_rate@3") == pytest.approx(3 / 4)


def test_coverage_and_novelty_by_hand(measured):
    # seven items are available; the lists show i4 i5 i6 and i0 i1 i2
    assert value(measured, "all", "coverage@3") == pytest.approx(6 / 7)
    assert value(measured, "warm", "coverage@3") == pytest.approx(3 / 7)
    # events till the lists: i0 6, i1 6, i2 1, i3 1, others none: shares (n + 1) / 22
    bits = {n: -np.log2((n + 1) / 22) for n in (0, 1, 6)}
    assert value(measured, "warm", "novelty@3") == pytest.approx(bits[0])
    assert value(measured, "zero", "novelty@3") == pytest.approx((2 * bits[6] + bits[1]) / 3)


def test_popularity_ranks_for_the_same_users_by_the_same_rules(measured):
    # the warm have met i0 and i1, i3 is not available: i2, then i4 and i5 by their ids
    assert value(measured, "warm", "ndcg@3", "popularity") == pytest.approx((SECOND + 0.5 + 0) / 3)
    assert [users(measured, "warm", "ndcg@3", name) for name in ("3", "popularity", "item_knn")] == [3, 3, 3]


def test_fewer_than_the_minimum_have_no_value(measured):
    row = value_of(measured, "zero", "ndcg@3", "3")
    assert (row["value"], row["ci_low"], row["ci_high"], row["users"]) == (None, None, None, 1)
    assert value_of(measured, "few", "coverage@3", "3")["value"] is None


def test_every_cohort_metric_and_name_has_a_row_in_the_schema(settings):
    rows = measure_day(settings, DAY).rows
    assert rows.schema.equals(OUTCOMES.schema)
    keys = {(row["cohort"], row["metric"], row["name"]) for row in rows.to_pylist()}
    assert len(keys) == rows.num_rows == 4 * 5 * 3 + 1
    assert ("all", "drift", "3") in keys


def test_intervals_hold_their_value(measured):
    for row in measured:
        if row["ci_low"] is not None:
            assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_a_rerun_ends_in_the_same_rows(settings):
    first, again = evaluate_day(settings, DAY), evaluate_day(settings, DAY)
    assert first == again
    lake = Lake.from_settings(settings)
    found = measure_day(settings, DAY)
    pooled = pooled_rows(settings, lake.reader(), DAY)
    assert lake.reader().read("outcomes").equals(pa.concat_tables([found.rows, found.groups, pooled]))
    assert lake.reader().read("newcomer_outcomes").equals(found.newcomers)
    record = lake.day("outcomes", DAY)
    rows = 61 + found.groups.num_rows + pooled.num_rows
    assert (record.status, record.rows, record.model_version) == ("closed", rows, "3")
    looked_for = {task.name for task in TASKS.values() if task.measure}  # none is published: what comes in makes stale
    read = {"events", "items", "users", "recommendations", "newcomer_outcomes"}
    assert read | looked_for == {entry.table for entry in record.inputs}


def test_what_happens_later_changes_nothing(settings, measured):
    late = {"day": DAY + timedelta(days=1), "event_id": "late", "user_id": "w5", "item_id": "i4", "event_type": "purchase",
            "ts": datetime(2026, 3, 16, tzinfo=UTC)}  # fmt: skip
    rows = pa.Table.from_pylist([{name: late.get(name) for name in EVENTS.columns}], schema=EVENTS.schema)
    Lake.from_settings(settings).publish("events", [DAY + timedelta(days=1)], rows)
    assert measure_day(settings, DAY).rows.to_pylist() == measured


def test_a_night_without_users_has_outcomes_without_values(settings):
    Lake.from_settings(settings).publish("recommendations", [LISTS], RECOMMENDATIONS.schema.empty_table())
    (warning,) = evaluate_day(settings, DAY)["warnings"]
    assert "drifted from what the lists of 2026-03-08 (there were none) were made from" in warning
    rows = Lake.from_settings(settings).reader().read("outcomes").to_pylist()
    assert {row["value"] for row in rows if row["metric"] != "drift"} == {None}


def test_lists_that_were_never_made_are_asked_for(settings):
    with pytest.raises(MissingDay, match="Day 2026-03-09 of table recommendations does not stand in the register: run the DAG"):
        measure_day(settings, date(2026, 3, 16))


def test_a_day_of_behaviour_that_is_missing_is_named(settings, tmp_path):
    lake = Lake.from_settings(settings)
    lake.publish("recommendations", [LISTS + timedelta(days=3)], RECOMMENDATIONS.schema.empty_table())
    with pytest.raises(MissingDay, match=r"lists of 2026-03-11 cannot be judged by 2026-03-18: events of 2026-03-17 are not"):
        measure_day(settings, date(2026, 3, 18))


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from recpipe.config import load_settings
from recpipe.lake.lake import Lake
{patch}
from recpipe.evaluation.day_outcomes import evaluate_day
evaluate_day(load_settings(home=Path(sys.argv[1]), min_users=2, metric_k=3, top_k=3, bootstrap_draws=200), date(2026, 3, 15))
"""
DIE = "def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.mark.parametrize("place", ["_replace", "_append"])
def test_killed_while_publishing_then_again_ends_in_the_same_rows(settings, measured, place):
    code = KILLED.format(patch=DIE + f"Lake.{place} = die")
    done = subprocess.run([sys.executable, "-c", code, str(settings.places.home)], check=False, capture_output=True)
    assert done.returncode == -9
    lake = Lake.from_settings(settings)
    assert lake.reader().read("outcomes").num_rows == 0  # nobody sees a day that is not registered
    evaluate_day(settings, DAY)
    assert of_lists(lake.reader().read("outcomes")).to_pylist() == measured


def test_the_text_table_for_a_terminal(settings):
    evaluate_day(settings, DAY)
    title, head, first, *_, last = outcome_table(settings, [DAY]).splitlines()
    assert title == "nDCG@3, 95 % interval over users"
    assert head.split() == ["lists", "of", "judged", "by", "cohort", "users", "published", "lists", "popularity", "item", "kNN"]
    assert first.startswith("2026-03-08  2026-03-15  all     4      0.5327 (")
    assert last.split()[2:] == ["warm", "3", *last.split()[4:]]
    assert "zero    1      too few" in outcome_table(settings, [DAY])


def test_what_was_met_before_the_newest_events_is_not_newly_met(settings):
    """Everybody warm met i0 and then i1; w3 meets i0 again, when only one event is kept of each user."""
    short = settings.changed(last_events=1)
    known = read_known(Lake.from_settings(short).reader(), short, LISTS)
    users, item_ids = users_of(known, short, LISTS), known.evidence.catalogue.item_ids
    truth = new_items(Lake.from_settings(short).reader(), users, item_ids, LISTS + timedelta(days=1), DAY)
    taken = {user: list(truth.item[truth.indptr[n] : truth.indptr[n + 1]]) for n, user in enumerate(users.user_ids)}
    assert {user: list(item_ids[items]) for user, items in taken.items() if items} == {
        "w0": ["i4"], "w1": ["i5"], "w4": ["i7"], "z0": ["i2"],
    }  # fmt: skip
