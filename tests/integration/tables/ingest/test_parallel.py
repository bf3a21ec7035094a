"""Ten days in four processes end in the same rows as one after another."""

import multiprocessing
from datetime import date, timedelta

import pytest

from recpipe.config.settings import load_settings
from recpipe.demo import shop
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.days_in import ingest_day, ingest_history

DAYS = [date(2011, 8, 29) + timedelta(days=n) for n in range(10)]


def take_in(values, day):
    return ingest_day(load_settings(**values), day)


@pytest.mark.slow
def test_four_processes_and_one_end_in_the_same_rows(tmp_path, rows_of, monkeypatch):
    for name, value in shop.SETTINGS.items():
        monkeypatch.setenv(name, value)
    shop.land(tmp_path / "landing", DAYS[0], DAYS[-1])
    landing = str(tmp_path / "landing")
    alone, together = (load_settings(home=tmp_path / name, landing=landing) for name in ("alone", "together"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["great_expectations", "recpipe.tables.ingest", "recpipe.validation"]
    )  # imported once for all four
    with context.Pool(4) as pool:
        values = {"home": together.places.home, "landing": landing}
        counts = pool.starmap(take_in, [(values, day) for day in reversed(DAYS)], chunksize=1)
    sums = ingest_history(alone, DAYS[0], DAYS[-1])
    assert {table: sum(count[table] for count in counts) for table in sums} == sums
    for table in sums:
        assert rows_of(together, table) == rows_of(alone, table)
    states = [[(r.table, r.day, r.status, r.rows) for r in Lake.from_settings(s).days()] for s in (alone, together)]
    assert states[0] == states[1]
    assert ("events", date(2011, 9, 3), "empty", 0) in states[0]  # a closed Saturday
