"""Upkeep of a table changes no row that a reader sees, keeps what a run may still read, and can be stopped anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from recpipe.contract import DAYS, ITEMS
from recpipe.errors import MissingDay
from recpipe.lake import retention as kept
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.retention import Swept, clean_log, compact, vacuum

FIRST = date(2011, 9, 1)
KEEP = timedelta(days=35)


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def items(n: int, *titles: str) -> pa.Table:
    rows = [{"day": day(n), "item_id": f"{place}", "title": title, "available": True} for place, title in enumerate(titles)]
    return pa.Table.from_pylist(rows, schema=ITEMS.schema)


def scatter(lake: Lake, n: int) -> None:
    """Lay the rows of a published day into files of one row each, as an import of another engine may leave them."""
    rows = lake.reader().read("items", day(n), day(n))
    one_by_one = [rows.slice(place, 1) for place in range(rows.num_rows)]
    mode, extra = "overwrite", {"predicate": f"day = DATE '{day(n)}'"}
    for row in one_by_one:
        plain = pa.Table.from_arrays(row.columns, names=row.column_names)
        write_deltalake(lake.uri("items"), plain, mode=mode, **extra)
        mode, extra = "append", {}


def files(lake: Lake, table: str = "items") -> list[Path]:
    return sorted(Path(lake.uri(table)).rglob("*.parquet"))


def age(lake: Lake, days: float, table: str = "items") -> None:
    """Make a table as old as if it had been written so many days ago: its log's times, and those of its files."""
    then = time.time() - days * 86_400
    for path in Path(lake.uri(table)).rglob("*"):
        if path.suffix == ".json":
            text = path.read_text()
            for word in ('"timestamp":', '"deletionTimestamp":', '"modificationTime":'):
                parts = text.split(word)
                text = parts[0] + "".join(word + _older(part, days) for part in parts[1:])
            path.write_text(text)
        os.utime(path, (then, then))


def _older(part: str, days: float) -> str:
    digits = part[: len(part) - len(part.lstrip("0123456789"))]
    return str(int(digits) - int(days * 86_400_000)) + part[len(digits) :]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_joined_files_hold_the_same_rows_in_the_same_order(lake: Lake) -> None:
    lake.publish("items", [day(0)], items(0, "a", "b", "c"))
    lake.publish("items", [day(1)], items(1, "x"))
    scatter(lake, 0)
    before, at = lake.reader().read("items"), lake.versions_now(["items"])
    assert compact(lake, "items", dry_run=True) == compact(lake, "items")
    delta = lake.delta("items")
    assert delta.get_add_actions().num_rows == 2
    assert lake.reader().read("items").equals(before)
    assert lake.reader(at).read("items").equals(before)
    assert lake.days("items") == lake.days("items", at[DAYS.name])
    assert compact(lake, "items") == Swept()
    assert lake.delta("items").version() == delta.version()


def test_the_register_is_joined_and_says_the_same(lake: Lake) -> None:
    for n in range(6):
        lake.publish("items", [day(n)], items(n, "a"), inputs=[Input("events", day(0), day(n), n)])
    lake.publish("items", [day(0)], items(0, "b"))
    before, history = lake.days(), lake.history("items", day(0))
    assert compact(lake, DAYS.name).files == 7
    assert vacuum(lake, DAYS.name, timedelta(0)).files == 7
    assert (lake.days(), lake.history("items", day(0))) == (before, history)
    lake.publish("items", [day(6)], items(6, "a"))
    assert len(lake.days()) == len(before) + 1


def test_a_day_that_is_published_while_files_are_joined_wins(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publish falls between the look of the one that joins and its commit: it is run again on the new files."""
    lake.publish("items", [day(0)], items(0, "a", "b"))
    scatter(lake, 0)
    join, joined = kept._join, []

    def late(delta: DeltaTable, where: object) -> None:
        if not joined:
            lake.publish("items", [day(0)], items(0, "new", "newer"))
        joined.append(delta.version())
        join(delta, where)

    monkeypatch.setattr(kept, "_join", late)
    compact(lake, "items")
    assert len(joined) == 2
    assert joined[1] > joined[0]
    assert lake.reader().read("items")["title"].to_pylist() == ["new", "newer"]


def test_publishing_and_joining_at_once_loses_nothing(lake: Lake) -> None:
    for n in range(3):
        lake.publish("items", [day(n)], items(n, "a", "b"))
        scatter(lake, n)
    stop = threading.Event()
    failures: list[BaseException] = []

    def sweep() -> None:
        try:
            while not stop.is_set():
                compact(lake, "items")
                compact(lake, DAYS.name)
                vacuum(lake, "items", KEEP)
        except BaseException as error:
            failures.append(error)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    for round_ in range(8):
        lake.publish("items", [day(round_ % 3)], items(round_ % 3, f"r{round_}", "b"))
        assert lake.reader().read("items").num_rows == 6
    stop.set()
    sweeper.join()
    assert failures == []
    newest = {record.day: record.table_version for record in lake.days("items")}
    assert sorted(lake.reader().read("items")["title"].to_pylist()) == ["b", "b", "b", "r5", "r6", "r7"]
    assert all(version <= lake.delta("items").version() for version in newest.values())


def test_versions_within_the_retention_stay_readable_and_older_ones_go(lake: Lake) -> None:
    lake.publish("items", [day(0)], items(0, "first"))
    lake.publish("items", [day(0)], items(0, "second"))
    replaced_now = lake.delta("items").version()
    age(lake, 60)
    lake.publish("items", [day(0)], items(0, "third"))
    assert vacuum(lake, "items", KEEP, dry_run=True) == (swept := vacuum(lake, "items", KEEP))
    assert swept.files == 1
    assert lake.reader({"items": replaced_now}).read("items")["title"].to_pylist() == ["second"]
    with pytest.raises(MissingDay, match="no longer kept"):
        lake.reader({"items": replaced_now - 1}).read("items")
    assert vacuum(lake, "items", KEEP) == Swept()


def test_what_the_store_keeps_all_the_same_was_not_removed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.publish("items", [day(0)], items(0, "first"))
    lake.publish("items", [day(0)], items(0, "second"))
    age(lake, 60)
    lake.publish("items", [day(0)], items(0, "third"))
    real = kept._vacuum
    monkeypatch.setattr(kept, "_vacuum", lambda *words, dry_run: real(*words, dry_run=True))
    assert vacuum(lake, "items", KEEP) == Swept()
    monkeypatch.undo()
    assert vacuum(lake, "items", KEEP).files == 1


def test_what_a_row_of_the_register_names_within_the_retention_stays(lake: Lake) -> None:
    lake.publish("items", [day(0)], items(0, "read"))
    read = lake.delta("items").version()
    lake.publish("items", [day(0)], items(0, "corrected"))
    age(lake, 60)
    lake.publish("episodes", [day(0)], lake.reader().read("episodes"), inputs=[Input("items", day(0), day(0), read)])
    assert vacuum(lake, "items", KEEP) == Swept()
    assert lake.reader({"items": read}).read("items")["title"].to_pylist() == ["read"]


def test_a_file_of_a_write_under_way_stays_even_where_nothing_is_kept(lake: Lake) -> None:
    lake.publish("items", [day(0)], items(0, "a"))
    lake.publish("items", [day(0)], items(0, "b"))
    under_way = Path(lake.uri("items")) / f"day={day(0)}" / "part-under-way.parquet"
    under_way.write_bytes(files(lake)[0].read_bytes())
    assert vacuum(lake, "items", timedelta(0)).files == 1
    assert under_way.exists()
    old = time.time() - 2 * 86_400
    os.utime(under_way, (old, old))
    swept = vacuum(lake, "items", timedelta(0))
    assert swept.files == 1
    assert swept.bytes > 0
    assert not under_way.exists()
    assert lake.reader().read("items")["title"].to_pylist() == ["b"]


def test_a_plan_older_than_the_retention_is_told_to_plan_anew(lake: Lake) -> None:
    """Nothing may be read in place of the version, and an empty table least of all."""
    for title in "abc":
        lake.publish("items", [day(0)], items(0, title))
    vacuum(lake, "items", timedelta(0))
    with pytest.raises(MissingDay, match=r"Version 1 of table items is no longer kept.*planned anew"):
        lake.reader({"items": 1}).read("items")
    age(lake, 80)
    assert clean_log(lake, "items", KEEP).files >= 3
    with pytest.raises(MissingDay, match="Version 1 of table items is no longer kept"):
        lake.reader({"items": 1}).read("items")
    assert lake.reader().read("items")["title"].to_pylist() == ["c"]
    assert vacuum(lake, "items", KEEP) == Swept()
    assert lake.delta("never_made", 3) is None


def test_the_log_keeps_twice_the_retention_and_a_publish_meets_the_change_of_its_rules(lake: Lake) -> None:
    lake.publish("items", [day(0)], items(0, "a"))
    age(lake, 40)
    age(lake, 40, DAYS.name)
    before = sorted(path.name for path in (Path(lake.uri("items")) / "_delta_log").glob("*.json"))
    assert clean_log(lake, "items", KEEP).files == 0
    assert set(before) <= {path.name for path in (Path(lake.uri("items")) / "_delta_log").iterdir()}
    assert lake.delta("items").metadata().configuration["delta.logRetentionDuration"] == "interval 70 days"
    register = lake.delta(DAYS.name)
    clean_log(lake, DAYS.name, KEEP)
    version = lake.delta(DAYS.name).version()
    clean_log(lake, DAYS.name, KEEP)
    assert lake.delta(DAYS.name).version() == version > register.version()
    lake.publish("items", [day(1)], items(1, "b"))
    assert lake.newest_day("items") == day(1)


KILLED = """
import sys
from datetime import timedelta
from recpipe.lake.lake import Lake
from recpipe.lake.retention import clean_log, compact, vacuum
lake = Lake(sys.argv[1])
print("ready", flush=True)
while True:
    for table in ("items", "days"):
        compact(lake, table), vacuum(lake, table, timedelta(0)), clean_log(lake, table, timedelta(days=1))
"""


def test_killed_anywhere_nothing_is_lost(lake: Lake) -> None:
    for n in range(3):
        lake.publish("items", [day(n)], items(n, "a", "b", "c"))
    expected = in_order(lake)
    for pause in (0.0, 0.03):
        for n in range(3):
            scatter(lake, n)
        with subprocess.Popen([sys.executable, "-c", KILLED, lake.root], stdout=subprocess.PIPE, text=True) as sweeper:
            assert sweeper.stdout is not None
            assert sweeper.stdout.readline() == "ready\n"
            time.sleep(pause)
            sweeper.send_signal(signal.SIGKILL)
        assert in_order(lake) == expected
    compact(lake, "items")
    vacuum(lake, "items", timedelta(0))
    assert in_order(lake) == expected
    assert len(lake.days("items")) == 3


def in_order(lake: Lake) -> list[dict[str, object]]:
    return lake.reader().read("items").sort_by([("day", "ascending"), ("item_id", "ascending")]).to_pylist()


def test_nothing_was_ever_published(lake: Lake) -> None:
    assert (compact(lake, "items"), vacuum(lake, "items", KEEP), clean_log(lake, "items", KEEP)) == (Swept(), Swept(), Swept())
