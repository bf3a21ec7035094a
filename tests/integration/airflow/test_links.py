"""Links beside tasks: each leads to a page that exists, or to none; what they lead to says where rows came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from recpipe.airflow.links import WRITERS
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import DAYS, TABLES
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 1)
PAGES = "https://data.shop.example/airflow"
MLFLOW = "https://mlflow.shop.example"
DECISION = {"version": "12", "promoted": True}
RETURNED = {
    ("ingest_clickstream", "publish"): {"items": 1, "users": 0},
    ("recommend_nightly", "plan"): [{"night": {"model_version": "12+knowledge-0a1b2c3d"}}],
    ("train_meta_model", "register"): "12",
    ("train_meta_model", "promote"): DECISION,
}


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    assert not bag.import_errors
    return bag.dags


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home whose day has verdicts, a report and a trained model, seen from elsewhere."""
    told = {"RECPIPE_HOME": str(settings.places.home), "RECPIPE_AIRFLOW_PAGES": PAGES, "RECPIPE_MLFLOW_PAGES": MLFLOW}
    for name, value in {**told, "RECPIPE_TIMEZONE": "Europe/London"}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def fill(home: Settings) -> None:
    from recpipe.models.io import save
    from recpipe.models.popularity import Popularity

    (home.places.reports / "verdicts").mkdir(parents=True)
    for name in ("outcomes", "replay"):
        (home.places.reports / f"{name}-{DAY}.html").touch()
    for table in TABLES:
        (home.places.reports / "verdicts" / f"{table}-{DAY}.html").touch()
    save(Popularity(), home.places.work / "model", {"encoder": "", "seed": 1})


def ended(home: Settings, dag_id: str, task_id: str, *, well: bool = True) -> Any:
    """A task's instance when it has ended, as far as a link asks it."""
    returned = RETURNED.get((dag_id, task_id), 5)
    reports = {("evaluate_recommendations", "evaluate"): "outcomes", ("replay_newcomers", "measure"): "replay"}
    if (dag_id, task_id) in reports:
        returned = {"report": str(home.places.reports / f"{reports[dag_id, task_id]}-{DAY}.html")}

    def xcom_pull(task_ids: str, key: str = "return_value") -> Any:
        if (task_ids, key) == ("export", "model"):
            return str(home.places.work / "model")
        return returned if well and task_ids == task_id else None

    run = SimpleNamespace(run_type="scheduled", run_id="scheduled__1", data_interval_end=datetime(2011, 9, 1, 23, tzinfo=UTC))
    return SimpleNamespace(
        dag_id=dag_id, task_id=task_id, xcom_pull=xcom_pull, get_template_context=lambda: {"dag_run": run, "params": {}}
    )


def links(dags: dict[str, Any], home: Settings, well: bool) -> Iterator[tuple[str, str, str, str]]:
    """Each link of each task: DAG, task, what stands on the button, address."""
    for dag in dags.values():
        for task in dag.tasks:
            for link in task.operator_extra_links:
                instance = ended(home, dag.dag_id, task.task_id, well=well)
                yield dag.dag_id, task.task_id, link.name, link.get_link(operator=task, ti_key=instance)


def test_every_link_leads_to_a_page_that_the_page_knows(dags: dict[str, Any], home: Settings) -> None:
    from starlette.routing import Match

    from recpipe.airflow.web.app import build

    fill(home)
    found = list(links(dags, home, well=True))
    routes = [route for route in build().routes if route.path != "/{anything:path}"]
    for dag_id, task_id, name, address in found:
        if address.startswith(f"{MLFLOW}/"):
            assert address == f"{MLFLOW}/#/models/recpipe/versions/12", (dag_id, task_id, name)
            continue
        assert address.startswith(f"{PAGES}/recpipe/"), (dag_id, task_id, name, address)
        scope = {"type": "http", "method": "GET", "path": address.removeprefix(f"{PAGES}/recpipe"), "root_path": ""}
        assert any(route.matches(scope)[0] == Match.FULL for route in routes), (dag_id, task_id, name, address)
    assert {dag_id for dag_id, *_ in found} == {dag_id for dag_id in dags if dag_id in WRITERS.values()} | {"train_meta_model"}


def test_links_say_what_they_lead_to(dags: dict[str, Any], home: Settings) -> None:
    fill(home)
    found = {(dag_id, task_id, name): address for dag_id, task_id, name, address in links(dags, home, well=True)}
    page = f"{PAGES}/recpipe"
    assert found["recommend_nightly", "publish", "Table version"] == f"{page}/tables/recommendations/2011-09-01"
    assert found["recommend_nightly", "publish", "Verdict"] == f"{page}/reports/verdicts/recommendations-2011-09-01.html"
    assert found["recommend_nightly", "plan", "MLflow run"] == f"{page}/versions/12/run"
    assert found["ingest_clickstream", "publish", "Table version of users"] == f"{page}/tables/users/2011-09-01"
    assert found["evaluate_recommendations", "evaluate", "Report"] == f"{page}/reports/outcomes-2011-09-01.html"
    assert found["replay_newcomers", "measure", "Report"] == f"{page}/reports/replay-2011-09-01.html"
    assert re.fullmatch(f"{re.escape(page)}/versions/[0-9a-f]{{64}}/run", found["train_meta_model", "train", "MLflow run"])


def test_what_failed_before_it_began_has_no_links(dags: dict[str, Any], home: Settings) -> None:
    assert {address for *_, address in links(dags, home, well=False)} == {""}


def test_a_failed_audit_links_to_its_verdict_alone(dags: dict[str, Any], home: Settings) -> None:
    fill(home)
    found = [
        (name, bool(address))
        for dag_id, task_id, name, address in links(dags, home, well=False)
        if (dag_id, task_id) == ("recommend_nightly", "publish")
    ]
    assert found == [("Verdict", True), ("Table version", False)]


def test_links_of_one_task_do_not_share_a_place(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            keys = [link.xcom_key for link in task.operator_extra_links]
            assert len(set(keys)) == len(keys), (dag.dag_id, task.task_id)


def test_airflow_shows_the_links(dags: dict[str, Any]) -> None:
    """As its pages have a DAG: from the database, without the code of the links."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dags["recommend_nightly"]))
    assert stored.get_task("publish").extra_links == ["Table version", "Verdict"]
    assert stored.get_task("plan").extra_links == ["MLflow run", "Model version"]


def test_the_writers_are_those_of_the_dags(dags: dict[str, Any]) -> None:
    wrote = {
        asset.name.removeprefix("recpipe."): dag.dag_id
        for dag in dags.values()
        for task in dag.tasks
        for asset in task.outlets
        if asset.name.removeprefix("recpipe.") in TABLES
    }
    assert dict(WRITERS) == wrote
    assert set(wrote) == set(TABLES) - {DAYS.name} - {"erasures"}


# --- what they lead to


def test_each_time_that_a_day_was_written_is_told(home: Settings) -> None:
    from recpipe.airflow.web.traces import written

    lake = Lake(home.places.lake_root, run_id="manual__1+2")
    none = pa.Table.from_pylist([], schema=TABLES["recommendations"].schema)
    lake.publish("recommendations", [DAY], none, inputs=[Input("events", DAY, DAY, 3)], model_version="1")
    Lake(home.places.lake_root).publish("recommendations", [DAY], none, model_version="pairs-1:00ff")
    newest, first = written(home, "recommendations", DAY)["times"]
    assert (newest["record"].model_version, newest["model"], newest["run"]) == ("pairs-1:00ff", "", "")
    assert first["model"] == f"{MLFLOW}/#/models/recpipe/versions/1"
    assert first["run"] == f"{PAGES}/dags/recommend_nightly/runs/manual__1%2B2"
    assert first["record"].inputs == (Input("events", DAY, DAY, 3),)


def test_a_version_is_found_in_mlflow_by_its_number_and_by_its_hash(home: Settings) -> None:
    from recpipe.airflow.web.traces import in_mlflow
    from recpipe.errors import MissingModel
    from recpipe.registry.store import client, experiment_id

    store = client(home)
    run = store.create_run(experiment_id(store, home.places)).info
    store.create_registered_model("recpipe")
    content = "c" * 64
    tags = {"content": content, "trained_until": "2011-08-28", "fitted_until": "2011-08-21"}
    store.create_model_version("recpipe", f"{home.places.home}/model", run.run_id, tags=tags)
    for name in ("1", content):
        assert in_mlflow(home, name, "model") == f"{MLFLOW}/#/models/recpipe/versions/1"
        assert in_mlflow(home, name, "run") == f"{MLFLOW}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    with pytest.raises(MissingModel, match="register"):
        in_mlflow(home, "2", "run")
