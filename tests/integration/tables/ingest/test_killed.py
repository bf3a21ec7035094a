"""A run that is killed (SIGKILL) in the middle of a step leaves readers what they had; the rerun ends in the same rows."""

import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest

from recpipe.config.settings import load_settings
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)
TABLES = ("events", "items", "users", "quarantine")


IMPORTS = """
from datetime import date
from recpipe.config import load_settings
from recpipe.tables.ingest.day_commit import publish_day
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.stage import stage_day
"""


def start(settings, code):
    environment = {**os.environ, "RECPIPE_HOME": str(settings.places.home), "RECPIPE_BATCH_ROWS": "200"}
    script = f"{IMPORTS}{code}"
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


def kill_when(process, reached):
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, "the run was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def big_day(an_event, people):
    return {
        "events": [an_event(user=f"u{n}", item=f"i{n}", quantity=1 if n % 50 else 0) for n in range(people)],
        "items": [{"item_id": f"i{n}", "title": f"Item {n}"} for n in range(people)],
        "users": [{"user_id": f"u{n}"} for n in range(people)],
    }


def everything(settings, rows_of):
    return {table: rows_of(settings, table) for table in TABLES}


def test_killed_while_staging_then_rerun(settings, deliver, an_event, rows_of, tmp_path):
    shop = settings
    deliver(shop, events=[an_event(user="before")])
    ingest_day(shop, DAY)
    before = everything(shop, rows_of)

    deliver(shop, **big_day(an_event, 10_000))
    work = shop.places.work / "ingest" / str(DAY)
    run = start(shop, "stage_day(load_settings(), date(2011, 9, 1))")
    kill_when(run, lambda: any(work.glob("*/events/*.parquet")))
    assert not any(work.glob("*/facts.json"))
    assert everything(shop, rows_of) == before

    undisturbed = load_settings(home=tmp_path / "undisturbed")
    deliver(undisturbed, **big_day(an_event, 10_000))
    assert ingest_day(shop, DAY) == ingest_day(undisturbed, DAY) == {
        "items": 10_000, "users": 10_000, "quarantine": 200, "events": 9_800,
    }  # fmt: skip
    assert everything(shop, rows_of) == everything(undisturbed, rows_of)
    assert not list(work.iterdir())  # what the killed run has left is gone too


@pytest.mark.slow
@pytest.mark.parametrize("after", ["items", "quarantine"])
def test_killed_while_publishing_then_rerun(settings, deliver, an_event, rows_of, after):
    deliver(settings, events=[an_event(user="before")], items=[{"item_id": "old", "title": "old"}])
    ingest_day(settings, DAY)
    lake = Lake.from_settings(settings)
    before = rows_of(settings, "events")
    old = lake.day(after, DAY).table_version

    deliver(settings, **big_day(an_event, 40_000))
    folder = stage_day(load_settings(home=settings.places.home, run_id="run"), DAY)
    run = start(settings, f"publish_day(load_settings(batch_rows=65_536), date(2011, 9, 1), {folder!r})")
    kill_when(run, lambda: lake.day(after, DAY).table_version > old)
    assert rows_of(settings, "events") == before  # whole days only: the old one

    assert ingest_day(settings, DAY) == {"items": 40_000, "users": 40_000, "quarantine": 800, "events": 39_200}
    found = rows_of(settings, "events")
    assert len(found) == len({row["event_id"] for row in found}) == 39_200
    assert len(rows_of(settings, "items")) == 40_000
