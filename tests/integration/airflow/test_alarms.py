"""A failed task and late lists are told of, those of a backfill are not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DeadlineReference
from airflow.sdk.exceptions import AirflowFailException

from recpipe.airflow.context import Refused
from recpipe.airflow.defaults import default_args, refusals, run_limit
from recpipe.airflow.notifications import TellQuestion, deadline, tell_failure, tell_floors, tell_late, tell_timeout
from recpipe.config.settings import load_settings
from recpipe.errors import AuditFailed, BadSetting, Trouble


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, webhook: Any) -> list[dict[str, Any]]:
    """The notices that a listener gets."""
    monkeypatch.setenv("RECPIPE_WEBHOOK", webhook.url)
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Europe/London")
    monkeypatch.setenv("RECPIPE_DEADLINE_HOURS", "6")
    return webhook.notices


def context(task_id: str, error: BaseException, run_type: str = "scheduled") -> dict[str, Any]:
    run = SimpleNamespace(run_type=run_type, run_id="a run", data_interval_end=datetime(2011, 9, 1, 23, tzinfo=UTC))
    instance = SimpleNamespace(dag_id="recommend_nightly", task_id=task_id, log_url="http://127.0.0.1:8080/log")
    return {"dag_run": run, "params": {}, "ti": instance, "exception": error}


def refused(error: Exception) -> BaseException:
    with pytest.raises(Refused) as caught, refusals():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("task_id", "error", "kind"),
    [
        ("publish", refused(AuditFailed("The lists of 2011-09-01 failed.")), "audit"),
        ("publish", refused(BadSetting("RECPIPE_TOP_K: too small.")), "failed"),
        ("rank", MemoryError(), "failed"),
        ("wait_for_day", RuntimeError("events of 2011-09-01 are missing."), "late"),
    ],
)
def test_a_failed_task_is_told_with_its_day_and_its_log(
    told: list[dict[str, Any]], task_id: str, error: BaseException, kind: str
) -> None:
    tell_failure(context(task_id, error))
    (notice,) = told
    assert notice["kind"] == kind
    assert notice["day"] == "2011-09-01"
    assert notice["what"] == f"recommend_nightly, task {task_id}, failed for 2011-09-01: {str(error) or 'MemoryError'}"
    assert notice["link"] == "http://127.0.0.1:8080/log"


@pytest.mark.parametrize(("run_type", "tells"), [("scheduled", True), ("manual", True), ("backfill", False)])
def test_a_crossed_floor_is_told_but_not_of_a_backfill(
    told: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, run_type: str, tells: bool
) -> None:
    outcome = {"warnings": ["ndcg@10 of zero fell under its floor."], "day": "2011-09-01"}
    assert tell_floors(context("warn", RuntimeError(), run_type), load_settings(), outcome) is tells
    assert [(notice["kind"], notice["day"], notice["what"]) for notice in told] == (
        [("floor", "2011-09-01", outcome["warnings"][0])] if tells else []
    )
    assert outcome["warnings"][0] in caplog.text


def test_a_long_error_is_cut(told: list[dict[str, Any]]) -> None:
    tell_failure(context("rank", RuntimeError("x" * 10_000)))
    assert len(told[0]["what"]) < 600


def test_a_run_that_names_no_day_is_told_of_too(told: list[dict[str, Any]]) -> None:
    error = refused(BadSetting("A manual run has to name its day."))
    tell_failure(context("plan", error, run_type="manual"))
    asyncio.run(tell_late({"dag_run": late_run("manual"), "deadline": {}}))
    assert [(notice["kind"], notice["day"]) for notice in told] == [("failed", ""), ("late", "")]
    assert told[0]["what"] == "recommend_nightly, task plan, failed for no day: A manual run has to name its day."


def test_a_task_that_airflow_found_dead_is_told_of_without_its_error(told: list[dict[str, Any]]) -> None:
    found_dead = context("rank", MemoryError())
    del found_dead["exception"]
    tell_failure(found_dead)
    assert told[0]["what"].endswith("failed for 2011-09-01: its process ended without a word, killed or out of memory.")


def test_backfills_tell_nobody(told: list[dict[str, Any]]) -> None:
    tell_failure(context("rank", RuntimeError("broken"), run_type="backfill"))
    asyncio.run(tell_late({"dag_run": late_run("backfill"), "deadline": {}}))
    assert told == []


def test_a_question_that_waits_is_told_of_with_its_page(told: list[dict[str, Any]]) -> None:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    asks = ApprovalOperator(
        task_id="approve", subject="Promote version 3?", body="Its gain is +4 %.\n\nMore.", defaults="Reject",
        response_timeout=timedelta(hours=24), notifiers=TellQuestion(),
    )  # fmt: skip
    waiting = context("approve", RuntimeError(), run_type="backfill")
    where = {"dag_id": "train_meta_model", "run_id": "backfill__2011-09-01T23:00:00+00:00", "task_id": "approve"}
    for tell in asks.notifiers:
        tell({**waiting, "task": asks, "ti": SimpleNamespace(**where)})
    (notice,) = told
    assert (notice["kind"], notice["day"]) == ("waits", "2011-09-01")
    assert notice["what"] == "Promote version 3? It was trained up to 2011-09-01. Its gain is +4 %."
    assert notice["todo"] == "Look at the comparison and answer within 24 h; no answer by then is taken as Reject:"
    run = "backfill__2011-09-01T23%3A00%3A00%2B00%3A00"
    assert notice["link"] == f"http://127.0.0.1:8080/dags/train_meta_model/runs/{run}/tasks/approve/required_actions"


def late_run(run_type: str) -> dict[str, Any]:
    """A run as Airflow's scheduler hands it to the callback: JSON of its API."""
    return {
        "dag_id": "recommend_nightly",
        "dag_run_id": "scheduled__2011-09-01",
        "run_type": run_type,
        "data_interval_end": "2011-09-01T23:00:00Z",
        "conf": None,
        "state": "running",
    }


def test_late_lists_are_told_of(told: list[dict[str, Any]]) -> None:
    asyncio.run(tell_late({"dag_run": late_run("scheduled"), "deadline": {}}))
    (notice,) = told
    assert (notice["kind"], notice["day"]) == ("late", "2011-09-01")
    assert "was not done 6 hours after midnight; its state is running" in notice["what"]
    assert "scheduled__2011-09-01" in notice["todo"]


def ended(reason: str, run_type: str = "scheduled") -> dict[str, Any]:
    """What Airflow's DAG processor hands to the callback of a DAG."""
    dag = SimpleNamespace(dag_id="train_meta_model", dagrun_timeout=run_limit()["dagrun_timeout"])
    return {**context("train", RuntimeError()), "dag": dag, "run_id": f"{run_type}__2011-09-01", "reason": reason}


def test_a_run_that_reached_its_limit_is_told_of(told: list[dict[str, Any]]) -> None:
    tell_timeout(ended("timed_out"))
    tell_timeout({name: value for name, value in ended("timed_out").items() if name != "dag_run"})
    assert [(notice["kind"], notice["day"]) for notice in told] == [("late", "2011-09-01"), ("late", "")]
    assert told[0]["what"].startswith("train_meta_model of 2011-09-01 was ended after 12 hours;")
    assert "scheduled__2011-09-01" in told[0]["todo"]


def test_a_failed_run_is_told_of_by_its_tasks_alone(told: list[dict[str, Any]]) -> None:
    tell_timeout(ended("task_failure"))
    tell_timeout(ended("timed_out", run_type="backfill"))
    assert told == []


def test_a_deadline_is_set_where_the_shop_asks_for_one() -> None:
    assert deadline(load_settings(home="unused")) == {}
    alert = deadline(load_settings(home="unused", deadline_hours=6))["deadline"]
    assert alert.reference == DeadlineReference.DAGRUN_LOGICAL_DATE
    assert alert.interval == timedelta(hours=30)
    assert alert.callback.path == "recpipe.airflow.notifications.tell_late"


def test_every_task_tells_of_its_failure() -> None:
    assert default_args(load_settings(home="unused"), minutes=1)["on_failure_callback"] is tell_failure


def test_a_fault_of_a_library_is_tried_again_as_a_sentence_and_its_place_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    delivered = pa.array(["anna@shop.example"])

    def read() -> None:
        delivered.cast(pa.int64())

    with pytest.raises(Trouble, match="It could not go on \\(ArrowInvalid") as caught, refusals():
        read()
    assert not isinstance(caught.value, AirflowFailException)
    assert "anna" not in str(caught.value) + caplog.text  # outside of a task nobody can tell whether there is a key
    assert "in read" in caplog.text
    with pytest.raises(KeyError), refusals():
        raise KeyError("a mistake of ours")
