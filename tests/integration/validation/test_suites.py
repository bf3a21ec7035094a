"""Each expectation holds on a good day, and fails, alone, on a day that breaks what it says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from days_of_tables import DAY, ENTRY, GOOD_FACTS, GOOD_ROWS, MORNING, good_rows

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.validation.audit import audit
from recpipe.validation.suites import LIST_FACTS, SUITES, suite_of

NEXT_MORNING = MORNING + timedelta(days=1)

BREAKS: list[tuple[str, str, dict[str, Any]]] = [
    ("events", "event_type_known", {"event_type": "buy"}),
    ("events", "item_id_filled", {"item_id": None}),
    ("events", "days_late_in_bounds", {"ts": MORNING - timedelta(days=4)}),
    ("events", "days_late_in_bounds", {"ts": NEXT_MORNING}),
    ("events", "rating_in_bounds", {"rating": 5.5}),
    ("events", "price_in_bounds", {"price": -0.01}),
    ("events", "quantity_in_bounds", {"quantity": 0}),
    ("events", "text_short", {"text": "x" * 10_001}),
    ("events", "query_short", {"query": "x" * 10_001}),
    ("events", "rows_of_other_days_in_bounds", {"day": DAY - timedelta(days=1), "ts": MORNING - timedelta(days=1)}),
    ("events", "repeated_keys_in_bounds", {"event_id": "e2"}),
    ("items", "price_in_bounds", {"price": -1.0}),
    ("items", "title_filled", {"title": None}),
    ("items", "description_short", {"description": "x" * 10_001}),
    ("items", "repeated_keys_in_bounds", {"item_id": "22423"}),
    ("users", "days_registered_in_bounds", {"registered_at": NEXT_MORNING}),
    ("quarantine", "source_table_known", {"source_table": "orders"}),
    ("quarantine", "row_number_in_bounds", {"row_number": -1}),
    ("quarantine", "row_hash_form", {"row_hash": "u1"}),
    ("quarantine", "payload_clean", {"payload": '{"user_id": "u1"}'}),
    ("episodes", "cohort_known", {"cohort": "warm"}),
    ("episodes", "k_in_bounds", {"k": 11, "support": [ENTRY | {"item_id": str(n)} for n in range(11)]}),
    ("episodes", "entries_beyond_k_in_bounds", {"k": 1}),
    ("episodes", "repeated_items_in_bounds", {"support": [ENTRY, ENTRY]}),
    ("episodes", "odd_entries_in_bounds", {"support": [ENTRY, ENTRY | {"item_id": "22423", "weight": 0.0}]}),
    ("episodes", "odd_entries_in_bounds", {"support": [ENTRY, ENTRY | {"item_id": "22423", "label": 0.5}]}),
    ("episodes", "later_entries_in_bounds", {"support": [ENTRY, ENTRY | {"item_id": "22423", "ts": NEXT_MORNING}]}),
    ("episodes", "positives_of_zero_in_bounds", {"cohort": "zero"}),
    ("recommendations", "rank_in_bounds", {"rank": 21}),
    ("recommendations", "rank_in_bounds", {"rank": 0}),
    ("recommendations", "score_filled", {"score": float("nan")}),
    ("recommendations", "cohort_known", {"cohort": "new"}),
    ("recommendations", "reason_kind_known", {"reason": {"kind": "luck", "because_item_ids": []}}),
    ("recommendations", "because_amiss_in_bounds", {"reason": {"kind": "popular", "because_item_ids": ["85123A"]}}),
    ("recommendations", "because_amiss_in_bounds", {"reason": {"kind": "support", "because_item_ids": []}}),
    ("recommendations", "propensity_filled", {"propensity": None}),
    ("recommendations", "propensity_in_bounds", {"propensity": 0.0, "reason": {"kind": "new_item", "because_item_ids": []}}),
    ("recommendations", "propensity_in_bounds", {"propensity": 1.5, "reason": {"kind": "new_item", "because_item_ids": []}}),
    ("recommendations", "chance_amiss_in_bounds", {"propensity": 0.5}),
    ("outcomes", "cohort_known", {"cohort": "new"}),
    ("outcomes", "horizon_days_in_bounds", {"horizon_days": 0}),
    ("outcomes", "users_in_bounds", {"users": -1}),
    ("outcomes", "interval_amiss_in_bounds", {"ci_low": 0.4}),
    ("newcomer_outcomes", "cohort_known", {"cohort": "warm"}),
    ("newcomer_outcomes", "k_in_bounds", {"k": -1}),
    ("newcomer_outcomes", "ndcg_in_bounds", {"ndcg": 1.5}),
    ("newcomer_outcomes", "recall_in_bounds", {"recall": -0.1}),
    ("newcomer_outcomes", "hit_rate_in_bounds", {"hit_rate": 2.0}),
    ("newcomer_outcomes", "met_in_bounds", {"met": 0}),
    ("replays", "value_in_bounds", {"value": -0.1}),
    ("replays", "users_in_bounds", {"users": -1}),
    ("replays", "interval_amiss_in_bounds", {"ci_low": 0.4}),
]
"""Table, rule, and the change to the first row of the good day that breaks this rule alone."""

BREAKS += [
    (table, f"{field.name}_filled", {field.name: None})
    for table in SUITES
    for field in TABLES[table].schema
    if not field.nullable and field.name not in ("day", "k", "support", "reason")
]

BREAKING_FACTS: list[tuple[str, str, dict[str, Any]]] = [
    ("events", "bad_share_in_bounds", {"bad_share": 0.0501}),
    ("items", "bad_share_in_bounds", {"bad_share": 0.5}),
    ("users", "bad_share_in_bounds", {"bad_share": 1.0}),
    ("events", "other_midnight_hours_in_bounds", {"other_midnight_hours": -8.0}),
    ("events", "largest_user_share_in_bounds", {"largest_user_share": 0.21}),
    ("events", "copied_share_in_bounds", {"copied_share": 0.06}),
    *[("recommendations", f"{fact}_in_bounds", {fact: 1}) for fact in LIST_FACTS],
]


def failed_checks(settings: Settings, table: str, rows: pa.Table, facts: dict[str, Any] | None = None) -> set[str]:
    verdict = audit(settings, table, DAY, rows.to_batches(), GOOD_FACTS.get(table, {}) | (facts or {}))
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("table", SUITES)
def test_a_good_day_passes_whole(table: str, settings: Settings) -> None:
    assert failed_checks(settings, table, good_rows(table)) == set()


@pytest.mark.parametrize("table", SUITES)
def test_a_day_without_rows_passes(table: str, settings: Settings) -> None:
    verdict = audit(settings, table, DAY, [], GOOD_FACTS.get(table, {}))
    assert (verdict.failed, verdict.warnings, verdict.facts["rows"]) == ([], [], 0)


@pytest.mark.parametrize(("table", "rule", "change"), BREAKS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_row_that_breaks_a_rule_fails_that_rule_alone(
    table: str, rule: str, change: dict[str, Any], settings: Settings
) -> None:
    assert failed_checks(settings, table, good_rows(table, **change)) == {rule}


@pytest.mark.parametrize(("table", "rule", "facts"), BREAKING_FACTS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_fact_that_breaks_a_rule_fails_that_rule_alone(
    table: str, rule: str, facts: dict[str, Any], settings: Settings
) -> None:
    assert failed_checks(settings, table, good_rows(table), facts) == {rule}


@pytest.mark.parametrize("table", SUITES)
def test_columns_and_types_other_than_the_contract_fail(table: str, settings: Settings) -> None:
    good = good_rows(table)
    more = good.append_column("more", pa.nulls(len(good), pa.string()))
    place = next(n for n, field in enumerate(good.schema) if field.type == pa.string())
    other = good.set_column(place, good.schema.names[place], good.column(place).cast(pa.large_string()))
    assert failed_checks(settings, table, more) == {"columns_amiss_in_bounds"}
    assert failed_checks(settings, table, other) == {"types_amiss_in_bounds"}


def test_a_missing_column_fails_what_speaks_of_it(settings: Settings) -> None:
    found = failed_checks(settings, "events", good_rows("events").drop_columns(["ts"]))
    assert found == {"columns_amiss_in_bounds", "ts_filled", "days_late_in_bounds"}


def test_old_news_only_warns(settings: Settings) -> None:
    old = good_rows("events").filter(pa.array([True, False, False, False]))
    ts = pa.array([MORNING - timedelta(days=2)], old.schema.field("ts").type)
    verdict = audit(settings, "events", DAY, old.set_column(5, old.schema.field("ts"), ts).to_batches(), {"bad_share": 0.0})
    assert ([check.name for check in verdict.warnings], verdict.failed) == (["days_since_newest_in_bounds"], [])


def publish_weeks(settings: Settings, weeks: int, rows: int) -> None:
    """Publish so many Thursdays before the day, each with so many rows."""
    lake = Lake.from_settings(settings)
    schema = TABLES["users"].schema
    for back in range(1, weeks + 1):
        day = DAY - timedelta(weeks=back)
        made = [{"day": day, "user_id": str(n), "registered_at": datetime(2011, 1, 1, tzinfo=UTC)} for n in range(rows)]
        lake.publish("users", [day], pa.Table.from_pylist(made, schema=schema))


def test_an_unusual_volume_warns_and_does_not_stop(settings: Settings) -> None:
    publish_weeks(settings, 3, 100)
    verdict = audit(settings, "users", DAY, good_rows("users").to_batches(), {"bad_share": 0.0})
    assert [check.name for check in verdict.warnings] == ["volume_ratio_in_bounds"]
    assert verdict.facts["median_rows_before"] == 100
    verdict.raise_if_failed()


@pytest.mark.parametrize(("weeks", "rows"), [(2, 100), (3, 15), (3, 79)])
def test_volume_is_silent_where_little_is_known_or_the_difference_is_small(settings: Settings, weeks: int, rows: int) -> None:
    publish_weeks(settings, weeks, rows)
    assert failed_checks(settings, "users", good_rows("users")) == set()


def test_volume_looks_at_no_later_day(settings: Settings) -> None:
    lake = Lake.from_settings(settings)
    for ahead in range(1, 5):
        day = DAY + timedelta(weeks=ahead)
        made = [{"day": day, "user_id": str(n), "registered_at": MORNING} for n in range(200)]
        lake.publish("users", [day], pa.Table.from_pylist(made, schema=TABLES["users"].schema))
    verdict = audit(settings, "users", DAY, good_rows("users").to_batches(), {"bad_share": 0.0})
    assert (verdict.warnings, verdict.facts["volume_ratio"]) == ([], None)


def test_lists_may_hold_seen_items_where_the_shop_allows_it(settings: Settings) -> None:
    allowed = settings.changed(seen_items="allow")
    assert failed_checks(allowed, "recommendations", good_rows("recommendations"), {"seen_items": 5}) == set()


def test_days_begin_at_the_shops_midnight(settings: Settings) -> None:
    just_before = datetime(2011, 9, 1, 23, 30, tzinfo=UTC)  # half past midnight of the second in London
    london = settings.changed(timezone="Europe/London")
    rows = good_rows("events", ts=just_before)
    assert failed_checks(settings, "events", rows) == set()
    assert failed_checks(london, "events", rows) == {"days_late_in_bounds"}


def test_every_rule_has_a_day_that_breaks_it(settings: Settings) -> None:
    tested = {(table, rule) for table, rule, _ in BREAKS + BREAKING_FACTS}
    every_table = {"columns_amiss_in_bounds", "types_amiss_in_bounds", "rows_of_other_days_in_bounds", "repeated_keys_in_bounds",
                   "volume_ratio_in_bounds", "share_of_usual_rows_in_bounds", "days_since_newest_in_bounds", "day_filled", "k_filled", "support_filled",
                   "reason_filled"}  # fmt: skip
    for table in SUITES:
        suite = suite_of(table, settings)
        names = [rule.name for rule in (*suite.rows, *suite.day)]
        assert len(names) == len(set(names))
        assert {name for name in names if (table, name) not in tested} <= every_table


@pytest.mark.parametrize(("table", "column"), [("episodes", "k"), ("episodes", "support"), ("recommendations", "reason")])
def test_columns_that_others_are_derived_from_are_missed(table: str, column: str, settings: Settings) -> None:
    assert f"{column}_filled" in failed_checks(settings, table, good_rows(table, **{column: None}))


def test_a_table_without_a_suite_is_refused(settings: Settings) -> None:
    with pytest.raises(RecpipeError, match="Table days has no suite"):
        suite_of("days", settings)


def test_a_forgotten_fact_is_refused(settings: Settings) -> None:
    with pytest.raises(RecpipeError, match="audit of events for 2011-09-01 was not told: bad_share"):
        audit(settings, "events", DAY, good_rows("events").to_batches(), {})


def test_a_failure_says_what_where_how_many_and_what_to_do(settings: Settings) -> None:
    verdict = audit(settings, "events", DAY, good_rows("events", event_type="buy").to_batches(), {"bad_share": 0.0})
    with pytest.raises(AuditFailed) as error:
        verdict.raise_if_failed()
    assert str(error.value) == (
        "Day 2011-09-01 of table events was not published. event_type: Every event is of a known type, but 1 of 4 rows are "
        "otherwise. Map the shop's types in RECPIPE_EVENT_TYPES."
    )
    assert isinstance(verdict.day, date)
    assert len(GOOD_ROWS["events"]) == 4
