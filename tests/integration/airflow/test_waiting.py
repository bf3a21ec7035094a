"""Sensors go on at once when what they wait for is there, wait in the triggerer when it is not, and say what is missing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from recpipe.airflow.sensors import DaySensor, DeliverySensor, WaitTrigger
from recpipe.config.settings import load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path))
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Europe/London")
    monkeypatch.setenv("RECPIPE_WAIT_MINUTES", "180")
    monkeypatch.setenv("RECPIPE_BACKFILL_WAIT_MINUTES", "0.01")
    monkeypatch.setenv("RECPIPE_POLL_SECONDS", "0.1")
    return tmp_path


def context(run_type: str = "backfill", **params: Any) -> dict[str, Any]:
    """The run of the British day 1 September 2011."""
    run = SimpleNamespace(run_type=run_type, run_id="a run", data_interval_end=datetime(2011, 9, 1, 23, tzinfo=UTC))
    return {"dag_run": run, "params": params}


def deliver(home: Path, *tables: str) -> None:
    for table in tables:
        folder = home / "landing" / table / f"day={DAY}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "_SUCCESS").touch()


def publish(*days: date) -> None:
    for day in days:
        Lake.from_settings(load_settings()).publish("events", [day], TABLES["events"].schema.empty_table())


def event_of(deferred: TaskDeferred) -> str:
    """Run the trigger as the triggerer would: made again from what it serialized."""
    path, arguments = deferred.trigger.serialize()
    assert path == "recpipe.airflow.sensors.WaitTrigger"

    async def first() -> str:
        async for event in WaitTrigger(**arguments).run():
            return event.payload
        raise AssertionError("no event")

    return asyncio.run(first())


def test_a_ready_delivery_needs_no_triggerer(home: Path) -> None:
    deliver(home, "events", "items", "users")
    DeliverySensor(task_id="wait").execute(context())


def test_a_missing_delivery_is_named_when_the_time_is_up(home: Path) -> None:
    deliver(home, "events", "items")
    sensor = DeliverySensor(task_id="wait")
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    missing = event_of(deferred.value)
    with pytest.raises(AirflowFailException) as failed:
        getattr(sensor, deferred.value.method_name)(context(), missing, **deferred.value.kwargs)
    assert "The delivery of 2011-09-01 is not complete: _SUCCESS is missing in users/day=2011-09-01" in str(failed.value)
    assert "It was waited for 0.01 min (RECPIPE_WAIT_MINUTES" in str(failed.value)


def test_a_delivery_that_comes_later_is_noticed(home: Path) -> None:
    sensor = DeliverySensor(task_id="wait")
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context(run_type="scheduled"))
    deliver(home, "events", "items", "users")
    missing = event_of(deferred.value)
    assert missing == ""
    getattr(sensor, deferred.value.method_name)(context(), missing, **deferred.value.kwargs)


def test_a_landing_that_does_not_answer_is_waited_for_and_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_LANDING", "s3://shop/landing")
    options = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x", "max_retries": "0",
               "AWS_ACCESS_KEY_ID": "shop", "AWS_SECRET_ACCESS_KEY": "geheim"}  # fmt: skip
    monkeypatch.setenv("RECPIPE_LANDING_OPTIONS", json.dumps(options))
    with pytest.raises(TaskDeferred) as deferred:
        DeliverySensor(task_id="wait").execute(context())
    assert event_of(deferred.value).startswith("The landing s3://shop/landing cannot be read: it does not answer.")


def test_scheduled_runs_wait_longer_than_backfills(home: Path) -> None:
    limits = {}
    for run_type in ("scheduled", "backfill"):
        with pytest.raises(TaskDeferred) as deferred:
            DeliverySensor(task_id="wait").execute(context(run_type))
        limits[run_type] = deferred.value.trigger.until - time.time()
    assert limits["scheduled"] == pytest.approx(180 * 60, abs=5)
    assert limits["backfill"] < 1


def test_a_restarted_triggerer_does_not_start_the_waiting_anew(home: Path) -> None:
    trigger = WaitTrigger("delivery", {"day": str(DAY)}, time.time() - 1, 60.0)
    started = time.monotonic()

    async def first() -> str:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("no event")

    assert "is not complete" in asyncio.run(first())
    assert time.monotonic() - started < 5


def test_a_week_is_complete_when_each_of_its_days_is(home: Path) -> None:
    sensor = DaySensor(task_id="wait", needs={"events": (2, 0)})
    publish(date(2011, 8, 30), date(2011, 9, 1))
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    assert event_of(deferred.value) == (
        "Not published yet: events of 2011-08-31. Run the DAG that writes the table for these days first."
    )
    publish(date(2011, 8, 31))
    sensor.execute(context())


def test_a_run_by_hand_has_to_name_its_day(home: Path) -> None:
    with pytest.raises(AirflowFailException, match="A manual run has to name its day: trigger it with the parameter day"):
        DeliverySensor(task_id="wait").execute(context("manual"))
    deliver(home, "events", "items", "users")
    DeliverySensor(task_id="wait").execute(context("manual", day="2011-09-01"))


def test_the_triggerer_imports_nothing_heavy() -> None:
    code = (
        "import sys; import recpipe.airflow.sensors; "
        "print([name for name in ('pyarrow', 'pandas', 'deltalake', 'numpy', 'mlflow', 'torch', 'great_expectations') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
