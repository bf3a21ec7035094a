"""Columns of every type that a file may have: what is needed is read or refused, and nothing else decides the fate of a row."""

import json
import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadDelivery
from recpipe.tables.ingest.rows.file_reading import open_file, read_batches
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)
NOON = datetime(2011, 9, 1, 12)


@pytest.fixture
def lenient(settings):
    return lambda **more: load_settings(home=settings.places.home, max_bad_share=1.0, **more)


def stage(settings):
    folder = Path(stage_day(settings, DAY))
    return lambda table: [row for file in sorted((folder / table).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def events(count=2, **columns):
    plain = {"user_id": ["u"] * count, "item_id": ["i"] * count, "event_type": ["view"] * count, "ts": [NOON] * count}
    return pa.table({**plain, "n": list(range(count)), **columns})


TEXT = pa.string()


def foreign(*values, kind=TEXT):
    """Text with the bytes that are given, whether or not they are UTF-8."""
    raw = pa.array(values, pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
    return pa.Array.from_buffers(kind, len(raw), raw.buffers(), raw.null_count)


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store_schema", [False, True])
@pytest.mark.parametrize(("meant", "hour"), [("utc", 12), ("local", 4)])
def test_int96_is_an_instant_unless_the_shop_says_otherwise(lenient, deliver, part, store_schema, meant, hour):
    settings = lenient(timezone="Asia/Shanghai", int96_times=meant, event_columns={"at.when": "ts", "ts": "platform"})
    table = events().drop_columns("ts").append_column("at", pa.array([{"x": 1, "when": NOON}] * 2))
    deliver(settings, events=table)
    pq.write_table(table, part(settings, "events"), use_deprecated_int96_timestamps=True, store_schema=store_schema)
    assert [row["ts"] for row in stage(settings)("events")] == [datetime(2011, 9, 1, hour, tzinfo=UTC)] * 2


def test_int96_of_far_years_does_not_wrap(lenient, deliver, part):
    far = pa.array([datetime(9999, 12, 31), datetime(1, 1, 1), NOON], pa.timestamp("us"))
    table = events(3).set_column(3, "ts", far)
    deliver(lenient(), events=table)
    pq.write_table(table, part(lenient(), "events"), use_deprecated_int96_timestamps=True)
    assert [row["ts"] for row in stage(lenient())("events")] == [NOON.replace(tzinfo=UTC)]


# --- which column is which -------------------------------------------------------------------------------------------


def test_a_column_that_nobody_needs_may_stand_twice(lenient, deliver):
    twice = events(3, event_type=["view", "view", "?"], user_id=["u"] * 3).append_column("n", pa.array([7, 8, 9]))
    accounts = pa.table([["u", "v"], ["a", "b"], ["c", "d"]], names=["user_id", "x", "x"])
    deliver(lenient(), events=twice, users=accounts)
    found = stage(lenient())
    assert (len(found("events")), len(found("quarantine"))) == (2, 1)
    assert [row["attributes"] for row in found("users")] == [[("x", "a"), ("x (2)", "c")], [("x", "b"), ("x (2)", "d")]]


def test_a_needed_column_that_stands_twice_is_refused(lenient, deliver):
    deliver(lenient(), events=events().append_column("item_id", pa.array(["j", "j"])))
    with pytest.raises(BadDelivery, match=r"has 2 columns named item_id, and events need one\. Leave the others out"):
        stage_day(lenient(), DAY)


def test_fields_of_structs_are_columns_by_their_path(lenient, deliver):
    settings = lenient(event_columns={"user.id": "user_id", "a.b.c": "item_id"}, event_id_from=["user.id", "n"])
    user = pa.array([{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}, None])
    deep = pa.array([{"b": {"c": "i1"}}, {"b": None}, {"b": {"c": "i3"}}])
    deliver(settings, events=events(3).drop_columns(["user_id", "item_id"]).append_column("user", user).append_column("a", deep))
    found = stage(settings)
    assert [(row["user_id"], row["item_id"]) for row in found("events")] == [("1", "i1"), (None, "i3")]
    (row,) = found("quarantine")
    assert (row["reason"], row["column"]) == ("no item id", "a.b.c")
    assert json.loads(row["payload"]) == {"a.b.c": None, "event_type": "view", "n": 1, "ts": "2011-09-01 12:00:00"}


def test_a_column_that_has_the_name_of_a_path_wins(lenient, deliver):
    settings = lenient(event_columns={"user.id": "user_id"})
    table = (
        events()
        .drop_columns("user_id")
        .append_column("user", pa.array([{"id": "inner"}] * 2))
        .append_column("user.id", pa.array(["outer"] * 2))
    )
    deliver(settings, events=table)
    assert {row["user_id"] for row in stage(settings)("events")} == {"outer"}


def test_the_other_fields_of_a_struct_are_attributes(lenient, deliver):
    settings = lenient(user_columns={"who.id": "user_id"})
    deliver(settings, users=[{"who": {"id": 5, "age": 30, "of": {"town": "Ulm"}}}])
    assert [(row["user_id"], row["attributes"]) for row in stage(settings)("users")] == [
        ("5", [("who.age", "30"), ("who.of.town", "Ulm")])
    ]


@pytest.mark.parametrize("near", ["Item_ID", " item_id ", "ItemId", "ITEM ID"])
def test_names_count_as_they_are_and_near_ones_are_shown(lenient, deliver, near):
    deliver(lenient(), events=events().rename_columns(["user_id", near, "event_type", "ts", "n"]))
    with pytest.raises(BadDelivery) as caught:
        stage_day(lenient(), DAY)
    assert f"near to it: {near!r}" in str(caught.value)


# --- text that is not UTF-8 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("column", ["query", "user_id", "event_type", "session_id"])
def test_one_row_of_other_bytes_is_one_quarantined_row(lenient, deliver, column, kind, coded):
    values = foreign(b"view", b"caf\xe9", *[None] * (not coded), kind=kind)
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int32()), values) if coded else values
    deliver(lenient(), events=events(len(values), **{column: values}))
    found = stage(lenient())
    assert [(row["reason"], row["column"], row["row_number"]) for row in found("quarantine") if row["reason"] != "unknown event type"] == [
        ("text is not UTF-8", column, 1)
    ]  # fmt: skip


def test_bytes_are_text_where_text_is_needed(lenient, deliver):
    deliver(
        lenient(),
        events=events(3, item_id=pa.array([b"i1", b"\xff", None], pa.binary()), query=pa.array([b"q"] * 3, pa.large_binary())),
    )
    found = stage(lenient())
    assert [(row["item_id"], row["query"]) for row in found("events")] == [("i1", "q")]
    assert [row["reason"] for row in found("quarantine")] == ["text is not UTF-8", "no item id"]


def test_other_bytes_in_columns_that_nobody_needs_do_no_harm(lenient, deliver):
    text = foreign(b"a", b"\xe9")
    nested = {
        "note": text,
        "list": pa.ListArray.from_arrays([0, 1, 2], text),
        "struct": pa.StructArray.from_arrays([text], ["f"]),
        "map": pa.MapArray.from_arrays([0, 1, 2], text, text),
        "deep": pa.ListArray.from_arrays(
            [0, 1, 2], pa.StructArray.from_arrays([pa.ListArray.from_arrays([0, 1, 2], text)], ["f"])
        ),
    }
    deliver(lenient(), events=events(2, **nested), users=pa.table({"user_id": ["u", "v"], **nested}),
            items=pa.table({"item_id": ["i", None], "title": ["T", "T"], **nested}))  # fmt: skip
    found = stage(lenient())
    assert (len(found("events")), len(found("users")), len(found("items"))) == (2, 2, 1)
    assert dict(found("users")[1]["attributes"])["list"] == '["\\\\xe9"]'
    (row,) = found("quarantine")
    assert json.loads(row["payload"])["struct"] == {"f": "\\xe9"}


def test_a_broken_entry_of_a_needed_list_is_a_row(lenient, deliver):
    paths = pa.ListArray.from_arrays([0, 2, 3, 3], foreign(b"Home", b"Light", b"\xe9"))
    deliver(lenient(), items=pa.table({"item_id": ["a", "b", "c"], "title": ["T"] * 3, "category": paths}))
    found = stage(lenient())
    assert [(row["item_id"], row["category"]) for row in found("items")] == [("a", ["Home", "Light"]), ("c", None)]
    assert [(row["reason"], row["column"]) for row in found("quarantine")] == [("text is not UTF-8", "category")]


# --- types ----------------------------------------------------------------------------------------------------------

CODED = pa.array(["Home", "Light"]).dictionary_encode()
STRANGE = {
    "string_view": pa.array(["a", None], pa.string_view()), "binary_view": pa.array([b"a", b"\xff"], pa.binary_view()),
    "list_view": pa.array([["a"], None], pa.list_view(pa.string_view())), "large_list": pa.array([["a"], None], pa.large_list(pa.string())),
    "fixed_list": pa.array([["a", "b"], None], pa.list_(pa.string(), 2)), "list_null": pa.array([[None], None], pa.list_(pa.null())),
    "list_coded": pa.ListArray.from_arrays([0, 1, 2], CODED), "null": pa.nulls(2), "half": pa.array([1.5, None], pa.float16()),
    "uuid": pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()), "json": pa.array(['{"a": 1}', None], pa.json_()),
    "duration": pa.array([5, 2**62], pa.duration("ns")), "time": pa.array([5, None], pa.time64("ns")), "fixed": pa.array([b"abc", b"\xff\xfe\xfd"], pa.binary(3)),
    "decimal256": pa.array([Decimal("1.5"), Decimal(10) ** 60], pa.decimal256(70, 2)), "ns": pa.array([1, 2**62], pa.timestamp("ns")),
    "far": pa.array([2**62, -(2**62)], pa.timestamp("ms")), "far_zoned": pa.array([2**62, 0], pa.timestamp("ms", "Mars/Olympus")),
    "map": pa.array([[("k", {"x": 1})], None], pa.map_(pa.string(), pa.struct([("x", pa.int64())]))),
    "twins": pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["a", "a"]), "nan": pa.array([float("nan"), float("inf")]),
    "structs": pa.array([[{"user_id": "u", "when": NOON}], None]), "date": pa.array([date(1, 1, 1), None]), "flag": pa.array([True, None]),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_no_type_of_a_column_that_nobody_needs_decides_the_fate_of_a_row(lenient, deliver, name):
    column = pa.concat_arrays([STRANGE[name]] * 2)[1:]  # a slice, whose parts begin elsewhere
    settings = lenient(event_id_from=["n", name])
    deliver(
        settings,
        events=events(3, event_type=["view", "view", "?"], **{name: column}),
        items=pa.table({"item_id": ["i", "j", None], "title": ["T"] * 3, name: column}),
        users=pa.table({"user_id": ["u", "v", None], name: column}),
    )
    found = stage(settings)
    assert [len(found(table)) for table in ("events", "items", "users", "quarantine")] == [2, 2, 2, 3]
    for row in found("quarantine"):
        json.loads(row["payload"], parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
        assert '"user_id":' not in row["payload"]


@pytest.mark.parametrize(
    "name", ["string_view", "binary_view", "list_view", "large_list", "fixed_list", "list_null", "list_coded", "null"]
)
def test_categories_come_in_any_list(lenient, deliver, name):
    column = STRANGE[name] if name != "binary_view" else pa.array([b"a", None], pa.binary_view())
    deliver(lenient(), items=pa.table({"item_id": ["i", "j"], "title": ["T", "T"], "category": column}))
    found = stage(lenient())("items")
    expected = {"fixed_list": ["a", "b"], "list_coded": ["Home"], "list_null": None, "null": None}.get(name, ["a"])
    assert [row["category"] for row in found] == [expected, ["Light"] if name == "list_coded" else None]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("time", "ts"),
        ("duration", "quantity"),
        ("fixed", "user_id"),
        ("map", "item_id"),
        ("half", "user_id"),
        ("structs", "query"),
        ("date", "price"),
    ],
)
def test_a_needed_column_of_a_type_that_cannot_hold_it_is_refused(lenient, deliver, name, column):
    deliver(lenient(), events=events(2, **{column: STRANGE[name]}))
    with pytest.raises(BadDelivery, match=rf"column {column} has type .*; (deliver it as|ids are text)"):
        stage_day(lenient(), DAY)


def test_ids_of_other_types(lenient, deliver):
    numbers = pa.array([1, None], pa.int64())
    deliver(
        lenient(),
        events=events(
            2, user_id=STRANGE["uuid"], item_id=pa.array(["123.0", "7"]), session_id=numbers, order_id=STRANGE["string_view"]
        ),
    )
    found = stage(lenient())("events")
    assert [(row["user_id"], row["item_id"], row["session_id"], row["order_id"]) for row in found] == [
        ("00000000-0000-0000-0000-000000000007", "123", "1", "a"), (None, "7", None, None),
    ]  # fmt: skip


NUMBERS = {
    "+5": 5, " 5 ": 5, "5.0": 5, "5.": 5, "007": 7, "1e3": None, "५": None, "1_000": None, "9" * 19: None, "+.5": None, "1,5": None,
    "0x5": None, "--5": None, "+": None, "5 000": None, "5-": None, "\u22125": None, "५.0": None,
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_quantity_is_read_or_is_one_bad_row(lenient, deliver, text):
    deliver(lenient(), events=events(2, quantity=["3", text]))
    found = stage(lenient())
    good = [row["quantity"] for row in found("events")]
    assert good == ([3] if NUMBERS[text] is None else [3, NUMBERS[text]])
    assert [row["reason"] for row in found("quarantine")] == ["value cannot be read"] * (2 - len(good))


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("+5", 5.0),
        ("1e3", 1000.0),
        ("+.5", 0.5),
        (" 5. ", 5.0),
        ("1e999", "bad"),
        ("inf", "bad"),
        ("NaN", None),
        ("null", None),
        ("1,5", "bad"),
        ("५", "bad"),
    ],
)
def test_a_price_is_read_or_is_one_bad_row(lenient, deliver, text, price):
    deliver(lenient(), events=events(2, price=["3", text]))
    assert [row["price"] for row in stage(lenient())("events")] == ([3.0] if price == "bad" else [3.0, price])


@pytest.mark.parametrize("text", ["null", "Undefined", "(not set)", "-1", r"\N", "  "])
def test_who_is_nobody_is_anonymous(lenient, deliver, text):
    deliver(lenient(), events=events(1, user_id=[text], session_id=[text], order_id=[text]), users=[{"user_id": text}])
    found = stage(lenient())
    assert [(row["user_id"], row["session_id"], row["order_id"]) for row in found("events")] == [(None, None, None)]
    assert [(row["source_table"], row["reason"]) for row in found("quarantine")] == [("users", "no user id")]


# --- the quarantine -----------------------------------------------------------------------------------------------------


def test_what_is_kept_of_huge_rows_is_bounded_and_json(lenient, deliver):
    settings = lenient(event_id_from=["n", "deep", *[f"c{n}" for n in range(90)]])
    huge = {f"c{n}": ["x\x00\u202e\n" * 5_000] for n in range(90)}
    deliver(settings, events=events(1, item_id=[None], deep=pa.array([[{"a": list(range(50_000))}]]), **huge))
    (row,) = stage(settings)("quarantine")
    assert len(row["payload"]) < 60_000
    assert json.loads(row["payload"])["event_type"] == "view"


# --- damage -----------------------------------------------------------------------------------------------------------


def landed(settings, file):
    from recpipe.tables.ingest.landed.delivery import find_delivery

    (found,) = [one for one in find_delivery(settings, DAY).files["events"] if one.name.endswith(file.name)]
    return found


@pytest.mark.parametrize("checksum", [True, False])
def test_a_flipped_bit_ends_in_a_sentence_or_in_all_rows(lenient, deliver, part, checksum):
    settings, draw = lenient(batch_rows=64), random.Random(7)
    table = events(200, query=[f"q{n}" for n in range(200)], price=[n / 3 for n in range(200)])
    deliver(settings, events=table)
    file = part(settings, "events")
    pq.write_table(table, file, write_page_checksum=checksum, row_group_size=90, compression="none")
    whole, said = file.read_bytes(), []
    for _ in range(150):
        spoilt = bytearray(whole)
        spoilt[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(spoilt)
        one, rows = landed(settings, file), 0
        try:
            with open_file(one, "f") as opened:
                rows = sum(batch.num_rows for batch in read_batches(settings, one, "f", opened))
        except BadDelivery as error:
            said.append(str(error))
            continue
        assert rows == 200
    assert len(said) > 20
    assert all(one.endswith("then run the day again.") for one in said)


def test_a_flipped_bit_in_a_page_is_seen_by_its_checksum(lenient, deliver, part):
    table = events(200, query=["some words" + str(n) for n in range(200)])
    deliver(lenient(), events=table)
    file = part(lenient(), "events")
    pq.write_table(table, file, write_page_checksum=True, compression="none", use_dictionary=False)
    whole = bytearray(file.read_bytes())
    whole[whole.index(b"some words150")] ^= 1
    file.write_bytes(whole)
    with pytest.raises(
        BadDelivery, match=r"part-0.parquet is truncated or damaged in column query, from row 0 on: copy it again"
    ):
        stage_day(lenient(), DAY)


def test_a_file_that_changes_while_it_is_read(lenient, deliver, part):
    settings = lenient(batch_rows=64)
    deliver(settings, events=events(200))
    one = landed(settings, part(settings, "events"))
    with open_file(one, "f") as opened:
        batches = read_batches(settings, one, "f", opened)
        next(batches)
        part(settings, "events").unlink()
        with pytest.raises(BadDelivery, match="f was changed or removed while it was read"):
            list(batches)


def test_fewer_rows_than_the_file_says(lenient, deliver, part):
    table = events(200)
    deliver(lenient(), events=table)
    one = landed(lenient(), part(lenient(), "events"))

    class Short(pq.ParquetFile):
        def iter_batches(self, *args, **kwargs):
            yield from (batch.slice(1) for batch in super().iter_batches(*args, **kwargs))

    with Short(one.open()) as opened, pytest.raises(BadDelivery, match=r"says that it has 200 rows, and 199 came: it is damaged"):
        list(read_batches(lenient(), one, "f", opened))


def test_the_seconds_of_times_stay(lenient, deliver):
    moments = [NOON + timedelta(microseconds=n) for n in range(2)]
    deliver(lenient(), events=events(2, ts=[pc.cast(pa.array(moments), pa.int64())[n].as_py() for n in range(2)]))
    assert [row["ts"].microsecond for row in stage(lenient())("events")] == [0, 1]
