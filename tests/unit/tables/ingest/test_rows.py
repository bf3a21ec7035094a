"""What becomes of each row: taken in as the contract has it, or quarantined with its reason."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from recpipe.config.settings import load_settings
from recpipe.contract import EVENTS, ITEMS, QUARANTINE, USERS
from recpipe.tables.ingest.stage import stage_day
from recpipe.tables.ingest.staged import staged_rows

DAY = date(2011, 9, 1)
NOON = datetime(2011, 9, 1, 12, tzinfo=UTC)


def staged(settings, table, day=DAY):
    rows = staged_rows(Path(stage_day(settings, day)), table, [day])
    return (rows.to_table() if isinstance(rows, ds.Dataset) else rows).to_pylist()


@pytest.fixture
def lenient(settings):
    def with_settings(**more):
        return load_settings(home=settings.places.home, max_bad_share=1.0, **more)

    return with_settings


# --- what is taken in


def test_an_event_as_the_contract_has_it(settings, deliver, an_event):
    row = an_event(
        quantity=2, price=1.5, session_id=7, order_id="o1", platform="web", rating=4, text="good", query=None, extra="x"
    )
    deliver(settings, events=[row])
    (found,) = staged(settings, "events")
    event_id = found.pop("event_id")
    assert len(event_id) == 32
    assert found == {
        "day": DAY, "user_id": "u1", "item_id": "i1", "event_type": "purchase", "ts": NOON, "session_id": "7", "order_id": "o1",
        "query": None, "text": "good", "rating": 4.0, "price": 1.5, "quantity": 2, "platform": "web",
    }  # fmt: skip


def test_an_item_as_the_contract_has_it(settings, deliver):
    settings = load_settings(home=settings.places.home, item_columns={"path": "category"})
    whole = {"item_id": 12345, "title": "Lamp", "path": "Home > Light>  ", "brand": "Lux", "price": 9, "description": "d", "n": 3}
    deliver(settings, items=[whole, {"item_id": 2, "title": "Bare"}])
    assert staged(settings, "items") == [
        {
            "day": DAY, "item_id": "12345", "title": "Lamp", "description": "d", "category": ["Home", "Light"], "brand": "Lux",
            "price": 9.0, "available": True,
        },
        {
            "day": DAY, "item_id": "2", "title": "Bare", "description": None, "category": None, "brand": None,
            "price": None, "available": True,
        },
    ]  # fmt: skip


def test_a_user_as_the_contract_has_it(settings, deliver):
    rows = [
        {
            "user_id": 7,
            "registered_at": datetime(2011, 8, 31, 9),
            "country": "France",
            "age": 35,
            "tags": ["a"],
            "note": None,
            "person_id": 12,
        },
        {"user_id": 8, "registered_at": None, "country": None, "age": None, "tags": None, "note": None, "person_id": None},
    ]
    deliver(settings, users=rows)
    start_of_day = datetime(2011, 9, 1, tzinfo=UTC)
    assert staged(settings, "users") == [
        {
            "day": DAY, "user_id": "7", "registered_at": datetime(2011, 8, 31, 9, tzinfo=UTC), "platform": None,
            "country": "France", "attributes": [("age", "35"), ("tags", '["a"]')], "person_id": "12",
        },
        {
            "day": DAY, "user_id": "8", "registered_at": start_of_day, "platform": None, "country": None, "attributes": [],
            "person_id": None,
        },
    ]  # fmt: skip


def test_staged_tables_have_the_schema_of_the_contract(settings, deliver, an_event):
    deliver(
        settings, events=[an_event(), an_event(item=None, user="x")], items=[{"item_id": 1, "title": "t"}], users=[{"user_id": 1}]
    )
    settings = load_settings(home=settings.places.home, max_bad_share=1.0)
    folder = Path(stage_day(settings, DAY))
    for table in (EVENTS, ITEMS, USERS, QUARANTINE):
        assert staged_rows(folder, table.name, [DAY]).schema.equals(table.schema)


def test_a_return_is_a_type_of_its_own_with_a_positive_quantity(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, event_types={"cancel": "return"})
    deliver(settings, events=[an_event(kind="cancel", quantity=-3), an_event(kind="cancel", quantity=4, item="i2")])
    assert [(row["event_type"], row["quantity"]) for row in staged(settings, "events")] == [("return", 3), ("return", 4)]


def test_searches_need_no_item(settings, deliver, an_event):
    deliver(
        settings, events=[an_event(item=None, kind="search", query="red lamp"), an_event(item=None, kind="search", query="blue")]
    )
    assert [row["query"] for row in staged(settings, "events")] == ["red lamp", "blue"]


def test_delivered_event_ids_are_kept(settings, deliver, an_event):
    deliver(settings, events=[an_event(event_id="e9")])
    assert [row["event_id"] for row in staged(settings, "events")] == ["e9"]


# --- columns of any shape


def as_strings(table):
    return table.set_column(0, "user_id", pa.array(["1", "2"])).set_column(1, "item_id", pa.array([" 10", "20 "]))


def as_large(table):
    return as_strings(table).cast(
        pa.schema([f.with_type(pa.large_string()) if pa.types.is_string(f.type) else f for f in as_strings(table).schema])
    )


def as_dictionaries(table):
    table = as_strings(table)
    for name in ("user_id", "item_id", "event_type"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    return table


def as_dictionary_of_numbers(table):
    return table.set_column(1, "item_id", table["item_id"].dictionary_encode())


def zoned(table):
    moments = [datetime(2011, 9, 1, 11, tzinfo=UTC), datetime(2011, 9, 1, 12, tzinfo=UTC)]
    return table.set_column(3, "ts", pa.array(moments, pa.timestamp("ns", "America/New_York")))


def as_time_texts(table):
    return table.set_column(3, "ts", pa.array(["2011-09-01 12:00:00", "2011-09-01T14:00:00+02:00"]))


def reversed_columns(table):
    return table.select(table.schema.names[::-1])


def in_two_files(table):
    return [table.slice(1), reversed_columns(as_large(table.slice(0)).slice(0, 1))]


@pytest.mark.parametrize(
    "shape",
    [
        as_strings, as_large, as_dictionaries, as_dictionary_of_numbers, zoned, as_time_texts, reversed_columns, in_two_files,
        lambda table: table.set_column(3, "ts", table["ts"].cast(pa.timestamp("s"))),
        lambda table: table.set_column(0, "user_id", table["user_id"].cast(pa.uint16())),
        lambda table: table.set_column(4, "quantity", pa.array([1.0, 2.0])),
        lambda table: table.set_column(4, "quantity", pa.array(["1", " 2 "])),
        lambda table: table.set_column(5, "price", pa.array(["1.25", ".5"])),
        lambda table: table.set_column(5, "price", table["price"].cast(pa.decimal128(8, 2))),
        lambda table: table.set_column(5, "price", table["price"].cast(pa.float32())),
    ],
)  # fmt: skip
def test_any_shape_of_columns_gives_the_same_rows(settings, deliver, shape):
    settings = load_settings(home=settings.places.home, timezone="Europe/London")
    plain = pa.table(
        {
            "user_id": [1, 2], "item_id": [10, 20], "event_type": ["view", "purchase"],
            "ts": pa.array([datetime(2011, 9, 1, 12), datetime(2011, 9, 1, 13)], pa.timestamp("us")),
            "quantity": [1, 2], "price": [1.25, 0.5],
        }
    )  # fmt: skip
    deliver(settings, events=plain)
    expected = sorted(staged(settings, "events"), key=lambda row: row["user_id"])
    assert [row["ts"].hour for row in expected] == [11, 12]
    assert [row["item_id"] for row in expected] == ["10", "20"]
    deliver(settings, events=shape(plain))
    found = sorted(staged(settings, "events"), key=lambda row: row["user_id"])
    if shape in (in_two_files, as_time_texts):  # one row was moved or reshaped: compare what must not change
        assert [row["event_id"] for row in found] == [row["event_id"] for row in expected]
    assert found == expected


def test_categories_come_as_lists_or_as_text(settings, deliver):
    column = pa.array([["Home", " Light ", ""], None, []], pa.large_list(pa.large_string()))
    deliver(settings, items=pa.table({"item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "category": column}))
    assert [row["category"] for row in staged(settings, "items")] == [["Home", "Light"], None, None]


# --- days


@pytest.mark.parametrize(
    ("day", "naive", "utc"),
    [
        # the clock goes back at 02:00 to 01:00: of the hour that comes twice the first is meant
        (date(2011, 10, 30), datetime(2011, 10, 30, 1, 30), datetime(2011, 10, 30, 0, 30, tzinfo=UTC)),
        (date(2011, 10, 30), datetime(2011, 10, 30, 23, 59), datetime(2011, 10, 30, 23, 59, tzinfo=UTC)),
        (date(2011, 10, 30), datetime(2011, 10, 30, 0, 0), datetime(2011, 10, 29, 23, 0, tzinfo=UTC)),
        # the clock goes forward at 01:00 to 02:00: a time that it skips is the moment of the skip
        (date(2011, 3, 27), datetime(2011, 3, 27, 1, 30), datetime(2011, 3, 27, 1, 0, tzinfo=UTC)),
        (date(2011, 3, 27), datetime(2011, 3, 27, 23, 59), datetime(2011, 3, 27, 22, 59, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_naive_times_are_the_shops_where_the_clock_changes(settings, deliver, an_event, day, naive, utc, as_text):
    settings = load_settings(home=settings.places.home, timezone="Europe/London")
    deliver(settings, day, events=[{**an_event(), "ts": naive.isoformat() if as_text else naive}])
    assert [row["ts"] for row in staged(settings, "events", day)] == [utc]


@pytest.mark.parametrize(
    ("zone", "day", "last_instant"),
    [
        ("Europe/London", date(2011, 10, 30), datetime(2011, 10, 30, 23, 59, 59, 999999, tzinfo=UTC)),  # 25 hours
        ("Europe/London", date(2011, 3, 27), datetime(2011, 3, 27, 22, 59, 59, 999999, tzinfo=UTC)),  # 23 hours
        (
            "America/Sao_Paulo",
            date(2018, 11, 3),
            datetime(2018, 11, 4, 2, 59, 59, 999999, tzinfo=UTC),
        ),  # next midnight is skipped
    ],
)
def test_a_day_ends_where_the_next_one_begins(lenient, deliver, an_event, zone, day, last_instant):
    settings = lenient(timezone=zone)
    moments = [last_instant, last_instant + timedelta(microseconds=1)]
    deliver(settings, day, events=[{**an_event(), "ts": moment} for moment in moments])
    assert [row["ts"] for row in staged(settings, "events", day)] == [last_instant]
    assert [row["reason"] for row in staged(settings, "quarantine", day)] == ["after the end of the day"]


def test_late_events_are_taken_in_up_to_the_limit(lenient, deliver, an_event):
    first = datetime(2011, 8, 29)
    deliver(lenient(), events=[{**an_event(), "ts": first}, {**an_event(), "ts": first - timedelta(microseconds=1)}])
    assert [row["ts"] for row in staged(lenient(), "events")] == [first.replace(tzinfo=UTC)]
    assert [(row["reason"], row["column"]) for row in staged(lenient(), "quarantine")] == [("more than 3 days late", "ts")]


# --- what is not


GOOD = {"quantity": "1", "price": "1.0", "rating": "3", "text": "fine"}


@pytest.mark.parametrize(
    ("change", "reason", "column"),
    [
        ({"item_id": None}, "no item id", "item_id"),
        ({"item_id": "  "}, "no item id", "item_id"),
        ({"event_type": "teleport"}, "unknown event type", "event_type"),
        ({"event_type": None}, "unknown event type", "event_type"),
        ({"ts": "2011-02-31 10:00"}, "value cannot be read", "ts"),
        ({"ts": "0001-01-01T00:00:00+14:00"}, "value cannot be read", "ts"),
        ({"ts": None}, "no time", "ts"),
        ({"ts": "2011-09-02 00:00"}, "after the end of the day", "ts"),
        ({"ts": "2011-08-28 23:59"}, "more than 3 days late", "ts"),
        ({"quantity": "two"}, "value cannot be read", "quantity"),
        ({"quantity": "1.5"}, "value cannot be read", "quantity"),
        ({"quantity": "0"}, "quantity is not positive", "quantity"),
        ({"quantity": "-1"}, "quantity is not positive", "quantity"),
        ({"event_type": "return", "quantity": "0"}, "quantity is not positive", "quantity"),
        ({"price": "1,50"}, "value cannot be read", "price"),
        ({"price": "1e999"}, "value cannot be read", "price"),
        ({"price": "-0.01"}, "negative price", "price"),
        ({"rating": "0"}, "rating out of range", "rating"),
        ({"rating": "5.1"}, "rating out of range", "rating"),
        ({"text": "x" * 101}, "longer than 100 characters", "text"),
        ({"user_id": "x" * 101}, "longer than 100 characters", "user_id"),
    ],
)  # fmt: skip
def test_each_bad_event_has_its_reason(lenient, deliver, an_event, change, reason, column):
    settings = lenient(max_text_length=100)
    good = {**an_event(), "ts": "2011-09-01 12:00", **GOOD}
    deliver(settings, events=[good, {**good, **change}])
    assert len(staged(settings, "events")) == 1
    (row,) = staged(settings, "quarantine")
    assert (row["source_table"], row["source_file"], row["row_number"]) == ("events", "part-0.parquet", 1)
    assert (row["reason"], row["column"], row["set_aside"]) == (reason, column, False)


@pytest.mark.parametrize(
    ("table", "rows", "reason", "column"),
    [
        ("items", [{"item_id": None, "title": "T"}], "no item id", "item_id"),
        ("items", [{"item_id": "a", "title": " "}], "no title", "title"),
        ("items", [{"item_id": "a", "title": None}], "no title", "title"),
        ("items", [{"item_id": "a", "title": "T", "price": -1}], "negative price", "price"),
        ("items", [{"item_id": "a", "title": "x" * 10_001}], "longer than 10000 characters", "title"),
        ("items", [{"item_id": "a", "title": "T", "available": "perhaps"}], "value cannot be read", "available"),
        ("users", [{"user_id": None}], "no user id", "user_id"),
        ("users", [{"user_id": "a", "registered_at": datetime(2011, 9, 2)}], "after the end of the day", "registered_at"),
        ("users", [{"user_id": "a", "registered_at": "soon"}], "value cannot be read", "registered_at"),
        ("users", [{"user_id": "a", "note": "x" * 10_001}], "longer than 10000 characters", None),
    ],
)
def test_each_bad_item_and_user_has_its_reason(lenient, deliver, table, rows, reason, column):
    deliver(lenient(), **{table: rows})
    assert staged(lenient(), table) == []
    assert [(r["source_table"], r["reason"], r["column"]) for r in staged(lenient(), "quarantine")] == [(table, reason, column)]


def test_the_column_is_named_as_it_was_delivered(lenient, deliver, an_event):
    settings = lenient(event_columns={"unit_price": "price"})
    deliver(settings, events=[an_event(unit_price=-1.0)])
    assert [row["column"] for row in staged(settings, "quarantine")] == ["unit_price"]


def test_moments_beyond_all_calendars_cannot_be_read(lenient, deliver):
    moments = pa.array([2**62, -(2**62), 0], pa.timestamp("ms"))
    deliver(lenient(), events=pa.table({"user_id": ["a"] * 3, "item_id": ["i"] * 3, "event_type": ["view"] * 3, "ts": moments}))
    assert [row["reason"] for row in staged(lenient(), "quarantine")] == [
        "value cannot be read", "value cannot be read", "more than 3 days late",
    ]  # fmt: skip


def test_missing_numbers_are_null_and_not_bad(settings, deliver, an_event):
    prices = pa.array([np.nan], pa.float64(), from_pandas=False)
    table = pa.Table.from_pylist([an_event(quantity=None)]).append_column("price", prices)
    deliver(settings, events=table)
    assert [(row["price"], row["quantity"]) for row in staged(settings, "events")] == [(None, None)]


def test_items_have_to_be_known_where_the_shop_asks_for_that(lenient, deliver, an_event):
    settings = lenient(items_must_be_known=True, first_day=DAY)
    deliver(
        settings,
        events=[an_event(item="new"), an_event(item="strange"), an_event(item=None, kind="search", query="q")],
        items=[{"item_id": "new", "title": "Delivered with its first sale"}],
    )
    assert [row["item_id"] for row in staged(settings, "events")] == ["new", None]
    assert [(row["reason"], row["column"]) for row in staged(settings, "quarantine")] == [
        ("item is not in the catalogue", "item_id")
    ]


def test_what_is_kept_of_a_quarantined_row_names_nobody(lenient, deliver, an_event):
    settings = lenient(event_columns={"visitor": "user_id", "typed": "query"}, user_columns={"customer": "user_id"})
    row = {**an_event(item=None, price=2.5), "text": "call me, Ann", "typed": "ann", "email": "ann@example.com"}
    row["visitor"] = row.pop("user_id")
    deliver(
        settings,
        events=[row],
        users=[{"customer": "ann", "registered_at": "soon", "email": "ann@example.com", "country": "UK", "person_id": "ann"}],
    )
    kept = {entry["source_table"]: entry for entry in staged(settings, "quarantine")}
    assert json.loads(kept["events"]["payload"]) == {
        "event_type": "purchase", "item_id": None, "price": 2.5, "ts": "2011-09-01 12:00:00",
    }  # fmt: skip
    assert json.loads(kept["users"]["payload"]) == {"country": "UK", "registered_at": "soon"}
    assert all(len(entry["row_hash"]) == 64 for entry in kept.values())


def test_the_hash_tells_whole_rows_apart(lenient, deliver, an_event):
    deliver(lenient(), events=[an_event(item=None, user="a"), an_event(item=None, user="b"), an_event(item=None, user="b")])
    hashes = [row["row_hash"] for row in staged(lenient(), "quarantine")]
    assert hashes[0] != hashes[1] == hashes[2]
