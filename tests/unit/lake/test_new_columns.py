"""A column that the contract has got since a table was made is null in old days, and there from the next commit on."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from recpipe.contract import DAYS, OUTCOMES
from recpipe.lake.lake import Lake

ROW = {"horizon_days": 7, "cohort": "all", "metric": "m", "value": 1.0, "ci_low": None, "ci_high": None, "users": 1, "name": "3"}
OLD, NEW = date(2026, 3, 1), date(2026, 3, 2)


@pytest.fixture
def lake(tmp_path) -> Lake:
    """An outcomes table of before the column ``table``, with one day."""
    lake = Lake(str(tmp_path / "lake"))
    old = pa.schema([field for field in OUTCOMES.schema if field.name != "table"])
    DeltaTable.create(lake.uri("outcomes"), old, partition_by=["day"])
    from deltalake import write_deltalake

    write_deltalake(lake.uri("outcomes"), pa.Table.from_pylist([{"day": OLD} | ROW], schema=old), mode="append")
    lake._append([_record(lake)])
    return lake


def _record(lake: Lake):
    from datetime import UTC, datetime

    from recpipe.lake.day_record import DayRecord

    return DayRecord("outcomes", OLD, "closed", 1, (), None, "0.1.0", "local", 1, datetime.now(UTC))


def test_old_days_are_read_with_nulls_before_and_after_the_table_is_widened(lake):
    assert lake.reader().read("outcomes")["table"].to_pylist() == [None]
    assert lake.reader().read("outcomes", columns=["name", "table"]).to_pylist() == [{"name": "3", "table": None}]
    rows = pa.Table.from_pylist([{"day": NEW, "table": "item_classes"} | ROW], schema=OUTCOMES.schema)
    lake.publish("outcomes", [NEW], rows)
    found = lake.reader().read("outcomes").sort_by("day")
    assert found.schema.equals(OUTCOMES.schema)
    assert found["table"].to_pylist() == [None, "item_classes"]
    assert lake.reader({"outcomes": 1}).read("outcomes")["table"].to_pylist() == [None]


def test_a_meaning_may_be_put_in_other_words(tmp_path):
    """A table of an earlier release has the old words with its columns, and is written to all the same."""
    lake = Lake(str(tmp_path / "lake"))
    old = pa.schema([field.with_metadata({"meaning": f"once: {field.name}"}) for field in OUTCOMES.schema])
    DeltaTable.create(lake.uri("outcomes"), old, partition_by=["day"])
    days = pa.schema([field.with_metadata({"meaning": f"once: {field.name}"}) for field in DAYS.schema])
    DeltaTable.create(lake.uri("days"), days)
    lake.publish("outcomes", [NEW], pa.Table.from_pylist([{"day": NEW} | ROW], schema=OUTCOMES.schema))
    assert lake.reader().read("outcomes")["name"].to_pylist() == ["3"]
