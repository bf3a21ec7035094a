"""A day is published whole, once, and again when it is delivered again."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import AuditFailed, BadDelivery, RecpipeError
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.lake.stale import stale_days
from recpipe.tables.ingest.day_commit import publish_day
from recpipe.tables.ingest.days_in import ingest_day, ingest_history
from recpipe.tables.ingest.stage import stage_day
from recpipe.validation.verdicts import load_verdict

DAY = date(2011, 9, 1)
TABLES = ("events", "items", "users", "quarantine")


def whole_day(an_event, people=3):
    return {
        "events": [an_event(user=f"u{n}", item=f"i{n}", quantity=1) for n in range(people)],
        "items": [{"item_id": f"i{n}", "title": f"Item {n}", "price": 1.0} for n in range(people)],
        "users": [{"user_id": f"u{n}", "registered_at": datetime(2011, 8, 31), "country": "UK"} for n in range(people)],
    }


def test_a_day_stands_in_the_register_with_its_rows(settings, deliver, an_event):
    deliver(settings, **whole_day(an_event))
    assert ingest_day(settings, DAY) == {"items": 3, "users": 3, "quarantine": 0, "events": 3}
    register = [(r.table, r.day, r.status, r.rows, r.run_id) for r in Lake.from_settings(settings).days()]
    assert register == [
        ("events", DAY, "closed", 3, "local"), ("items", DAY, "closed", 3, "local"),
        ("quarantine", DAY, "empty", 0, "local"), ("users", DAY, "closed", 3, "local"),
    ]  # fmt: skip
    assert [load_verdict(settings.places, table, DAY).failed for table in TABLES] == [[]] * 4
    assert not list((settings.places.work / "ingest").glob("*/*"))


def test_a_day_on_which_nothing_happened_exists(settings, deliver):
    deliver(settings)
    assert ingest_day(settings, DAY) == {"items": 0, "users": 0, "quarantine": 0, "events": 0}
    assert {record.status for record in Lake.from_settings(settings).days()} == {"empty"}


def test_the_same_day_twice_gives_the_same_rows(settings, deliver, an_event, rows_of):
    deliver(settings, **whole_day(an_event))
    ingest_day(settings, DAY)
    before = {table: rows_of(settings, table) for table in TABLES}
    ingest_day(settings, DAY)
    assert {table: rows_of(settings, table) for table in TABLES} == before


def test_a_corrected_day_replaces_the_day_and_no_other(settings, deliver, an_event, rows_of):
    next_day = date(2011, 9, 2)
    deliver(settings, **whole_day(an_event))
    deliver(settings, next_day, events=[{**an_event(user="later"), "ts": datetime(2011, 9, 2, 12)}])
    ingest_history(settings, DAY, next_day)
    deliver(settings, **whole_day(an_event, people=2))
    ingest_day(settings, DAY)
    assert [(row["day"], row["user_id"]) for row in rows_of(settings, "events")] == [
        (DAY, "u0"),
        (DAY, "u1"),
        (next_day, "later"),
    ]
    assert len(rows_of(settings, "items")) == len(rows_of(settings, "users")) == 2


def test_what_was_made_of_a_corrected_day_is_stale(settings, deliver, an_event):
    deliver(settings, **whole_day(an_event))
    ingest_day(settings, DAY)
    lake = Lake.from_settings(settings)
    read = lake.day("events", DAY)
    empty = lake.reader().read("episodes")
    lake.publish("episodes", [DAY], empty, inputs=[Input("events", date(2011, 8, 1), DAY, read.table_version)])
    assert stale_days(lake) == []
    ingest_day(settings, DAY)
    (found,) = stale_days(lake)
    assert (found.table, found.day, found.source, found.source_day, found.days) == ("episodes", DAY, "events", DAY, 1)
    assert found.version > found.read_version == read.table_version


def test_a_failed_audit_publishes_nothing_and_leaves_what_was_there(settings, deliver, an_event, rows_of, monkeypatch):
    deliver(settings, **whole_day(an_event))
    ingest_day(settings, DAY)
    before = {table: rows_of(settings, table) for table in TABLES}
    folder = stage_day(settings, DAY)
    strict = load_settings(home=settings.places.home, rating_bounds=(1.0, 5.0), late_days=0)
    deliver(settings, events=[{**an_event(), "ts": datetime(2011, 8, 30)}])
    folder = stage_day(settings, DAY)  # staged under looser rules than those of the audit
    with pytest.raises(AuditFailed, match="Day 2011-09-01 of table events was not published"):
        publish_day(strict, DAY, folder)
    assert {table: rows_of(settings, table) for table in TABLES} == before


def test_days_come_in_any_order(settings, deliver, an_event, rows_of, tmp_path):
    other = load_settings(home=tmp_path / "other")
    days = [date(2011, 9, n) for n in (1, 2, 3)]
    for shop in (settings, other):
        for day in days:
            late = {**an_event(user="late"), "ts": datetime(2011, 8, 31, 23)}
            deliver(shop, day, events=[{**an_event(user=str(day)), "ts": datetime(2011, 9, day.day, 8)}, late])
    for day in days:
        ingest_day(settings, day)
    for day in reversed(days):
        ingest_day(other, day)
    assert rows_of(settings, "events") == rows_of(other, "events")


def test_history_gives_the_rows_of_the_days_one_by_one(settings, deliver, an_event, rows_of, tmp_path):
    days = [date(2011, 9, n) for n in range(1, 8)]
    bulk = load_settings(home=tmp_path / "bulk", history_days=3)
    for shop in (settings, bulk):
        for day in days:
            moment = datetime(day.year, day.month, day.day, 9)
            rows = [{**an_event(user=f"u{n}", item=f"i{n}"), "ts": moment} for n in range(day.day)] if day.day != 4 else None
            deliver(shop, day, events=rows, items=[{"item_id": f"i{day.day}", "title": str(day)}])
    for day in days:
        ingest_day(settings, day)
    rows = ingest_history(bulk, days[0], days[-1])
    assert rows == {"items": 7, "users": 0, "quarantine": 0, "events": 24}
    for table in TABLES:
        assert rows_of(bulk, table) == rows_of(settings, table)
    marks = [[(r.table, r.day, r.status, r.rows) for r in Lake.from_settings(shop).days()] for shop in (bulk, settings)]
    assert marks[0] == marks[1]


@pytest.mark.parametrize("days_a_commit", [1, 2, 60])
def test_a_bad_day_takes_none_of_its_neighbours_along(settings, deliver, an_event, days_a_commit):
    shop = load_settings(home=settings.places.home, history_days=days_a_commit)
    days = [date(2011, 9, n) for n in range(1, 7)]
    for day in days:
        deliver(shop, day, events=[{**an_event(), "ts": datetime(2011, 9, day.day, 9)}])
    for bad in (3, 5):
        (shop.places.landing_root / "events" / f"day=2011-09-0{bad}" / "part-0.parquet").write_text("no")
    with pytest.raises(BadDelivery) as refused:
        ingest_history(shop, days[0], days[-1])
    assert str(refused.value) == (
        "2 of 6 days were refused, and the others are published. 2011-09-03: events/day=2011-09-03/part-0.parquet is no parquet "
        "file: write it as parquet, then run the day again. The same run refused 2011-09-05: run each by hand to read why."
    )
    states = [(record.day.day, record.status) for record in Lake.from_settings(shop).days("events")]
    assert states == [(1, "closed"), (2, "closed"), (3, "open"), (4, "closed"), (5, "open"), (6, "closed")]


def test_history_leaves_days_out_only_when_told(settings, deliver):
    deliver(settings, date(2011, 9, 1))
    deliver(settings, date(2011, 9, 3))
    ingest_history(settings, date(2011, 9, 1), date(2011, 9, 3), skip_incomplete=True)
    assert [record.day.day for record in Lake.from_settings(settings).days("events")] == [1, 3]


def test_events_that_were_held_against_the_catalogue_say_so(settings, deliver, an_event, rows_of, tmp_path):
    shops = [
        load_settings(home=settings.places.home / name, items_must_be_known=True, first_day=DAY, history_days=2) for name in "ab"
    ]
    for shop in shops:
        for n in (1, 2, 3):
            moment = {"ts": datetime(2011, 9, n, 9)}
            deliver(
                shop, date(2011, 9, n), items=[{"item_id": f"i{n}", "title": "t"}],
                events=[{**an_event(item=f"i{m}", user=str(m)), **moment} for m in range(1, n + 1)],
            )  # fmt: skip
    for n in (1, 2, 3):
        ingest_day(shops[0], date(2011, 9, n))
    ingest_history(shops[1], date(2011, 9, 1), date(2011, 9, 3))
    assert rows_of(shops[0], "events") == rows_of(shops[1], "events")
    lakes = [Lake.from_settings(shop) for shop in shops]
    assert [(i.table, i.first_day.day, i.last_day.day) for i in lakes[0].day("events", date(2011, 9, 3)).inputs] == [
        ("items", 1, 2), ("items", 3, 3),
    ]  # fmt: skip
    assert [stale_days(lake) for lake in lakes] == [[], []]
    ingest_day(shops[0], date(2011, 9, 1))
    assert [(s.table, s.day.day, s.source) for s in stale_days(lakes[0])] == [("events", 2, "items"), ("events", 3, "items")]


def test_a_reader_in_a_loop_sees_whole_days_only(settings, deliver, an_event):
    versions = {"one": 700, "two": 1300}
    folders = []
    lake = Lake.from_settings(settings)
    for _ in range(4):
        for name, count in versions.items():
            deliver(settings, events=[an_event(user=f"u{n}", platform=name) for n in range(count)])
            folders.append(stage_day(load_settings(home=settings.places.home, run_id=f"run-{len(folders)}"), DAY))
    publish_day(settings, DAY, folders.pop(0))
    publisher = threading.Thread(target=lambda: [publish_day(settings, DAY, folder) for folder in folders])
    publisher.start()
    seen = []
    while publisher.is_alive() or not seen:
        platforms = lake.reader().read("events", columns=["platform"])["platform"].to_pylist()
        seen.append((len(set(platforms)), versions[platforms[0]] == len(platforms)))
    publisher.join()
    assert set(seen) == {(1, True)}
    assert len(seen) > 5
    assert lake.day("events", DAY).rows == 1300


def test_staging_under_one_run_id_begins_anew(settings, deliver, an_event):
    deliver(settings, **whole_day(an_event))
    night = load_settings(home=settings.places.home, run_id="scheduled__2011-09-02T00:00:00+00:00")
    folder = stage_day(night, DAY)
    (Path(folder) / "events" / "left.parquet").touch()
    assert stage_day(night, DAY) == folder
    assert publish_day(night, DAY, folder)["events"] == 3
    assert Lake.from_settings(settings).day("events", DAY).run_id == "scheduled__2011-09-02T00:00:00+00:00"
    assert Lake.from_settings(settings).day("events", DAY).recorded_at <= datetime.now(UTC)


def killed_while_removing(settings, folder, monkeypatch):
    """Publish a folder and die with the first file of the removal."""

    def die(path, **_more):
        next(file for file in sorted(Path(path).rglob("*.parquet"))).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recpipe.tables.ingest.day_commit.shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            publish_day(settings, DAY, folder)


def test_a_publication_killed_while_it_removes_its_folder_is_done_when_tried_again(
    settings, deliver, an_event, rows_of, monkeypatch
):
    run = settings.changed(run_id="scheduled__1")
    deliver(run, **whole_day(an_event))
    folder = stage_day(run, DAY)
    killed_while_removing(run, folder, monkeypatch)
    assert publish_day(run, DAY, folder) == {"items": 3, "users": 3, "quarantine": 0, "events": 3}
    assert len(rows_of(run, "events")) == 3
    ingest_day(run, DAY)
    assert not list((run.places.work / "ingest").glob("*/*"))


def test_runs_by_hand_do_not_take_each_others_days_for_their_own(settings, deliver, an_event, rows_of, monkeypatch):
    deliver(settings, **whole_day(an_event))
    folder = stage_day(settings, DAY)
    killed_while_removing(settings, folder, monkeypatch)
    with pytest.raises(RecpipeError, match="holds no staged day"):
        publish_day(settings, DAY, folder)
    assert len(rows_of(settings, "events")) == 3


@pytest.mark.parametrize("table", ["events", "items", "users"])
def test_a_staged_folder_that_lost_rows_replaces_nothing(settings, deliver, an_event, rows_of, table):
    deliver(settings, **whole_day(an_event))
    ingest_day(settings, DAY)
    folder = stage_day(settings, DAY)
    for file in (Path(folder) / table).iterdir():
        file.unlink()
    with pytest.raises(RecpipeError, match=f"holds no {table}/{DAY}.parquet, where 3 rows were staged.*Stage {DAY} again"):
        publish_day(settings, DAY, folder)
    assert [len(rows_of(settings, name)) for name in ("events", "items", "users")] == [3, 3, 3]


def test_a_history_says_which_days_it_left_out(settings, deliver, an_event, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    words = ["history", "--from", "2011-09-01", "--to", "2011-09-02", "--skip-incomplete"]
    nothing = CliRunner().invoke(app, words)
    assert nothing.exit_code == 1
    assert "Nothing was taken in: 2011-09-01, 2011-09-02 were left out, for their delivery is not complete." in nothing.output
    deliver(settings, **whole_day(an_event))
    some = CliRunner().invoke(app, words)
    assert some.exit_code == 0
    assert "But 2011-09-02 were left out, for their delivery is not complete." in some.output
