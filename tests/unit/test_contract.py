import pyarrow as pa
import pytest

from recpipe.contract import DELIVERED, TABLES

ADDED_LATER = {"outcomes": {"table", "group", "window_days"}}
"""Columns of a key that were added within a schema version, and are therefore null in old days: one value, at that time."""


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_every_column_has_a_meaning_and_day_comes_first(table):
    assert table.columns[0] == "day"
    for field in table.schema:
        assert field.name == "day" or field.metadata[b"meaning"], field.name


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_keys_are_columns_that_are_never_null(table):
    for name in set(table.key) - ADDED_LATER.get(table.name, set()):
        assert not table.schema.field(name).nullable


def test_times_are_utc_microseconds():
    for table in TABLES.values():
        for field in table.schema:
            if pa.types.is_timestamp(field.type):
                assert field.type == pa.timestamp("us", tz="UTC")


def test_what_is_delivered_is_taken_in_in_an_order_that_events_can_lean_on():
    assert [table.name for table in DELIVERED] == ["items", "users", "events"]
