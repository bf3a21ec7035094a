"""The shipped shop: small, dirty, complete, and taken in whole."""

from datetime import UTC, date, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import load_settings
from recpipe.days import days_between
from recpipe.demo import shop
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.days_in import ingest_history
from recpipe.tables.ingest.landed.delivery import find_delivery


@pytest.fixture
def shops(tmp_path, monkeypatch):
    for name, value in shop.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    return load_settings()


def test_the_data_is_small_and_attributed():
    assert sum(file.stat().st_size for file in shop.DATA.iterdir()) < 5_000_000
    readme = (shop.DATA / "README.md").read_text()
    for words in ("CC BY 4.0", "Chen, D.", "10.24432/C5CG6D", "Stand-ins"):
        assert words in readme
    for table, rows in (("events", 848_212), ("items", 4_568), ("users", 5_394)):
        assert pq.read_metadata(shop.DATA / f"{table}.parquet").num_rows == rows
        assert f"| `{table}.parquet` | {rows:,} |" in readme


def test_landing_twice_leaves_the_same_files(shops):
    first, last = date(2010, 12, 23), date(2010, 12, 26)

    def landed():
        return {
            str(path.relative_to(shops.places.landing_root)): path.read_bytes()
            for path in shops.places.landing_root.rglob("*")
            if path.is_file()
        }

    rows = shop.land(shops.places.landing_root, first, last)
    files = landed()
    assert shop.land(shops.places.landing_root, first, last) == rows
    assert landed() == files
    assert [day for day in days_between(first, last) if not find_delivery(shops, day).files["events"]] == [
        date(2010, 12, 24), date(2010, 12, 25), date(2010, 12, 26),
    ]  # fmt: skip
    assert all(find_delivery(shops, day).complete for day in days_between(first, last))


def test_every_row_is_landed_once(shops):
    assert shop.land(shops.places.landing_root, shop.FIRST_DAY, shop.LAST_DAY) == 848_212 + 4_568 + 5_394


def test_days_the_shop_does_not_have(shops):
    with pytest.raises(BadSetting, match="The shipped shop has days 2009-11-30 to 2011-09-17"):
        shop.land(shops.places.landing_root, date(2009, 1, 1), date(2009, 12, 1))


def test_the_first_days_of_the_shop(shops, rows_of):
    last = date(2009, 12, 3)
    landed = shop.land(shops.places.landing_root, shop.FIRST_DAY, last)
    rows = ingest_history(shops, shop.FIRST_DAY, last)
    assert sum(rows.values()) == landed
    quarantined = rows_of(shops, "quarantine")
    assert {(row["source_table"], row["reason"], row["set_aside"]) for row in quarantined} >= {
        ("events", "kind of event that is set aside", True), ("events", "item id is not that of a product", True),
        ("items", "item id is not that of a product", True),
    }  # fmt: skip
    assert sum(not row["set_aside"] for row in quarantined) == 0
    lake = Lake.from_settings(shops)
    assert [(record.day.day, record.status) for record in lake.days("events")] == [
        (30, "empty"),
        (1, "closed"),
        (2, "closed"),
        (3, "closed"),
    ]

    events, users, items = (rows_of(shops, table) for table in ("events", "users", "items"))
    assert {row["event_type"] for row in events} == {"purchase", "return"}
    assert min(row["quantity"] for row in events) > 0
    assert 0.05 < sum(row["user_id"] is None for row in events) / len(events) < 0.5
    first_event = {}
    for row in events:
        first_event[row["user_id"]] = min(row["ts"], first_event.get(row["user_id"], row["ts"]))
    assert min(first_event.values()) == datetime(2009, 12, 1, 7, 45, tzinfo=UTC)
    registered = {row["user_id"]: row for row in users}
    exactly = 0
    for user, moment in first_event.items():
        if user is not None:  # of some users the first row is postage, which is no event
            known = registered[user]
            assert known["registered_at"] <= moment - timedelta(days=1)
            assert known["day"] == known["registered_at"].date()
            exactly += known["registered_at"] == moment - timedelta(days=1)
    assert exactly > 0.95 * len(first_event)
    assert {row["item_id"] for row in events} == {row["item_id"] for row in items}
    listed = {row["item_id"]: row["day"] for row in items}
    assert all(listed[row["item_id"]] <= row["day"] for row in events)


def test_the_commands(shops):
    def say(*words):
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0
        return " ".join(done.stdout.split())

    assert say("days") == "No day is published yet: run recpipe ingest, or recpipe history."
    assert "rows of 2009-11-30 to 2009-12-01 lie in" in say("land", "--from", "2009-11-30", "--to", "2009-12-01")
    assert say("ingest", "--day", "2009-11-30") == (
        "2009-11-30 taken in: 0 rows of items, 117 rows of users, 0 rows of quarantine, 0 rows of events."
    )
    assert say("history", "--from", "2009-12-01", "--to", "2009-12-01").startswith(
        "2009-12-01 to 2009-12-01 taken in: 1,321 rows of items"
    )
    assert "events │ 2009-12-01 │ closed" in say("days", "--table", "events")
    assert say("stale") == "Nothing is stale."
