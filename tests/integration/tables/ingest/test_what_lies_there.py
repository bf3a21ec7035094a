"""Nothing in a day's folder, or beside it, is passed over without a word: it is read, it is hidden, or it refuses the day by name."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadDelivery
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.landed.delivery import find_delivery, require_delivery
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)


def folder(settings: Settings, table: str = "events", day: str = "day=2011-09-01") -> Path:
    return settings.places.landing_root / table / day


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def refusal(settings: Settings) -> str:
    with pytest.raises(BadDelivery) as caught:
        stage_day(settings, DAY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(settings: Settings) -> list[str]:
    return [file.name.removeprefix("events/day=2011-09-01/") for file in require_delivery(settings, DAY).files["events"]]


@pytest.mark.parametrize(
    "name",
    [
        "part-0.PARQUET",
        "part-0.parq",
        "part.pq",
        "data_0_0_0.snappy",
        "000000_0",
        "part-00000-1a2b.c000",
        "x.snappy.parquet",
        "0.gz",
    ],
)
def test_parquet_is_read_by_the_names_that_engines_give_it(settings, deliver, an_event, name):
    deliver(settings)
    write(folder(settings) / name, [an_event()])
    assert read(settings) == [name]


def test_folders_by_hour_are_part_of_the_day_and_their_names_no_columns(settings, deliver, an_event, rows_of):
    deliver(settings)
    for hour in range(24):
        write(folder(settings) / f"hour={hour:02}" / "part-0.parquet", [an_event(user=str(hour), hour=hour)])
    write(folder(settings) / "hour=23" / "_minute=00" / "part-0.parquet", [an_event(user="last", hour=23)])
    write(folder(settings, "users") / "source=web" / "part-0.parquet", [{"user_id": "u1", "country": "FR"}])
    assert ingest_day(settings, DAY)["events"] == 25
    assert [(row["user_id"], row["attributes"]) for row in rows_of(settings, "users")] == [("u1", None)]


def test_quarantined_rows_of_two_folders_are_told_apart(settings, deliver, an_event, rows_of):
    settings = load_settings(home=settings.places.home, max_bad_share=1.0)
    deliver(settings)
    for hour in ("01", "02"):
        write(folder(settings) / f"hour={hour}" / "part-0.parquet", [an_event(item=None)])
    assert ingest_day(settings, DAY)["quarantine"] == 2
    assert [row["source_file"] for row in rows_of(settings, "quarantine")] == [
        "hour=01/part-0.parquet", "hour=02/part-0.parquet",
    ]  # fmt: skip


def test_what_is_hidden_is_left_alone(settings, deliver, an_event):
    deliver(settings, events=[an_event()])
    for name in (".part-1.parquet.crc", "_part-1.parquet", "_temporary/0/part-1.parquet", ".tmp/x.csv", "hour=01/_SUCCESS"):
        path = folder(settings) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert read(settings) == ["part-0.parquet"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("part-0.csv", b"user_id\n1\n", "does not end with .parquet"),
        ("part-0.json.gz", b"\x1f\x8b\x08" + bytes(20), "is no parquet file"),
        ("000000_0", b"\x01\x02 text of Hive, row by row", "is no parquet file"),
        ("000000_0", b"PAR1 and then it breaks off", "is cut off"),
        ("part-1", b"", "has no bytes"),
        ("hour=07/part-0.orc", b"ORC", "does not end with .parquet"),
        ("part-0.parquet.bak", b"PAR1" + bytes(20) + b"PAR1", "does not end with .parquet"),
        ("part-0.parquet._COPYING_", b"PAR1" + bytes(20), "does not end with .parquet"),
    ],
)
def test_what_is_neither_read_nor_hidden_refuses_the_day_by_name(settings, deliver, an_event, name, content, why):
    deliver(settings, events=[an_event()])
    path = folder(settings) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    said = refusal(settings)
    assert said.startswith(
        f"The delivery of 2011-09-01 holds what is not read: events/day=2011-09-01/{name} ({why}). Nothing was published. "
    )
    assert "RECPIPE_LANDING_FILES" in said
    assert "RECPIPE_LANDING_LAYOUT" in said
    assert "begins with an underscore" in said
    assert [(r.table, r.status) for r in Lake.from_settings(settings).days()] == [
        ("events", "open"), ("items", "open"), ("users", "open"),
    ]  # fmt: skip


def test_what_is_no_file_refuses_the_day_and_is_not_opened(settings, deliver, an_event):
    deliver(settings, events=[an_event()])
    here = folder(settings)
    (here / "gone.parquet").symlink_to("nowhere")
    (here / "hour=03").mkdir()
    (here / "round").symlink_to(here)
    os.mkfifo(here / "pipe.parquet")
    said = refusal(settings)
    for name, why in (
        ("gone.parquet", "leads nowhere"),
        ("hour=03", "holds nothing"),
        ("pipe.parquet", "is no file"),
        ("round", "leads back"),
    ):
        assert f"events/day=2011-09-01/{name} ({why})" in said


def test_a_link_to_a_folder_elsewhere_is_read(settings, deliver, an_event, tmp_path):
    deliver(settings)
    write(tmp_path / "elsewhere" / "part-0.parquet", [an_event()])
    (folder(settings) / "more").symlink_to(tmp_path / "elsewhere")
    assert read(settings) == ["more/part-0.parquet"]


def test_names_are_cut_and_free_of_control_signs(settings, deliver):
    deliver(settings)
    (folder(settings) / "evil\x1b[31m\nname.csv").write_text("x")
    (folder(settings) / f"{'long' * 60}.csv").write_text("x")
    os.close(os.open(os.fsencode(folder(settings)) + b"/not-utf8-\xff.parquet", os.O_CREAT))
    for number in range(20):
        (folder(settings) / f"z{number:02}.csv").write_text("x")
    said = refusal(settings)
    assert said.isprintable()
    assert r"evil\x1b[31m name.csv'" in said
    assert "and 18 more" in said
    assert len(said) < 1200
    assert "has a name that is not UTF-8" in said


def test_under_a_key_no_name_is_shown(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, user_key="ab" * 32)
    deliver(settings, events=[an_event()])
    (folder(settings) / "jane.doe@example.org.csv").write_text("x")
    said = refusal(settings)
    assert "jane" not in said
    assert "events/day=2011-09-01/entry 1 of 2 (does not end with .parquet)" in said


def test_a_published_day_stays_when_something_strange_comes(settings, deliver, an_event, rows_of):
    deliver(settings, events=[an_event()])
    ingest_day(settings, DAY)
    register = Lake.from_settings(settings).days()
    (folder(settings) / "more.csv").write_text("x")
    refusal(settings)
    assert len(rows_of(settings, "events")) == 1
    assert Lake.from_settings(settings).days() == register


def test_the_shop_says_what_else_is_parquet_and_what_is_no_delivery(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, landing_files=["*.dat"], landing_passed_over=["*.crc", "notes/*"])
    deliver(settings)
    write(folder(settings) / "clicks.dat", [an_event()])
    (folder(settings) / "clicks.dat.crc").write_text("x")
    (folder(settings) / "notes").mkdir()
    (folder(settings) / "notes" / "read me.txt").write_text("x")
    assert read(settings) == ["clicks.dat"]


# --- beside the day's folder


@pytest.mark.parametrize(
    "beside",
    ["day=2011-9-1", "DAY=2011-09-01", "dt=2011-09-01", "2011-09-01", "20110901", "day=2011-09-01 00%3A00%3A00", "year=2011/month=09/day=01",
     "2011/9/1"],
)  # fmt: skip
@pytest.mark.parametrize("empty", [True, False])
def test_a_day_in_another_spelling_refuses_the_day(settings, deliver, an_event, beside, empty):
    deliver(settings, events=None if empty else [an_event()])
    write(folder(settings, day=beside) / "part-0.parquet", [an_event(user="u2")])
    said = refusal(settings)
    assert f"events/{beside}" in said
    assert "may hold rows of events that nothing reads" in said
    assert ("events/day=2011-09-01 holds no file" in said) == empty
    assert "RECPIPE_LANDING_LAYOUT" in said


@pytest.mark.parametrize("name", ["part-0.parquet", "clicks-2011-09-01.csv", "events_20110901.PARQUET"])
def test_files_without_a_folder_refuse_an_empty_day(settings, deliver, an_event, name):
    deliver(settings)
    write(settings.places.landing_root / "events" / name, [an_event()])
    assert f"events/{name} may hold rows of events" in refusal(settings)


def test_other_days_and_what_is_hidden_beside_a_day_do_not_matter(settings, deliver, an_event):
    deliver(settings)
    for other in ("day=2011-09-02", "day=2011-09-11", "day=2011-09-10", "_dt=2011-09-01", "dt=2011-08-01", "notes"):
        write(folder(settings, day=other) / "part-0.parquet", [an_event()])
    (settings.places.landing_root / "events" / "README.txt").write_text("x")
    folder(settings, day="dt=2011-09-01").mkdir()
    assert ingest_day(settings, DAY)["events"] == 0


def test_nothing_but_the_mark_still_says_that_nothing_happened(settings, deliver):
    deliver(settings)
    assert ingest_day(settings, DAY) == {"items": 0, "users": 0, "quarantine": 0, "events": 0}
    assert Lake.from_settings(settings).require("events", DAY).status == "empty"


# --- layouts


@pytest.mark.parametrize(
    ("layout", "tables", "folders"),
    [
        ("{table}/dt={day}", {}, ["items/dt=2011-09-01", "users/dt=2011-09-01", "events/dt=2011-09-01"]),
        ("{table}/year={year}/month={month}/day={day:02}", {}, ["items/year=2011/month=9/day=01"]),
        ("{table}/{year}/{month:02}/{day:02}", {}, ["items/2011/09/01"]),
        ("{day}/{table}", {}, ["2011-09-01/items"]),
        ("{day:%Y%m%d}/{table}", {"events": "shop/clicks"}, ["20110901/items", "20110901/users", "20110901/shop/clicks"]),
        ("{table}/day={day}", {"items": "catalogue/full_{day}"}, ["catalogue/full_2011-09-01", "users/day=2011-09-01"]),
    ],
)
def test_a_day_is_read_in_the_layout_of_the_shop(settings, an_event, layout, tables, folders):
    settings = load_settings(home=settings.places.home, landing_layout=layout, landing_tables=tables)
    delivery = find_delivery(settings, DAY)
    assert list(delivery.folders.values())[: len(folders)] == folders
    assert folders[0] in delivery.message
    for table, rows in (("items", [{"item_id": "i1", "title": "One"}]), ("users", [{"user_id": "u1"}]), ("events", [an_event()])):
        where = settings.places.landing_root / delivery.folders[table]
        write(where / "hour=00" / "part-0.parquet", rows)
        (where / "_SUCCESS").touch()
    assert ingest_day(settings, DAY) == {"items": 1, "users": 1, "quarantine": 0, "events": 1}


def test_a_day_in_the_layout_that_the_settings_do_not_name_is_pointed_at(settings, an_event):
    settings = load_settings(home=settings.places.home, landing_layout="{day}/{table}")
    for table in ("items", "users", "events"):
        (settings.places.landing_root / "2011-09-01" / table).mkdir(parents=True)
        (settings.places.landing_root / "2011-09-01" / table / "_SUCCESS").touch()
    write(settings.places.landing_root / "day=2011-09-01" / "events" / "part-0.parquet", [an_event()])
    assert "day=2011-09-01 may hold rows" in refusal(settings)


# --- tables that a day may come without


def test_a_day_may_come_without_the_tables_that_the_settings_name(settings, an_event):
    settings = load_settings(home=settings.places.home, optional_tables=["items", "users"])
    write(folder(settings) / "part-0.parquet", [an_event()])
    assert find_delivery(settings, DAY).missing == ("events",)
    (folder(settings) / "_SUCCESS").touch()
    assert ingest_day(settings, DAY) == {"items": 0, "users": 0, "quarantine": 0, "events": 1}
    assert Lake.from_settings(settings).require("items", DAY).status == "empty"


def test_files_without_their_mark_are_waited_for_even_of_an_optional_table(settings, an_event):
    settings = load_settings(home=settings.places.home, optional_tables=["items", "users"])
    write(folder(settings) / "part-0.parquet", [an_event()])
    (folder(settings) / "_SUCCESS").touch()
    write(folder(settings, "items") / "part-0.parquet", [{"item_id": "i1", "title": "One"}])
    assert find_delivery(settings, DAY).missing == ("items",)
