"""Ten nights of the shipped shop on Celery workers, Postgres and S3, four at a time, while things break: the rows of one laptop."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from cluster import Cluster

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.days import days_between
from recpipe.lake.lake import Lake
from recpipe.models.io import save
from recpipe.models.item_knn import ItemKNN
from recpipe.promotion.adopt import adopt
from recpipe.tables.ingest.days_in import ingest_day, ingest_history
from recpipe.tables.recommendations.night_publish import recommend_day

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

HISTORY = (date(2011, 7, 1), date(2011, 8, 31))
TRAINED = date(2011, 8, 28)
NIGHTS = (date(2011, 9, 1), date(2011, 9, 10))
TAKEN_IN = ("items", "users", "quarantine", "events")
LISTS = ("episodes", "recommendations")
DAGS = ("ingest_clickstream", "recommend_nightly")


def rows(settings: Settings, table: str) -> pa.Table:
    """Return the rows of the ten days in the order of their key."""
    found = Lake.from_settings(settings).reader().read(table, *NIGHTS)
    keys = [*TABLES[table].key, *([] if table != "quarantine" else ["reason"])]
    return found.sort_by([("day", "ascending"), *((name, "ascending") for name in keys)])


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home without services: two months of the shop (of its 22), and a model of closed form that serves from September on."""
    from recpipe.demo.shop import SETTINGS, land

    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        settings = load_settings(home=tmp_path_factory.mktemp("laptop"))
    land(settings.places.landing_root, HISTORY[0], NIGHTS[1])
    ingest_history(settings, *HISTORY)
    adopt_model(settings)
    return settings


def adopt_model(settings: Settings) -> None:
    """Register one and the same model of closed form, and promote it."""
    folder = settings.places.home / "neighbours"
    save(ItemKNN(), folder, {"trained_until": str(TRAINED), "fitted_until": str(TRAINED), "seed": 1, "encoder": "", "inputs": []})
    assert adopt(settings, str(folder), TRAINED).promoted


@pytest.fixture(scope="module")
def platform(airflow_cluster: Cluster, laptop: Settings) -> Cluster:
    """The cluster with the same history, copied to S3 file by file, the same deliveries, and the same model in its MLflow."""
    s3, place = airflow_cluster.stores.s3_client(), Path(laptop.places.lake_root)
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        s3.upload_file(str(path), "recpipe", f"lake/{path.relative_to(place)}")
    landing = Path(airflow_cluster.settings.places.landing_root)
    landing.rmdir()
    landing.symlink_to(laptop.places.landing_root)
    airflow_cluster.run("python", "-c", f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]; {ADOPT}")
    return airflow_cluster


ADOPT = "from test_services_backfill import adopt_model; from recpipe.config import load_settings; adopt_model(load_settings())"


@pytest.fixture(scope="module")
def on_s3(platform: Cluster) -> Settings:
    """The settings of the cluster for reading in this process; secrets of the store are options here, not environment."""
    return platform.settings.changed(storage_options=platform.stores.s3_options)


@pytest.fixture(scope="module")
def killed(platform: Cluster) -> list[tuple[str, str, int]]:
    """Ingest ten days, and kill a worker with -9 while it works on some; returns its tasks: task, run, try."""
    lost: list[tuple[str, str, int]] = []

    def at_work(pids: set[int]) -> list[tuple[str, str, int]]:
        running = platform.query("SELECT task_id, run_id, try_number, pid FROM task_instance WHERE state = 'running'")
        return [(task, run, number) for task, run, number, pid in running if pid in pids]

    def kill_one_at_work() -> bool:
        pids = {process.pid for process in platform.programs["worker-1"].members()}
        if not at_work(pids):
            return False
        platform.kill("worker-1")
        lost.extend(at_work(pids))  # asked again: a task that ended just before is not lost
        if not lost:
            platform.revive("worker-1")
        return bool(lost)

    backfill(platform, "ingest_clickstream", kill_one_at_work)
    platform.revive("worker-1")
    return lost


@pytest.fixture(scope="module")
def restarted(platform: Cluster, killed: list[tuple[str, str, int]]) -> str:
    """Make the lists of ten nights, and restart Postgres meanwhile; returns what the command said."""

    def restart() -> bool:
        platform.stores.restart_postgres()
        return True

    return backfill(platform, "recommend_nightly", restart)


@pytest.fixture(scope="module")
def same_by_hand(laptop: Settings) -> Settings:
    """The laptop's home with the ten days taken in and their lists made, in one process, one after another."""
    for day in days_between(*NIGHTS):
        ingest_day(laptop, day)
    for day in days_between(*NIGHTS):
        recommend_day(laptop, day, shards=3)
    return laptop


def backfill(platform: Cluster, dag_id: str, break_something: Callable[[], bool]) -> str:
    """Run a backfill of the ten days; when two are done something breaks, once. Returns what the command said."""
    words = ("airflow", "dags", "backfill", "-s", str(NIGHTS[0]), "-e", str(NIGHTS[1]), "--max-active-runs", "4", dag_id)
    said = platform.folder / f"{dag_id}.txt"
    with said.open("w") as output:
        command = [platform.environment["PATH"].partition(":")[0] + "/airflow", *words[1:]]
        process = subprocess.Popen(
            command, env=platform.environment, cwd=platform.folder, stdout=output, stderr=subprocess.STDOUT
        )
    broken = False
    try:
        while process.poll() is None:
            broken = broken or (done(platform, dag_id) >= 2 and break_something())
            time.sleep(0.1)
    finally:
        process.kill()
    assert process.returncode == 0, said.read_text()[-4000:]
    assert broken, "all was over before anything could break"
    return said.read_text()


def done(platform: Cluster, dag_id: str) -> int:
    return int(platform.query("SELECT count(*) FROM dag_run WHERE dag_id = %s AND state = 'success'", dag_id)[0][0])


def test_tasks_of_a_killed_worker_are_taken_up_again(platform: Cluster, killed: list[tuple[str, str, int]]) -> None:
    assert killed
    for task, run, number in killed:
        found = platform.query(
            "SELECT state, try_number FROM task_instance WHERE dag_id = 'ingest_clickstream' AND task_id = %s AND run_id = %s",
            task,
            run,
        )
        assert found[0][0] == "success"
        assert found[0][1] > number


def test_all_runs_end_well_though_postgres_was_restarted(platform: Cluster, restarted: str) -> None:
    assert "10 of 10 runs of recommend_nightly succeeded" in restarted
    states = platform.query("SELECT dag_id, state, count(*) FROM dag_run GROUP BY 1, 2 ORDER BY 1")
    assert [entry for entry in states if entry[0] in DAGS] == [(dag_id, "success", 10) for dag_id in DAGS]


def test_both_workers_had_a_part(platform: Cluster, restarted: str) -> None:
    logs = [platform.programs[name].log.read_text() for name in ("worker-1", "worker-2")]
    assert all("succeeded" in text for text in logs)


@pytest.mark.parametrize("table", [*TAKEN_IN, *LISTS])
def test_the_rows_are_those_of_one_laptop(on_s3: Settings, restarted: str, same_by_hand: Settings, table: str) -> None:
    expected = rows(same_by_hand, table)
    assert rows(on_s3, table).equals(expected)
    if table != "quarantine":
        assert expected.num_rows > 0


def test_lists_name_the_version_of_mlflow_whose_files_lie_on_s3(platform: Cluster, on_s3: Settings, restarted: str) -> None:
    assert Lake.from_settings(on_s3).require("recommendations", NIGHTS[1]).model_version == "1"
    keys = [entry["Key"] for entry in platform.stores.s3_client().list_objects_v2(Bucket="recpipe-models")["Contents"]]
    assert any(key.endswith("model.safetensors") for key in keys)


def test_nothing_beside_the_shared_home_was_written(platform: Cluster, restarted: str) -> None:
    assert not (Path(platform.settings.places.home) / "lake").exists()
    assert not (Path(platform.settings.places.home) / "mlflow").exists()
    assert os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN") is None
