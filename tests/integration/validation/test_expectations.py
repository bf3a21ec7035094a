"""A shop's own suites of Great Expectations stand beside recpipe's rules, and nothing in them runs as code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pyarrow as pa
import pytest
from days_of_tables import DAY, good_rows
from great_expectations.expectations.row_conditions import Column

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed, BadSetting
from recpipe.validation.audit import DayPart, audit, audit_days
from recpipe.validation.expectations import OF_DAYS, OF_ROWS, read_suites
from recpipe.validation.verdicts import load_verdict

FACTS = {"bad_share": 0.0}
SECRET = "planted-person-4711"


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    folder = tmp_path / "suites"
    folder.mkdir()
    return load_settings(home=tmp_path / "home", expectations=str(folder))


def write(settings: Settings, table: str, *expectations: Any) -> None:
    """Write a suite as people do who work with Great Expectations."""
    suite = gx.ExpectationSuite(name=table, expectations=list(expectations))
    (Path(settings.intake.expectations) / f"{table}.json").write_text(json.dumps(suite.to_json_dict()))


def write_raw(settings: Settings, entry: dict[str, Any], table: str = "events") -> None:
    (Path(settings.intake.expectations) / f"{table}.json").write_text(json.dumps({"name": table, "expectations": [entry]}))


def test_what_is_critical_stops_the_day_and_what_warns_is_shown(own: Settings) -> None:
    write(
        own, "events",
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=2.0, notes="No price is above 2 pounds."),
        gxe.ExpectColumnValuesToBeInSet(column="platform", value_set=["app"], severity="warning"),
        gxe.ExpectColumnValuesToNotBeNull(column="platform", severity="warning", mostly=0.1),
        gxe.ExpectColumnValuesToBeBetween(column="quantity", max_value=5, meta={"severity": "warning"}),
    )  # fmt: skip
    verdict = audit(own, "events", DAY, good_rows("events").to_batches(), FACTS)
    with pytest.raises(AuditFailed, match=r"price: No price is above 2 pounds, but 1 of 4 rows are otherwise\. The shop itself"):
        verdict.raise_if_failed()
    assert [check.column for check in verdict.failed] == ["price"]
    assert [(check.column, check.found) for check in verdict.warnings] == [
        ("quantity", "1 of 4 rows are otherwise"), ("platform", "4 of 4 rows are otherwise"),
    ]  # fmt: skip
    page = (own.places.reports / "verdicts" / f"events-{DAY}.html").read_text()
    assert "No price is above 2 pounds" in page
    assert "events.json, expectation 1" in page
    assert load_verdict(own.places, "events", DAY) == verdict


def test_recpipes_own_rules_stay_beside_them(own: Settings, settings: Settings) -> None:
    write(own, "events", gxe.ExpectColumnMaxToBeBetween(column="price", max_value=3.0))
    mine = audit(own, "events", DAY, good_rows("events", quantity=-1).to_batches(), FACTS)
    plain = audit(settings, "events", DAY, good_rows("events", quantity=-1).to_batches(), FACTS)
    assert {check.name for check in mine.checks} - {check.name for check in plain.checks} == {
        "own_1_expect_column_max_to_be_between"
    }
    assert [check.column for check in mine.failed] == ["quantity"]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_day_is_looked_at_as_a_whole_however_it_is_cut(own: Settings, batch_rows: int) -> None:
    """Two days, the first of which alone is amiss: no mean, no count and no share is taken over both, or over a part."""
    own = own.changed(batch_rows=batch_rows)
    write(
        own, "events",
        gxe.ExpectColumnMeanToBeBetween(column="price", min_value=3, max_value=5),
        gxe.ExpectTableRowCountToBeBetween(min_value=4),
        gxe.ExpectColumnValuesToBeUnique(column="item_id"),
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=3, mostly=0.5),
    )  # fmt: skip
    good = pa.Table.from_pylist(
        [
            {"day": DAY + timedelta(1), "event_id": f"e{n}", "item_id": f"i{n}", "event_type": "view", "price": price,
             "ts": good_rows("events")["ts"][0].as_py() + timedelta(1)}
            for n, price in enumerate((2.0, 5.0, 5.0, 4.0))
        ], TABLES["events"].schema,
    )  # fmt: skip
    bad = good_rows("events", price=2.0, item_id="22423").slice(0, 3)
    parts = [
        DayPart(
            day, [part for n in range(0, rows.num_rows, batch_rows) for part in rows.slice(n, batch_rows).to_batches()], FACTS
        )
        for day, rows in ((DAY, bad), (DAY + timedelta(1), good))
    ]
    first, second = audit_days(own, "events", parts)
    assert [(check.column, check.found) for check in first.failed] == [
        ("price", "the day as a whole is otherwise"), ("rows", "the day as a whole is otherwise"),
        ("item_id", "2 of 3 rows are otherwise"), ("price", "1 of 3 rows are otherwise"),
    ]  # fmt: skip
    assert not second.failed


def test_a_day_without_rows_is_held_against_the_number_of_rows_alone(own: Settings) -> None:
    write(
        own, "items",
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnMeanToBeBetween(column="price", min_value=1),
    )  # fmt: skip
    verdict = audit(own, "items", DAY, [], FACTS)
    assert [check.column for check in verdict.failed] == ["rows"]


def test_a_condition_chooses_the_rows(own: Settings) -> None:
    bought = Column("event_type") == "purchase"
    write(
        own, "events",
        gxe.ExpectColumnValuesToNotBeNull(column="price", row_condition=bought),
        gxe.ExpectColumnValuesToNotBeNull(column="rating", row_condition=bought | Column("query").is_not_null()),
    )  # fmt: skip
    verdict = audit(own, "events", DAY, good_rows("events").to_batches(), FACTS)
    assert [check.column for check in verdict.failed] == ["rating, event_type, query"]


def test_any_table_of_the_contract_can_have_a_suite(own: Settings) -> None:
    write(own, "quarantine", gxe.ExpectColumnValuesToNotBeInSet(column="reason", value_set=["no item id"]))
    assert audit(own, "quarantine", DAY, good_rows("quarantine").to_batches(), {}).failed
    assert not audit(own, "items", DAY, good_rows("items").to_batches(), FACTS).failed


def test_no_value_of_a_row_is_said_or_stored(own: Settings, caplog: pytest.LogCaptureFixture) -> None:
    write(
        own, "events",
        gxe.ExpectColumnValuesToNotBeInSet(column="user_id", value_set=["x"], mostly=1),
        gxe.ExpectColumnDistinctValuesToBeInSet(column="user_id", value_set=["x"]),
        gxe.ExpectColumnMostCommonValueToBeInSet(column="user_id", value_set=["x"]),
        gxe.ExpectColumnValuesToBeInSet(column="user_id", value_set=["x"]),
        gxe.ExpectColumnMeanToBeBetween(column="user_id", max_value=1),  # cannot be: its error quotes what it met
    )  # fmt: skip
    verdict = audit(own, "events", DAY, good_rows("events", user_id=SECRET).to_batches(), FACTS)
    assert len(verdict.failed) == 4
    assert "it could not be checked" in [check.found for check in verdict.failed]
    with pytest.raises(AuditFailed) as refused:
        verdict.raise_if_failed()
    written = [path.read_text() for path in own.places.home.rglob("*") if path.is_file()]
    assert written
    assert not [text for text in (str(refused.value), caplog.text, *written) if SECRET in text]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"type": "expect_the_best", "kwargs": {}}, r"events\.json, expectation 1 \(expect_the_best\) is of a type"),
        ({"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1"}}, "none that queries"),
        ({"type": "expect_query_results_to_match_comparison", "kwargs": {}}, "none that queries"),
        ({"type": "expect_table_row_count_to_equal_other_table", "kwargs": {"other_table_name": "t"}}, "reads other tables"),
        ({"type": "expect_column_values_to_match_json_schema", "kwargs": {"column": "text"}}, "not held here"),
        (
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "prise"}},
            "column prise, which events does not have",
        ),
        ({"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["ts", "x"]}}, "column x, which events"),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "most": 1}},
            "has most, which it does not take",
        ),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "mostly": 7}}, "cannot be made with these"),
        ({"type": "expect_column_values_to_be_in_set", "kwargs": {"value_set": []}}, "cannot be made with these kwargs"),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": {"$PARAMETER": "x"}}},
            "parameters",
        ),
        (
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "ts"}, "severity": "fatal"},
            "has the severity fatal",
        ),
        ({"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "ts"}, "code": "x"}, "the part code"),
        ({"kwargs": {}}, "expectation 1 has no type"),
        ("x", "expectation 1 has no type"),
    ],
)
def test_what_cannot_be_held_is_one_sentence_with_file_and_expectation(own: Settings, entry: Any, said: str) -> None:
    write_raw(own, entry)
    with pytest.raises(BadSetting, match=said) as refused:
        audit(own, "events", DAY, good_rows("events").to_batches(), FACTS)
    assert "events.json, expectation 1" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "condition",
    [
        'event_type == "view"',
        {"type": "pass_through", "pass_through_filter": "@__import__('os').system('true') == 0"},
        {"type": "comparison", "column": "price", "operator": "==", "parameter": 1},
        {"type": "comparison", "column": {"name": "price"}, "operator": "==", "parameter": {"a": 1}},
        {"type": "and", "conditions": [{"type": "pass_through", "pass_through_filter": "True"}]},
    ],
)
def test_a_condition_that_would_run_as_code_is_refused(own: Settings, condition: Any) -> None:
    kwargs = {"column": "price", "row_condition": condition, "condition_parser": "pandas"}
    write_raw(own, {"type": "expect_column_values_to_not_be_null", "kwargs": kwargs})
    with pytest.raises(BadSetting, match="would run as code"):
        read_suites(own.intake)


def test_a_condition_names_a_column_of_the_table(own: Settings) -> None:
    condition = {"type": "comparison", "column": {"name": "__class__"}, "operator": "==", "parameter": 1}
    write_raw(own, {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "price", "row_condition": condition}})
    with pytest.raises(BadSetting, match="column __class__, which events does not have"):
        read_suites(own.intake)


def test_lists_can_be_null_or_not_and_nothing_else(own: Settings) -> None:
    write(own, "items", gxe.ExpectColumnValuesToNotBeNull(column="category"))
    assert [c.column for c in audit(own, "items", DAY, good_rows("items").to_batches(), FACTS).failed] == ["category"]
    write(own, "items", gxe.ExpectColumnValuesToBeInSet(column="category", value_set=["home"]))
    with pytest.raises(BadSetting, match="looks into category, which holds list"):
        read_suites(own.intake)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("events.json", '{"name": "events",\n "expectations": [', r"events\.json cannot be read as JSON \(line 2"),
        ("events.json", b"\xff\xfe", r"events\.json cannot be read as JSON"),
        ("events.json", "[" * 100_000, r"events\.json cannot be read as JSON"),
        ("events.json", "[]", r"events\.json is no suite"),
        ("event.json", "{}", "'event.json' in .* is no suite of a table"),
        ("events.pkl", b"\x80\x04.", "'events.pkl' in .* is no suite of a table"),
    ],
)
def test_a_file_that_is_no_suite_is_named(own: Settings, name: str, text: str | bytes, said: str) -> None:
    (Path(own.intake.expectations) / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadSetting, match=said):
        audit(own, "items", DAY, good_rows("items").to_batches(), FACTS)


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, expectations=str(tmp_path / "none"))
    with pytest.raises(BadSetting, match="which is no folder"):
        read_suites(settings.intake)


@pytest.mark.parametrize("kind", sorted(OF_ROWS | OF_DAYS))
def test_every_type_on_the_list_is_one_of_great_expectations_own(kind: str) -> None:
    made = getattr(gxe, "".join(part.title() for part in kind.split("_")))
    assert made.__module__.startswith("great_expectations.expectations.core.")
