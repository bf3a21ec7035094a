"""``airflow dags backfill --local``: one day after another, with neither scheduler nor api-server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from recpipe.config.settings import load_settings
from recpipe.lake.lake import Lake

DAGS = Path(__file__).parent / "dags"
DAY = "2011-03-10"


@pytest.fixture
def foreground(call: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_lake: Path) -> Callable[..., int]:
    """Call the command with --local; the DAG is read from the folder of the tiny ones."""
    from airflow.dag_processing.dagbag import DagBag

    from recpipe.airflow.backfill import foreground as room

    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path))
    monkeypatch.setenv("RECPIPE_LAKE", str(tiny_lake))
    monkeypatch.setattr(room, "get_bagged_dag", lambda _bundles, dag_id: DagBag(DAGS).dags[dag_id])
    return lambda *words, **flags: call(*words, local=True, **flags)


def noted(home: Path, dag_id: str = "tiny_foreground") -> list[dict[str, Any]]:
    file = home / "noted" / dag_id / "runs.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def in_a_process_of_its_own(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Call the command with --local as people do, in another process on the same database."""
    env = {**os.environ, "RECPIPE_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS)}
    command = [sys.executable, "-m", "airflow", "dags", "backfill", "--local", *words]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_it_runs(dag_id: str) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    until = time.monotonic() + 60
    while time.monotonic() < until:
        with create_session() as session:
            if session.scalar(select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.state == "running")):
                return
        time.sleep(0.2)
    raise AssertionError(f"no task of {dag_id} runs")


def test_each_run_works_on_its_own_day(foreground: Callable[..., int], tmp_path: Path) -> None:
    words = ("tiny_foreground", "2011-03-26", "2011-03-28")
    assert foreground(*words) == 0
    assert [line["day"] for line in noted(tmp_path)] == ["2011-03-26", "2011-03-27", "2011-03-28"]
    assert {line["type"] for line in noted(tmp_path)} == {"backfill"}, "of which nobody is told that it is late"
    assert foreground(*words) == 0  # they stand there, and are left alone
    assert len(noted(tmp_path)) == 3
    assert foreground(*words, reset_dagruns=True, run_backwards=True, yes=True) == 0
    assert [line["day"] for line in noted(tmp_path)][3:] == ["2011-03-28", "2011-03-27", "2011-03-26"]


def test_a_run_is_dated_by_the_clock_and_not_by_its_day(foreground: Callable[..., int]) -> None:
    """A scheduler ends a run by its time limit, counted from its start."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    before = datetime.now(UTC)
    assert foreground("tiny_foreground", "2011-04-10", "2011-04-10") == 0
    with create_session() as session:
        where = (DagRun.dag_id == "tiny_foreground", DagRun.logical_date == datetime(2011, 4, 9, 23, tzinfo=UTC))
        run = session.scalars(select(DagRun).where(*where)).one()
        assert run.start_date >= before
        assert run.run_after == datetime(2011, 4, 10, 23, tzinfo=UTC)


def test_it_stops_at_the_first_day_that_fails(
    foreground: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tiny_foreground", "2011-04-01", "2011-04-03")
    assert foreground(*words, conf='{"fail_on": "2011-04-02"}') == 1
    said = capsys.readouterr().out
    assert "FAILED 2011-04-02: note. The days after it were not run." in said
    assert "MISSING 2011-04-03: there is no run of it. Give the command again." in said
    assert [line["day"] for line in noted(tmp_path)] == ["2011-04-01", "2011-04-02"]


def test_a_task_that_waits_goes_on_with_what_it_knew(foreground: Callable[..., int], tmp_path: Path) -> None:
    assert foreground("tiny_beside", DAY, DAY) == 0
    assert [line["day"] for line in noted(tmp_path, "tiny_beside")] == [DAY, DAY]


# --- runs of a process that is gone


def test_a_run_whose_process_was_killed_is_run_again(
    foreground: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_a_process_of_its_own(tmp_path, "-s", DAY, "-e", DAY, "-c", '{"seconds": 60}', "tiny_killed") as process:
        until_it_runs("tiny_killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert noted(tmp_path, "tiny_killed") == []
        assert foreground("tiny_killed", DAY, DAY) == 0
    assert f"{DAY} success" in capsys.readouterr().out
    assert [line["day"] for line in noted(tmp_path, "tiny_killed")] == [DAY]


def test_a_run_of_a_process_that_lives_is_waited_for(
    foreground: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = "2011-03-11"
    with in_a_process_of_its_own(tmp_path, "-s", day, "-e", day, "-c", '{"seconds": 5}', "tiny_killed") as process:
        until_it_runs("tiny_killed")
        assert foreground("tiny_killed", day, day) == 0
        assert process.wait(20) == 0
    assert f"{day} waited for: it is queued or running already (running)" in capsys.readouterr().out
    assert [line["day"] for line in noted(tmp_path, "tiny_killed")] == [day], "once"


def test_ctrl_c_ends_the_run_as_failed(foreground: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    day = "2011-03-12"

    def interrupt() -> None:
        until_it_runs("tiny_killed")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert foreground("tiny_killed", day, "2011-03-13", conf='{"seconds": 30}') == 130
    assert "Stopped: a day that ran here is marked failed" in capsys.readouterr().out
    assert foreground("tiny_killed", day, day) == 1
    assert f"Failed before: {day}. Give --rerun-failed-tasks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left", "action"),
    [
        pytest.param({"triggering_user_name": "an older recpipe"}, "run again: nobody works on it any more", id="no scheduler"),
        pytest.param(
            {
                "triggering_user_name": "anna, --local: process 1 of elsewhere[7], started 1.00",
                "run_after": datetime.now(UTC) + timedelta(hours=2),
            },
            "waited for: it is queued or running already",
            id="another machine, alive",
        ),
        pytest.param(
            {
                "triggering_user_name": "anna, --local: process 1 of elsewhere[7], started 1.00",
                "run_after": datetime.now(UTC) - timedelta(seconds=2),
            },
            "run again: nobody works on it any more",
            id="another machine, silent",
        ),
    ],
)
def test_who_works_on_a_run_decides_whether_it_is_waited_for(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str], left: dict[str, Any], action: str
) -> None:
    day = "2011-04-20"
    assert foreground("tiny_left", day, day, reset_dagruns=True, yes=True) == 0
    change("tiny_left", {"_state": "running", **left})
    capsys.readouterr()
    assert foreground("tiny_left", day, day, dry_run=True) == 0
    change("tiny_left", {"_state": "success"})
    assert f"{action} (running)" in " ".join(capsys.readouterr().out.split())


def change(dag_id: str, run: dict[str, Any], **tasks: Any) -> None:
    """Make runs of a DAG look as if something had happened to them."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        if run:
            session.execute(update(DagRun).where(DagRun.dag_id == dag_id).values(run))
        if tasks:
            session.execute(update(TaskInstance).where(TaskInstance.dag_id == dag_id).values(**tasks))


# --- what was seen done


def test_a_run_whose_tasks_were_all_skipped_is_no_success(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """As a scheduler leaves the tasks of a run whose time is up; the run itself may be called a success."""
    assert foreground("tiny_skipped", DAY, DAY) == 0
    change("tiny_skipped", {}, state="skipped", start_date=None, end_date=None)
    capsys.readouterr()
    assert foreground("tiny_skipped", DAY, DAY) == 1
    said = capsys.readouterr().out
    assert (
        f"MISSING {DAY}: note skipped without having run. Its run was left alone (success): give the command again with" in said
    )
    assert "--reset-dagruns" in said
    assert "Nothing to do" not in said
    assert foreground("tiny_skipped", DAY, DAY, reset_dagruns=True, yes=True) == 0


@pytest.mark.parametrize(
    ("way", "code", "fault"), [("", 0, ""), ("short", 0, ""), ("itself", 0, ""), ("over nothing", 0, ""), ("fails", 1, "decide")]
)
def test_a_task_may_be_skipped_where_the_dag_says_so(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str], way: str, code: int, fault: str
) -> None:
    assert foreground("tiny_ways", DAY, DAY, conf=json.dumps({"way": way}), reset_dagruns=True, yes=True) == code
    assert (f"FAILED {DAY}: {fault}, work failed" if fault else "1 of 1 runs of tiny_ways succeeded.") in capsys.readouterr().out


def test_a_day_that_is_not_in_the_register_is_missing_whatever_its_run_says(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str], tiny_lake: Path
) -> None:
    words = ("tiny_published", DAY, DAY)
    assert foreground(*words, conf='{"publish": false}', reset_dagruns=True, yes=True) == 1
    said = capsys.readouterr().out
    assert f"FAILED {DAY}: items of {DAY} not in the register of the lake {tiny_lake}" in said
    assert "1 of 1 days of tiny_published were not seen done." in said

    assert foreground(*words) == 1
    assert f"MISSING {DAY}: items of {DAY} not in the register" in (said := capsys.readouterr().out)
    assert "Its run was left alone (success): give the command again with --reset-dagruns." in said

    assert foreground(*words, reset_dagruns=True, yes=True) == 0
    assert foreground(*words) == 0
    assert "Nothing to do." in capsys.readouterr().out


@pytest.mark.parametrize("rows", [1, 0])
def test_a_day_that_stays_as_it_was_is_no_success_of_a_new_run(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str], rows: int
) -> None:
    """A day without rows that is written again makes no new version of the table, and is published all the same."""
    words = ("tiny_published", "2011-03-14", "2011-03-14")
    for _ in range(2):
        assert foreground(*words, reset_dagruns=True, yes=True, conf=json.dumps({"rows": rows})) == 0
    capsys.readouterr()
    assert foreground(*words, reset_dagruns=True, yes=True, conf='{"publish": false}') == 1
    assert "items of 2011-03-14 as it was before, so not published by this run" in capsys.readouterr().out


def test_a_day_that_was_refused_is_missing(foreground: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("tiny_published", "2011-03-15", "2011-03-15")
    Lake.from_settings(load_settings()).mark_open("items", date(2011, 3, 15))
    assert foreground(*words, conf='{"publish": false}', reset_dagruns=True, yes=True) == 1
    assert "items of 2011-03-15 open: tried and refused" in capsys.readouterr().out


def test_a_register_that_cannot_be_read_is_no_success(
    foreground: Callable[..., int], capsys: pytest.CaptureFixture[str], tiny_lake: Path
) -> None:
    words = ("tiny_published", "2011-03-16", "2011-03-16")
    assert foreground(*words, reset_dagruns=True, yes=True) == 0
    log = sorted((tiny_lake / "days" / "_delta_log").glob("*.json"))[-1]
    whole = log.read_text()
    log.write_text("{not json")
    try:
        assert foreground(*words) == 1
    finally:
        log.write_text(whole)
    assert "what is published cannot be seen, as the register of the lake" in capsys.readouterr().out
