"""What ``airflow dags backfill`` refuses, and what it would do, without any service."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from recpipe.errors import RecpipeError

DAY = "2011-03-10"

REFUSED = [
    pytest.param(
        ("tiny_plain", "2011-03-32", DAY), {}, "--start-date '2011-03-32' is no day; write it as 2011-09-01", id="no day"
    ),
    pytest.param(("tiny_plain", DAY, "2011-03-11T02:00"), {}, "is a time of a day. .* write 2011-03-11", id="time"),
    pytest.param(("tiny_plain", DAY, "2011-03-09"), {}, "ends .* before it starts .*: exchange -s and -e", id="turned round"),
    pytest.param(("tiny_nobody", DAY, DAY), {}, "There is no DAG 'tiny_nobody'. See `airflow dags list`", id="unknown"),
    pytest.param(("tiny_unscheduled", DAY, DAY), {}, "has no schedule with intervals", id="no schedule"),
    pytest.param(("tiny_plain", "2011-02-28", DAY), {}, "from 2011-03-01 to 2011-04-30; 2011-02-28 lies outside", id="too early"),
    pytest.param(("tiny_plain", DAY, "2011-05-01"), {}, "2011-05-01 lies outside. Choose days within", id="too late"),
    pytest.param(("tiny_endless", "2999-01-01", "2999-01-02"), {}, "Backfill cannot be executed for future dates", id="future"),
    pytest.param(("tiny_weekly", "2011-03-08", "2011-03-13"), {}, "A weekly DAG has one where its week starts", id="no week"),
    pytest.param(("tiny_plain", DAY, DAY), {"conf": '{"day": "2011-03-11"}'}, "--conf cannot set 'day'", id="conf day"),
    pytest.param(("tiny_plain", DAY, DAY), {"conf": "{day}"}, "--conf is no JSON", id="conf text"),
    pytest.param(("tiny_plain", DAY, DAY), {"conf": "[1]"}, "has to be a JSON object", id="conf list"),
    pytest.param(("tiny_plain", DAY, DAY), {"conf": '{"seconds": -1}'}, "Airflow refuses .* -1", id="conf against the params"),
    pytest.param(
        ("tiny_plain", DAY, DAY), {"max_active_runs": 0}, "--max-active-runs has to be 1 or more", id="no runs at a time"
    ),
    pytest.param(("tiny_paused", DAY, DAY), {}, "is paused, .*: run `airflow dags unpause tiny_paused` first", id="paused"),
    pytest.param(("tiny_plain", DAY, DAY), {}, "No scheduler is running: start one with `recpipe up`", id="no scheduler"),
    pytest.param(("tiny_nobody", DAY, DAY), {"local": True}, "There is no DAG 'tiny_nobody'", id="local, unknown"),
]


@pytest.mark.parametrize(("words", "flags", "sentence"), REFUSED)
def test_it_refuses_with_a_sentence(
    call: Callable[..., int], words: tuple[str, ...], flags: dict[str, object], sentence: str
) -> None:
    with pytest.raises(RecpipeError, match=re.compile(sentence, re.DOTALL)):
        call(*words, **flags)


def test_a_day_that_is_not_over_is_refused(call: Callable[..., int]) -> None:
    today = datetime.now(UTC).date()
    with pytest.raises(RecpipeError, match="is not over yet, so DAG tiny_endless cannot run for it"):
        call("tiny_endless", str(today - timedelta(days=3)), str(today))


@pytest.mark.parametrize(
    ("alive", "sentence"),
    [
        (["SchedulerJob"], r"No triggerer is running, .*: start one with `recpipe up`"),
        (
            ["SchedulerJob", "TriggererJob"],
            r"The api-server does not answer at http://127.0.0.1:9/.*: start it with `recpipe up`",
        ),
    ],
)
def test_what_else_is_missing_is_told_of(call: Callable[..., int], alive: list[str], sentence: str) -> None:
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    with create_session() as session:
        jobs = [Job(job_type=name, state="running", latest_heartbeat=datetime.now(UTC)) for name in alive]
        session.add_all(jobs)
    try:
        with pytest.raises(RecpipeError, match=sentence):
            call("tiny_plain", DAY, DAY)
    finally:
        with create_session() as session:
            for job in jobs:
                session.delete(session.merge(job))


def test_dry_run_lists_days_of_the_zone_across_the_change_of_clocks(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("tiny_plain", "2011-03-26", "2011-03-28", dry_run=True) == 0
    shown = capsys.readouterr().out
    for day, start, end in (
        ("2011-03-26", "2011-03-26T00:00:00+00:00", "2011-03-27T00:00:00+00:00"),
        ("2011-03-27", "2011-03-27T00:00:00+00:00", "2011-03-27T23:00:00+00:00"),
        ("2011-03-28", "2011-03-27T23:00:00+00:00", "2011-03-28T23:00:00+00:00"),
    ):
        assert re.search(rf"{day} │ {re.escape(start)} │ {re.escape(start)} to {re.escape(end)} │ new", shown)


def test_dry_run_of_a_weekly_dag_lists_the_weeks_that_start_in_the_range(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("tiny_weekly", "2011-03-08", "2011-03-21", dry_run=True, run_backwards=True) == 0
    assert re.findall(r"│ (2011-[-0-9]+ to [-0-9]+) │", capsys.readouterr().out) == [
        "2011-03-21 to 2011-03-27",
        "2011-03-14 to 2011-03-20",
    ]


def test_dags_keeps_its_other_commands() -> None:
    from airflow.cli.cli_config import core_commands
    from airflow.cli.cli_parser import ALL_COMMANDS_DICT

    before = {command.name for group in core_commands if group.name == "dags" for command in group.subcommands}
    assert {command.name for command in ALL_COMMANDS_DICT["dags"].subcommands} == before | {"backfill"}


def test_airflow_knows_recpipe_as_a_provider() -> None:
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().providers["recpipe"].data["cli"] == ["recpipe.airflow.backfill.cli_command.add_backfill_command"]


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the backfills that were created: there is no scheduler here whose work could be followed."""
    from recpipe.airflow.backfill import backfill_command as room

    ids: list[int] = []
    monkeypatch.setattr(room, "trouble", lambda _dag: "")
    monkeypatch.setattr(room, "follow", lambda _console, created, _dag, _runs: ids.append(created) or [])
    return ids


def other_process(seconds: float = 0.0) -> sqlite3.Connection:
    """Return a connection to Airflow's database that is not Airflow's."""
    from airflow.settings import SQL_ALCHEMY_CONN

    return sqlite3.connect(SQL_ALCHEMY_CONN.removeprefix("sqlite:///"), timeout=seconds, check_same_thread=False)


def test_others_see_all_runs_of_a_backfill_or_none(
    call: Callable[..., int], created: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that sees one of two runs, which then vanishes as SQLite refuses the other, does not survive it."""
    from airflow.models.dagrun import DagRun

    original = DagRun.generate_run_id
    runs = "SELECT count(*) FROM dag_run WHERE dag_id = 'tiny_backwards'"
    seen, refused = [], []

    def look(**known: object) -> str:
        with closing(other_process()) as other:
            seen.append(other.execute(runs).fetchone()[0])
            try:
                other.execute("UPDATE slot_pool SET description = 'written'")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        return original(**known)

    monkeypatch.setattr(DagRun, "generate_run_id", staticmethod(look))
    assert call("tiny_backwards", "2011-03-10", "2011-03-12") == 1, "nobody ran them here"
    assert (seen, refused) == ([0, 0, 0], ["database is locked"] * 3)
    with closing(other_process()) as other:
        assert other.execute(runs).fetchone() == (3,)
    assert len(created) == 1


def test_a_busy_database_is_waited_for(call: Callable[..., int], created: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes between the service's first read and its first change."""
    from airflow.models import backfill as service

    original = service._create_runs_non_partitioned
    writer = other_process()

    def meanwhile(**known: object) -> None:
        writer.execute("UPDATE slot_pool SET description = 'written'")
        threading.Timer(0.5, writer.commit).start()
        original(**known)

    monkeypatch.setattr(service, "_create_runs_non_partitioned", meanwhile)
    assert call("tiny_twice", DAY, DAY) == 1, "nobody ran it here"
    writer.close()
    with closing(other_process()) as other:
        found = other.execute("SELECT id FROM backfill WHERE dag_id = 'tiny_twice'").fetchall()
    assert found == [(number,) for number in created]
