"""The DAGs on the shipped shop: with a scheduler and four runs at a time, and one after another without one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.days import days_between
from recpipe.lake.lake import Lake
from recpipe.local.home import airflow_environment, write_home

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services"), pytest.mark.timeout(900)]

HISTORY = (date(2011, 7, 1), date(2011, 8, 31))
WEEK = (date(2011, 8, 22), date(2011, 8, 28))
NIGHTS = (date(2011, 9, 1), date(2011, 9, 4))  # the 3rd is a Saturday, on which the shop is closed
LISTS = ("episodes", "recommendations")
TAKEN_IN = ("items", "users", "quarantine", "events")

Run = Callable[..., str]


def program(settings: Settings) -> Run:
    """Return what runs a command of this environment on a home, and fails if it fails."""

    def run(*words: str) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        done = subprocess.run(
            [str(Path(sys.executable).with_name(words[0])), *words[1:]],
            env={**env, **airflow_environment(settings)}, capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    return run


def backfill(run: Run, dag_id: str, days: tuple[date, date], *flags: str) -> str:
    return run("airflow", "dags", "backfill", "-s", str(days[0]), "-e", str(days[1]), *flags, dag_id)


def rows(settings: Settings, table: str, days: tuple[date, date]) -> pa.Table:
    """Return the rows of some days in the order of their key."""
    found = Lake.from_settings(settings).reader().read(table, *days)
    keys = [*TABLES[table].key, *([] if table != "quarantine" else ["reason"])]
    return found.sort_by([("day", "ascending"), *((name, "ascending") for name in keys)])


@pytest.fixture(scope="module")
def history(services: Settings) -> Settings:
    """The home that runs, with two months taken in, and a copy of its lake as it is then."""
    from recpipe.demo.shop import land

    land(services.places.landing_root, HISTORY[0], date(2011, 9, 8))
    program(services)("recpipe", "history", "--from", str(HISTORY[0]), "--to", str(HISTORY[1]))
    shutil.copytree(services.places.lake_root, services.places.home / "lake-of-the-history")
    return services


@pytest.fixture(scope="module")
def parallel(history: Settings) -> Settings:
    """The home that runs: after the history one training, then four ingests and four nights at a time."""
    run = program(history)
    backfill(run, "train_meta_model", WEEK)
    backfill(run, "ingest_clickstream", NIGHTS, "--max-active-runs", "4")
    backfill(run, "recommend_nightly", NIGHTS, "--max-active-runs", "4")
    return history


@pytest.fixture(scope="module")
def sequential(parallel: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home without services: the same history and models; the days one after another, in one process, in another order."""
    from recpipe.tables.ingest.days_in import ingest_day
    from recpipe.tables.recommendations.night_publish import recommend_day

    home = tmp_path_factory.mktemp("sequential")
    changed = {"home": home, "landing": str(parallel.places.landing_root), "mlflow_uri": parallel.places.tracking_uri}
    settings = parallel.changed(**changed)
    shutil.copytree(parallel.places.home / "lake-of-the-history", settings.places.lake_root)
    for day in days_between(*NIGHTS):
        ingest_day(settings, day)
    for day in reversed(list(days_between(*NIGHTS))):
        recommend_day(settings, day, shards=3)
    return settings


def test_the_dag_of_a_task_ends_in_the_rows_of_its_command(history: Settings, tmp_path: Path) -> None:
    """Two days at a time through the scheduler, and the other way round, in one part, by hand in a home without services."""
    days = (HISTORY[1] - timedelta(days=1), HISTORY[1])
    by_hand = history.changed(home=tmp_path)
    shutil.copytree(history.places.home / "lake-of-the-history", by_hand.places.lake_root)
    for day in reversed(list(days_between(*days))):
        program(by_hand)("recpipe", "task", "complements", "--day", str(day), "--shards", "1")
    backfill(program(history), "complete_items", days, "--max-active-runs", "2")
    expected = rows(by_hand, "complements", days)
    assert rows(history, "complements", days).equals(expected)
    assert set(expected["day"].to_pylist()) == set(days)
    lake = Lake.from_settings(history)
    assert {lake.require("complements", day).run_id.partition("__")[0] for day in days} == {"backfill"}


@pytest.mark.parametrize("table", [*TAKEN_IN, *LISTS])
def test_four_runs_at_a_time_end_in_the_rows_of_one_after_another(parallel: Settings, sequential: Settings, table: str) -> None:
    expected = rows(sequential, table, NIGHTS)
    assert rows(parallel, table, NIGHTS).equals(expected)
    if table != "quarantine":
        assert expected.num_rows > 0


def test_a_closed_day_stands_in_the_register_and_has_lists(parallel: Settings) -> None:
    lake = Lake.from_settings(parallel)
    saturday = date(2011, 9, 3)
    assert lake.require("events", saturday).status == "empty"
    assert lake.require("recommendations", saturday).rows > 0


def test_the_register_names_run_and_model(parallel: Settings) -> None:
    record = Lake.from_settings(parallel).require("recommendations", NIGHTS[0])
    assert record.run_id.startswith("backfill__2011-09-01T23:00:00")
    assert record.model_version in ("1", "2")
    assert {entry.table for entry in record.inputs} >= {"events", "items", "users"}


def test_every_user_has_a_list_the_one_who_registered_today_included(parallel: Settings) -> None:
    users = Lake.from_settings(parallel).reader().as_of("users", NIGHTS[1])
    lists = rows(parallel, "recommendations", (NIGHTS[1], NIGHTS[1]))
    registered_today = users.filter(pc.equal(users["day"], NIGHTS[1]))["user_id"].to_pylist()
    assert set(registered_today) <= set(users["user_id"].to_pylist()) <= set(lists["user_id"].to_pylist())
    assert registered_today
    assert set(lists["cohort"].to_pylist()) == {"zero", "few", "warm"}


def test_a_night_that_is_run_again_ends_in_the_same_rows(parallel: Settings) -> None:
    before = {table: rows(parallel, table, NIGHTS) for table in LISTS}
    again = (NIGHTS[0], NIGHTS[0])
    backfill(program(parallel), "recommend_nightly", again, "--reset-dagruns", "--yes")
    assert {table: rows(parallel, table, NIGHTS).equals(found) for table, found in before.items()} == dict.fromkeys(LISTS, True)


def test_outcomes_of_a_week_later_stand_beside_the_baselines(parallel: Settings) -> None:
    run = program(parallel)
    day = NIGHTS[0] + timedelta(days=7)
    backfill(run, "ingest_clickstream", (NIGHTS[1] + timedelta(days=1), day))
    backfill(run, "evaluate_recommendations", (day, day))
    names = set(rows(parallel, "outcomes", (day, day))["name"].to_pylist())
    assert {"popularity", "item_knn"} <= names
    assert (parallel.places.reports / f"outcomes-{day}.html").is_file()


def test_a_dag_runs_in_the_foreground_without_services(sequential: Settings) -> None:
    write_home(sequential)
    run = program(sequential)
    run("python", "-m", "recpipe.airflow.backfill.database_setup", "1")
    before = rows(sequential, "events", NIGHTS)
    said = backfill(run, "ingest_clickstream", (NIGHTS[1], NIGHTS[1]), "--local")
    assert f"{NIGHTS[1]} success" in said
    assert Lake.from_settings(sequential).require("events", NIGHTS[1]).run_id != "local"
    assert rows(sequential, "events", NIGHTS).equals(before)


def test_task_logs_hold_no_user_id(parallel: Settings) -> None:
    users = set(rows(parallel, "users", (HISTORY[0], NIGHTS[1]))["user_id"].to_pylist())
    logs = [path for path in (parallel.places.home / "airflow" / "logs").rglob("*.log") if "dag_processor" not in str(path)]
    assert len(logs) > 30
    # Airflow logs moments part by part, microseconds among them; counts of rows and process ids are numbers too.
    no_ids = re.compile(r"datetime\.datetime\([^)]*\)|\d+ rows|Returned value was: \d+|\bpid\W+\d+")
    for path in logs:
        words = set(re.findall(r"(?<![\w.:-])\d{5}(?![\w.:-])", no_ids.sub("", path.read_text())))
        assert not words & users, path.name
