"""``airflow dags backfill`` against a scheduler and an api-server that run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recpipe.config.settings import Settings
from recpipe.local.home import airflow_environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

Airflow = Callable[..., "subprocess.CompletedProcess[str]"]


def noted(services: Settings, dag_id: str) -> list[dict[str, Any]]:
    file = services.places.home / "noted" / dag_id / "runs.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def backfill(airflow: Airflow, dag_id: str, first: str, last: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return airflow("dags", "backfill", "-s", first, "-e", last, *flags, dag_id)


def together(runs: list[dict[str, Any]]) -> int:
    """Return the most runs that overlapped."""
    return max(sum(other["started"] <= run["started"] < other["ended"] for other in runs) for run in runs)


def test_both_ends_are_included_and_it_waits_for_the_runs(airflow: Airflow, services: Settings) -> None:
    conf = json.dumps({"seconds": 0.7})
    done = backfill(airflow, "tiny_plain", "2011-03-25", "2011-03-28", "-c", conf, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = noted(services, "tiny_plain")
    assert sorted(run["day"] for run in runs) == ["2011-03-25", "2011-03-26", "2011-03-27", "2011-03-28"]
    assert {run["type"] for run in runs} == {"backfill"}
    assert {json.dumps(run["conf"]) for run in runs} == {conf}
    assert together(runs) == 2, "the DAG's own max_active_runs"
    assert "4 of 4 runs of tiny_plain succeeded." in done.stdout
    assert "2011-03-28 success" in done.stdout


def test_a_failed_run_is_named_with_its_tasks_and_can_be_run_again(airflow: Airflow, services: Settings) -> None:
    days = ("tiny_failing", "2011-03-08", "2011-03-10")
    done = backfill(airflow, *days, "--conf", '{"fail_on": "2011-03-09"}')
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED 2011-03-09: note. Its logs: http://127.0.0.1:" in done.stdout
    assert "2 of 3 runs of tiny_failing succeeded." in done.stdout

    left = backfill(airflow, *days)
    assert left.returncode == 1
    assert "Failed before: 2011-03-09. Give --rerun-failed-tasks to run them again." in left.stdout

    asked = backfill(airflow, *days, "--rerun-failed-tasks")
    assert asked.returncode == 2
    assert "Give --yes to agree" in asked.stderr

    (services.places.home / "noted" / "tiny_failing" / "mended").touch()
    again = backfill(airflow, *days, "--rerun-failed-tasks", "-y")
    assert again.returncode == 0, again.stdout + again.stderr
    assert [run["day"] for run in noted(services, "tiny_failing")].count("2011-03-09") == 2
    assert len(noted(services, "tiny_failing")) == 4


def test_a_second_backfill_at_once_is_taken_and_leaves_finished_days_alone(airflow: Airflow, services: Settings) -> None:
    first = backfill(airflow, "tiny_twice", "2011-03-08", "2011-03-08")
    second = backfill(airflow, "tiny_twice", "2011-03-08", "2011-03-09")
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + second.stdout + second.stderr
    assert "2011-03-08 left alone: its run stands there (success)" in second.stdout
    assert [run["day"] for run in noted(services, "tiny_twice")] == ["2011-03-08", "2011-03-09"]
    third = backfill(airflow, "tiny_twice", "2011-03-08", "2011-03-09")
    assert third.returncode == 0
    assert "Nothing to do." in third.stdout


def test_reset_dagruns_runs_finished_days_again_on_their_own_day(airflow: Airflow, services: Settings) -> None:
    # a run by hand at the same logical date, for another day, must not make the day its own
    by_hand = airflow(
        "dags", "trigger", "--logical-date", "2011-03-08T00:00:00+00:00", "-c", '{"day": "2011-03-20"}', "tiny_again"
    )
    assert by_hand.returncode == 0, by_hand.stderr
    until = time.monotonic() + 60
    while len(noted(services, "tiny_again")) < 1 and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(2)  # until the run is marked as ended
    done = backfill(airflow, "tiny_again", "2011-03-08", "2011-03-08", "--reset-dagruns", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(run["day"], run["type"]) for run in noted(services, "tiny_again")] == [
        ("2011-03-20", "manual"),
        ("2011-03-08", "backfill"),
    ]


def test_runs_that_somebody_else_started_are_waited_for(airflow: Airflow, services: Settings) -> None:
    conf = '{"day": "2011-03-08", "seconds": 30}'  # longer than a busy machine takes to start a command
    assert airflow("dags", "trigger", "--logical-date", "2011-03-08T00:00:00+00:00", "-c", conf, "tiny_started").returncode == 0
    done = backfill(airflow, "tiny_started", "2011-03-08", "2011-03-09")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2011-03-08 waited for: it is queued or running already" in done.stdout
    assert "2 of 2 runs of tiny_started succeeded." in done.stdout
    assert sorted(run["day"] for run in noted(services, "tiny_started")) == ["2011-03-08", "2011-03-09"]


def test_run_backwards_with_one_run_at_a_time(airflow: Airflow, services: Settings) -> None:
    done = backfill(airflow, "tiny_backwards", "2011-03-08", "2011-03-10", "--run-backwards", "--max-active-runs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = noted(services, "tiny_backwards")
    assert [run["day"] for run in runs] == ["2011-03-10", "2011-03-09", "2011-03-08"]
    assert together(runs) == 1


def test_a_weekly_dag_runs_for_the_last_day_of_its_week(airflow: Airflow, services: Settings) -> None:
    done = backfill(airflow, "tiny_weekly", "2011-03-07", "2011-03-13")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run["day"] for run in noted(services, "tiny_weekly")] == ["2011-03-13"]
    assert "2011-03-07 to 2011-03-13 success" in done.stdout


def test_ctrl_c_gives_up_what_waits(services: Settings) -> None:
    command = [str(Path(sys.executable).with_name("airflow")), "dags", "backfill", "-s", "2011-03-08", "-e", "2011-03-12"]
    command += ["--max-active-runs", "1", "-c", '{"seconds": 4}', "tiny_stopped"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**env, **airflow_environment(services)},
        # a shell lets what it starts in the background ignore Ctrl-C, these tests for one; a person's command does not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert started.stdout is not None
    seen = []
    for line in started.stdout:
        seen.append(line)
        if "2011-03-08 running" in line:
            time.sleep(1)
            started.send_signal(signal.SIGINT)
            break
    rest = started.communicate(timeout=60)[0]
    assert started.returncode == 130, "".join(seen) + rest
    assert "runs of this backfill that were waiting are marked failed" in rest
    until = time.monotonic() + 60
    while len(noted(services, "tiny_stopped")) < 1 and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(3)
    assert [run["day"] for run in noted(services, "tiny_stopped")] == ["2011-03-08"]


# --- --local beside the scheduler, and what was seen done


def command_of(services: Settings, *words: str) -> tuple[list[str], dict[str, str]]:
    program = str(Path(sys.executable).with_name("airflow"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    return [program, "dags", "backfill", *words], {**env, **airflow_environment(services)}


def test_a_scheduler_leaves_the_runs_of_local_alone(airflow: Airflow, services: Settings) -> None:
    """Their days are long past, and so is the time limit of a run that would be dated by them."""
    done = backfill(airflow, "tiny_beside", "2011-03-08", "2011-03-09", "--local", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 runs of tiny_beside succeeded." in done.stdout
    runs = noted(services, "tiny_beside")
    assert [run["day"] for run in runs] == ["2011-03-08", "2011-03-08", "2011-03-09", "2011-03-09"], "each task once"
    assert together(runs) == 1


def test_a_day_that_a_killed_local_left_is_run_again_by_the_scheduler(airflow: Airflow, services: Settings) -> None:
    days = ("tiny_left", "2011-03-08", "2011-03-09")
    command, env = command_of(services, "-s", days[1], "-e", days[2], "--local", "-c", '{"seconds": 60}', days[0])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as started:
        until = time.monotonic() + 120
        while time.monotonic() < until and "first" not in running(services, "tiny_left"):
            time.sleep(0.2)
        started.kill()
    assert noted(services, "tiny_left") == []
    done = backfill(airflow, *days)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 runs of tiny_left succeeded." in done.stdout
    assert sorted(run["day"] for run in noted(services, "tiny_left")) == [days[1], days[1], days[2], days[2]]


def running(services: Settings, dag_id: str) -> list[str]:
    with closing(sqlite3.connect(services.places.home / "airflow" / "airflow.db", timeout=60)) as base:
        asked = "SELECT task_id FROM task_instance WHERE dag_id = ? AND state = 'running'"
        return [task for (task,) in base.execute(asked, (dag_id,))]


def test_a_success_whose_tasks_were_skipped_is_named_and_can_be_run_again(airflow: Airflow, services: Settings) -> None:
    days = ("tiny_skipped", "2011-03-08", "2011-03-08")
    assert backfill(airflow, *days).returncode == 0
    with closing(sqlite3.connect(services.places.home / "airflow" / "airflow.db", timeout=60)) as base, base:
        base.execute(
            "UPDATE task_instance SET state = 'skipped', start_date = NULL, end_date = NULL WHERE dag_id = 'tiny_skipped'"
        )
    left = backfill(airflow, *days)
    assert left.returncode == 1, left.stdout + left.stderr
    assert "MISSING 2011-03-08: note skipped without having run." in left.stdout
    assert "with --reset-dagruns" in left.stdout
    again = backfill(airflow, *days, "--reset-dagruns", "-y")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(noted(services, "tiny_skipped")) == 2


def test_a_run_that_published_nothing_is_no_success(airflow: Airflow, services: Settings) -> None:
    done = backfill(airflow, "tiny_published", "2011-03-08", "2011-03-08", "-c", '{"publish": false}')
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"MISSING 2011-03-08: items of 2011-03-08 not in the register of the lake {services.places.lake_root}" in done.stdout
