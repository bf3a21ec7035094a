"""What makes two rows the same, and which of two states of a key counts."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadDelivery, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.tables.ingest import repeated
from recpipe.tables.ingest.duplicates import count_duplicates
from recpipe.tables.ingest.rows.row_checks import COPY, REPLACED
from recpipe.tables.ingest.stage import stage_day
from recpipe.tables.ingest.staged import FACTS

DAY = date(2011, 9, 1)


def stage(settings):
    return Path(stage_day(settings, DAY))


def rows(folder, table):
    return [row for file in sorted((folder / table).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def facts(folder, table="events"):
    return json.loads((folder / FACTS).read_text())["days"][str(DAY)][table]


@pytest.mark.parametrize("column", ["session_id", "order_id", "quantity", "price", "platform", "line_no", "note"])
def test_rows_that_differ_in_any_delivered_column_are_no_copies(settings, deliver, an_event, column):
    deliver(
        settings, events=[an_event(**{column: value}) for value in ([1, 2] if column in ("quantity", "price") else ["a", "b"])]
    )
    folder = stage(settings)
    assert len({row["event_id"] for row in rows(folder, "events")}) == 2
    assert rows(folder, "quarantine") == []


def test_equal_copies_are_set_aside_and_do_no_harm(settings, deliver, an_event):
    events = [an_event(user=f"u{n}", hour=n % 24, line=n) for n in range(40)]
    deliver(settings, events=[pa.Table.from_pylist(events), pa.Table.from_pylist(events).select([5 - 1, 3, 2, 1, 0])])
    folder = stage(settings)
    assert len(rows(folder, "events")) == 40
    assert {(row["reason"], row["set_aside"]) for row in rows(folder, "quarantine")} == {(COPY, True)}
    found = facts(folder)
    assert (found["rows"], found["bad_rows"], found["set_aside_rows"], found["copied_rows"]) == (40, 0, 40, 40)
    assert found["copied_share"] == 0.5


def test_a_column_that_is_missing_is_like_one_that_is_empty(settings, deliver, an_event):
    plain = pa.Table.from_pylist([an_event()])
    deliver(settings, events=[plain, plain.append_column("note", pa.nulls(1, pa.string()))])
    assert len(rows(stage(settings), "events")) == 1


def test_values_do_not_run_into_one_another(settings, deliver, an_event):
    pairs = [("a\x1fb=", None), ("a", "b="), ("a\x1e1b", None), ("a\x1e0", "1b"), (None, "a"), ("a", None)]
    deliver(settings, events=[an_event(left=left, right=right) for left, right in pairs])
    assert len(rows(stage(settings), "events")) == len(pairs)


def test_events_of_one_id_that_differ_are_bad_and_the_later_counts(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, max_bad_share=1.0)
    deliver(settings, events=[an_event(hour=13, event_id="e", price=1.0), an_event(hour=12, event_id="e", price=2.0)])
    folder = stage(settings)
    assert [row["price"] for row in rows(folder, "events")] == [1.0]
    assert [(row["reason"], row["set_aside"], row["row_number"]) for row in rows(folder, "quarantine")] == [(REPLACED, False, 1)]
    assert facts(folder)["bad_rows"] == 1


@pytest.mark.parametrize("ids", [{"event_id": "e"}, {}])
def test_the_refusal_names_the_setting_that_loses_nothing(settings, deliver, an_event, ids):
    settings = load_settings(home=settings.places.home, event_id_from=[] if ids else ["order_id"])
    deliver(settings, events=[an_event(order_id="o", line=n, **ids) for n in range(4)])
    with pytest.raises(BadDelivery) as caught:
        stage(settings)
    assert "RECPIPE_EVENT_ID_FROM" in str(caught.value)
    assert "RECPIPE_MAX_BAD_SHARE" not in str(caught.value)
    helped = load_settings(home=settings.places.home, event_id_from=[*(ids or ["order_id"]), "line"])
    assert len(rows(stage(helped), "events")) == 4


FEED = [("a", 10.0, True), ("b", 9.0, False), ("a", 9.0, True), ("b", 9.0, True), ("a", 10.0, True)]


@pytest.mark.parametrize("files", [1, 5])
def test_of_two_states_of_an_item_the_later_delivered_counts(settings, deliver, files):
    feed = [{"item_id": item, "title": "T", "price": price, "available": there} for item, price, there in FEED]
    tables = [pa.Table.from_pylist(feed)] if files == 1 else [pa.Table.from_pylist([row]) for row in feed]
    deliver(settings, items=tables)
    folder = stage(settings)
    kept = {row["item_id"]: (row["price"], row["available"]) for row in rows(folder, "items")}
    assert kept == {"a": (10.0, True), "b": (9.0, True)}
    assert sorted((row["reason"], row["set_aside"]) for row in rows(folder, "quarantine")) == [
        (COPY, True),
        *[(REPLACED, True)] * 2,
    ]
    assert (facts(folder, "items")["bad_rows"], facts(folder, "items")["set_aside_rows"]) == (0, 3)


T = datetime(2011, 9, 1, 9)


@pytest.mark.parametrize(
    "versions",
    [
        [3, 10, 2], [3.5, 10.25, -1.0], ["3", "10", "2"], [T, T + timedelta(hours=5), T - timedelta(days=1)],
        ["2011-09-01 09:00:00", "2011-09-01T14:00:00Z", "2011-08-31"], [2**62, 2**62 + 1, None], [None, 7, None],
        ["20110901090000000002", "20110901090000000003", "20110901090000000001"], [np.uint64(2**64 - 2), np.uint64(2**64 - 1), None],
    ],
)  # fmt: skip
def test_a_version_column_says_which_state_is_the_later(settings, deliver, versions):
    settings = load_settings(home=settings.places.home, item_version_column="changed", user_version_column="meta.seq")
    deliver(
        settings,
        items=[{"item_id": "a", "title": f"T{n}", "changed": version} for n, version in enumerate(versions)],
        users=[{"user_id": "u", "country": f"C{n}", "meta": {"seq": version}} for n, version in enumerate(versions)],
    )
    folder = stage(settings)
    assert [row["title"] for row in rows(folder, "items")] == ["T1"]
    assert [row["country"] for row in rows(folder, "users")] == ["C1"]


def test_a_version_column_without_an_order_is_named(settings, deliver):
    settings = load_settings(home=settings.places.home, item_version_column="changed")
    deliver(settings, items=[{"item_id": "a", "title": f"T{n}", "changed": f"01ARZ3NDEKTSV4RRFFQ69G5FA{n}"} for n in range(2)])
    with pytest.raises(
        BadDelivery, match=r"Column changed of items, which RECPIPE_ITEM_VERSION_COLUMN says .*2 values that are neither"
    ):
        stage(settings)


def test_a_version_column_that_is_missing_is_named(settings, deliver):
    settings = load_settings(home=settings.places.home, item_version_column="changed")
    deliver(settings, items=[{"item_id": "a", "title": "T", "Changed": 1}])
    with pytest.raises(BadDelivery, match=r"no column changed, which RECPIPE_ITEM_VERSION_COLUMN names .*near to it: 'Changed'"):
        stage(settings)


def test_the_greatest_share_of_one_user_is_counted(settings, deliver, an_event):
    events = [an_event(user="bot" if n < 600 else None if n < 800 else f"u{n}", line=n) for n in range(1000)]
    deliver(settings, events=events)
    assert facts(stage(settings))["largest_user_share"] == 0.6
    deliver(settings, events=events[:999])
    assert facts(stage(settings))["largest_user_share"] == 0.0


@pytest.mark.parametrize("error", [BadDelivery("no"), pa.ArrowInvalid("no")])
def test_a_day_whose_repeated_rows_cannot_be_found_is_marked_open(settings, deliver, an_event, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("recpipe.tables.ingest.repeated.write_fates", fail)
    deliver(settings, events=[an_event(), an_event()])
    with pytest.raises(RecpipeError, match="no"):
        stage(settings)
    [record] = Lake.from_settings(settings).days("events")
    assert (record.day, record.complete) == (DAY, False)


def test_files_that_come_between_the_two_looks_refuse_the_day(settings, deliver, an_event, monkeypatch):
    def write(*args):
        pq.write_table(pa.Table.from_pylist([an_event(user="late")]), folder / "a-new.parquet")
        return counted(*args)

    counted = count_duplicates
    deliver(settings, events=[an_event(), an_event()])
    folder = settings.places.landing_root / "events" / f"day={DAY}"
    monkeypatch.setattr(repeated, "count_duplicates", write)
    with pytest.raises(BadDelivery, match=f"files of events of {DAY} changed while they were taken in"):
        stage(settings)


def test_events_that_a_nanosecond_parts_are_no_copies(settings, deliver, an_event):
    noon = 1_314_878_400_000_000_000
    plain = pa.Table.from_pylist([an_event()] * 3).drop_columns("ts")
    fine = plain.append_column("ts", pa.array([noon + 1, noon + 2, noon], pa.timestamp("ns")))
    coarse = plain.slice(0, 1).append_column("ts", pa.array([noon // 1000], pa.timestamp("us")))
    deliver(settings, events=[fine, coarse])
    folder = stage(settings)
    assert len({row["event_id"] for row in rows(folder, "events")}) == 3
    assert [(row["reason"], row["row_number"]) for row in rows(folder, "quarantine")] == [(COPY, 2)]
