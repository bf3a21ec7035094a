"""Every DAG keeps to the policy: a runbook, an owner, tags from the closed set, patience, pools, dates from the settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

from recpipe.airflow.defaults import OWNER, TAGS
from recpipe.airflow.notifications import tell_timeout

REPOSITORY = Path(__file__).parents[3]
DAILY = {
    "ingest_clickstream",
    "recommend_nightly",
    "evaluate_recommendations",
    "classify_items",
    "audience_campaigns",
    "insight_reviews",
    "digest_reviews",
    "complete_items",
    "complete_carts",
    "profile_users",
    "answer_searches",
}
WEEKLY = {"train_meta_model", "replay_newcomers", "maintain_tables"}
MONTHLY = {"finetune_encoder"}
BY_HAND = {"erase_users"}
CRON = {**dict.fromkeys(DAILY, "0 0 * * *"), **dict.fromkeys(WEEKLY, "0 0 * * 1"), **dict.fromkeys(MONTHLY, "0 0 1 * *")}
NAMES = DAILY | WEEKLY | MONTHLY | BY_HAND
HEAVY = (
    "pandas",
    "numpy",
    "pyarrow",
    "deltalake",
    "great_expectations",
    "mlflow",
    "torch",
    "transformers",
    "matplotlib",
    "scipy",
)


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(REPOSITORY / "dags")


@pytest.fixture(params=sorted(NAMES))
def dag(request: pytest.FixtureRequest, bag: DagBag) -> Any:
    return bag.dags[request.param]


def test_every_file_imports(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == NAMES


def test_there_is_one_dag_a_file_and_it_has_its_name(bag: DagBag) -> None:
    assert {Path(dag.fileloc).stem: dag.dag_id for dag in bag.dags.values()} == {name: name for name in NAMES}
    assert {path.stem for path in (REPOSITORY / "dags").glob("*.py")} == NAMES


def test_its_docstring_is_the_runbook(dag: Any) -> None:
    for heading in (
        "**Owner**",
        "**Runs**",
        "**Reads**",
        "**Writes**",
        "**What a late run means.**",
        "**Triage**",
        "**Whom to call.**",
    ):
        assert heading in dag.doc_md, f"the runbook of {dag.dag_id} lacks {heading}"
    for task in dag.tasks:
        assert f"`{task.task_id}`" in dag.doc_md, f"{task.task_id} is not in the triage"


def test_its_tags_come_from_the_closed_set(dag: Any) -> None:
    assert dag.tags <= TAGS
    assert len(dag.tags & {"tier-1", "tier-2"}) == 1
    assert len(dag.tags & {"daily", "weekly", "monthly", "by-hand"}) == 1


def test_every_task_has_owner_patience_and_pool(dag: Any) -> None:
    for task in dag.tasks:
        assert task.owner == OWNER
        assert task.retries >= 1
        assert task.retry_exponential_backoff == 2.0
        assert task.retry_delay > timedelta(0)
        assert task.max_retry_delay >= task.retry_delay
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=8 if task.task_id == "finetune" else 3)
        assert task.pool == ("gpu" if task.task_id in ("train", "finetune", "encode") else "default_pool")


def test_its_schedule_is_whole_days_of_the_shop(dag: Any) -> None:
    timetable = dag.timetable
    if dag.dag_id in BY_HAND:
        assert type(timetable).__name__ == "NullTimetable"
    else:
        assert type(timetable).__name__ == "CronDataIntervalTimetable"
        assert timetable.expression == CRON[dag.dag_id]
    assert dag.catchup is False
    assert timedelta(0) < dag.dagrun_timeout <= timedelta(hours=24)
    assert dag.on_failure_callback is tell_timeout
    assert 1 <= dag.max_active_runs <= 4


def test_its_parameters_are_typed_and_none_is_needed(dag: Any) -> None:
    if dag.dag_id not in BY_HAND:
        assert dag.params.get_param("day").schema["format"] == "date"
    for name in dag.params:
        assert "type" in dag.params.get_param(name).schema
        assert dag.params.get_param(name).description
    dag.validate()


@pytest.mark.parametrize(
    "ids", [["12345"], ["anna@shop.example"], ["f" * 64], ["erase-" + "f" * 64 + "\n"], ["erase-" + "0" * 64] * 1001, "x"]
)
def test_an_erasure_takes_no_raw_id_and_no_key(bag: DagBag, ids: Any) -> None:
    """Before anything of it is kept: what was triggered with stays in Airflow's database."""
    param = bag.dags["erase_users"].params.get_param("ids")
    with pytest.raises(ParamValidationError):
        param.resolve(ids)
    assert param.resolve(["erase-" + "0f" * 32]) == ["erase-" + "0f" * 32]


def test_what_it_writes_shows_as_assets(bag: DagBag) -> None:
    written = {dag.dag_id: sorted(asset.name for task in dag.tasks for asset in task.outlets) for dag in bag.dags.values()}
    assert written == {
        "ingest_clickstream": ["recpipe.events", "recpipe.items", "recpipe.quarantine", "recpipe.users"],
        "recommend_nightly": ["recpipe.episodes", "recpipe.recommendations"],
        "evaluate_recommendations": ["recpipe.newcomer_outcomes", "recpipe.outcomes"],
        "replay_newcomers": ["recpipe.replays"],
        "train_meta_model": ["recpipe.model", "recpipe.model"],
        "finetune_encoder": ["recpipe.encoder", "recpipe.encoder"],
        "maintain_tables": [],
        "classify_items": ["recpipe.item_classes"],
        "complete_items": ["recpipe.complements"],
        "complete_carts": ["recpipe.cart_recommendations"],
        "answer_searches": ["recpipe.search_recommendations"],
        "audience_campaigns": ["recpipe.campaign_audiences"],
        "profile_users": ["recpipe.user_profiles"],
        "insight_reviews": ["recpipe.review_insights"],
        "digest_reviews": ["recpipe.item_digests"],
        "erase_users": [],
    }


def test_a_backfill_asks_for_every_table_that_a_dag_writes(bag: DagBag) -> None:
    """What is asked for at its end: the outlets of the tasks, as the scheduler knows them, held against the table of writers."""
    from airflow.serialization.serialized_objects import DagSerialization

    from recpipe.airflow.backfill.run_ledger import promise
    from recpipe.airflow.links import WRITERS
    from recpipe.config.settings import load_settings

    root = Path(load_settings().places.lake_root).resolve()
    for dag in bag.dags.values():
        written = tuple(sorted(table for table, writer in WRITERS.items() if writer == dag.dag_id))
        for known in (dag, DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))):
            assert promise(known).tables == written
            assert promise(known).root == (str(root) if written else "")


def test_every_task_has_a_dag_that_says_the_same_of_it(bag: DagBag) -> None:
    """Only here: a DAG file does not import the task, which is dear."""
    from recpipe.tables.families import TASKS

    found = {}
    for dag in bag.dags.values():
        if "task" in dag.tags:
            inlets = {asset.name.removeprefix("recpipe.") for asset in dag.get_task("plan").inlets}
            (outlet,) = dag.get_task("publish").outlets
            found[outlet.name.removeprefix("recpipe.")] = (inlets, "model_version" in dag.params)
    assert found == {name: (set(task.reads), task.registered) for name, task in TASKS.items()}


def test_nothing_is_imported_from_the_dags_folder() -> None:
    for path in [
        *(REPOSITORY / "dags").glob("*.py"),
        *(REPOSITORY / "plugins").rglob("*.py"),
        *(REPOSITORY / "recpipe").rglob("*.py"),
    ]:
        for name in NAMES:
            assert f"import {name}" not in path.read_text()
            assert f"from {name}" not in path.read_text()


# --- in processes of their own: what is imported, how long it takes, and what the settings change

LOOK = """
import json, sys, time
import airflow.sdk
from airflow.sdk import Asset, BaseOperator, CronDataIntervalTimetable, Param, dag, get_current_context, task
from airflow.triggers.base import BaseTrigger
before = set(sys.modules)
started = time.process_time()
sys.path.insert(0, sys.argv[1])
module = __import__(sys.argv[2])
seconds = time.process_time() - started
from airflow.sdk import DAG
import gc
dag = next(o for o in gc.get_objects() if isinstance(o, DAG))
heavy = sorted({name.split(".")[0] for name in set(sys.modules) - before} & set(sys.argv[3].split(",")))
print(json.dumps({"seconds": seconds, "heavy": heavy, "start": dag.start_date and dag.start_date.isoformat(),
    "end": dag.end_date and dag.end_date.isoformat(), "zone": str(getattr(dag.timetable, "timezone", "")), "retries": dag.default_args["retries"]}))
"""


def look(name: str, **settings: str) -> dict[str, Any]:
    words = [sys.executable, "-c", LOOK, str(REPOSITORY / "dags"), name, ",".join(HEAVY)]
    env = {**os.environ, **{f"RECPIPE_{key.upper()}": value for key, value in settings.items()}}
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_imports_in_under_a_second_and_nothing_heavy(name: str) -> None:
    seen = look(name)
    assert seen["heavy"] == []
    assert seen["seconds"] < 1.0


@pytest.mark.parametrize(("name", "last"), [("ingest_clickstream", date(2011, 12, 9)), ("train_meta_model", date(2011, 12, 3))])
def test_its_dates_and_patience_come_from_the_settings(name: str, last: date) -> None:
    seen = look(name, timezone="Europe/London", first_day="2011-06-01", last_day="2011-12-09", retries="5")
    zone = ZoneInfo("Europe/London")
    assert datetime.fromisoformat(seen["start"]) == datetime(2011, 6, 1, tzinfo=zone)
    assert datetime.fromisoformat(seen["end"]) == datetime(last.year, last.month, last.day, tzinfo=zone)
    assert seen["zone"].endswith("Europe/London')") or seen["zone"] == "Europe/London"
    assert seen["retries"] == 5
    assert look(name)["end"] is None


def test_training_goes_to_the_queue_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_TRAIN_QUEUE", "gpu")
    found = DagBag(REPOSITORY / "dags" / "train_meta_model.py").dags["train_meta_model"]
    assert {task.task_id: task.queue for task in found.tasks if task.queue != "default"} == {"train": "gpu"}


def test_a_replay_trains_where_training_does_and_waits_for_the_days_since_its_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_TRAIN_QUEUE", "gpu")
    monkeypatch.setenv("RECPIPE_REPLAY_DAYS", "28")
    monkeypatch.setenv("RECPIPE_REPLAY_OPTIONS", '["--steps", "7"]')
    found = DagBag(REPOSITORY / "dags" / "replay_newcomers.py").dags["replay_newcomers"]
    assert {task.task_id: (task.queue, task.pool) for task in found.tasks if task.queue != "default"} == {"train": ("gpu", "gpu")}
    assert found.get_task("wait_for_days").needs == {"events": (27, 0)}
    assert list(found.get_task("train").command[-2:]) == ["--steps", "7"]
    assert found.get_task("train").downstream_task_ids == {"measure"}


def test_a_person_is_asked_where_the_shop_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_APPROVAL_HOURS", "24")
    found = DagBag(REPOSITORY / "dags" / "train_meta_model.py").dags["train_meta_model"]
    assert found.dagrun_timeout > timedelta(hours=24)
    approve = found.get_task("approve")
    assert (approve.defaults, approve.response_timeout) == (["Reject"], timedelta(hours=24))
    assert approve.execution_timeout is None
    assert approve.downstream_task_ids == {"promote"}
    assert found.get_task("propose").downstream_task_ids == {"approve", "promote"}


def test_a_small_form_of_the_encoder_is_made_where_a_setting_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_SMALL_ENCODER", "distil")
    monkeypatch.setenv("RECPIPE_APPROVAL_HOURS", "2")
    monkeypatch.setenv("RECPIPE_FINETUNE_OPTIONS", '["--steps", "7"]')
    found = DagBag(REPOSITORY / "dags" / "finetune_encoder.py").dags["finetune_encoder"]
    before = {task.task_id: sorted(task.upstream_task_ids) for task in found.tasks}
    assert before["approve"] == ["propose"]
    assert before["promote"] == ["approve", "propose", "register"]
    assert before["judge_small"] == ["export", "make_small", "served"]
    assert before["encode"] == ["export", "judge_small"]
    assert list(found.get_task("finetune").command[-2:]) == ["--steps", "7"]
