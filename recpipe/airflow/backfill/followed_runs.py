"""The watch over a backfill until its runs are done, and the words on each of them."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from airflow.configuration import conf
from airflow.executors.base_executor import get_execution_api_server_url
from airflow.jobs.job import most_recent_job
from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from rich.console import Console
from rich.live import Live
from rich.table import Table
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from recpipe.airflow.backfill.abandoned_runs import abandoned, is_local
from recpipe.airflow.backfill.backfill_plan import Run
from recpipe.airflow.backfill.run_ledger import undone_tasks
from recpipe.errors import RecpipeError

POLL_SECONDS = 0.5
TROUBLE_SECONDS = 15.0
DATABASE_SECONDS = 300.0
"""How long a backfill that is followed waits for a database that does not answer: it may be on its way up again."""
Answer = TypeVar("Answer")
FINISHED = (DagRunState.SUCCESS, DagRunState.FAILED)


@dataclass(frozen=True)
class RunState:
    """Where one run of the backfill stands."""

    label: str
    run_id: str
    state: str
    seconds: float
    tasks_done: int
    tasks: int
    abandoned: bool = False

    @property
    def finished(self) -> bool:
        """Whether it ended, well or not."""
        return self.state in FINISHED


def trouble(dag_id: str) -> str:
    """Say why runs of a DAG would wait for ever, and what to do; empty if they would not."""
    with create_session() as session:
        dag = session.scalar(select(DagModel).where(DagModel.dag_id == dag_id))
        if dag is None or dag.is_stale:
            return f"DAG {dag_id} has no file any more: put it back, or look at `airflow dags list-import-errors`."
        if dag.is_paused:
            return f"DAG {dag_id} is paused, so its runs would wait for ever: run `airflow dags unpause {dag_id}` first."
        scheduler = most_recent_job("SchedulerJob", session=session)
        if scheduler is None or not scheduler.is_alive():
            return "No scheduler is running: start one with `recpipe up` (or `airflow scheduler`), or give --local."
        triggerer = most_recent_job("TriggererJob", session=session)
        if triggerer is None or not triggerer.is_alive():
            return "No triggerer is running, and sensors wait there: start one with `recpipe up` (or `airflow triggerer`), or give --local."
    server = get_execution_api_server_url()
    if not _answers(server):
        return (
            f"The api-server does not answer at {server}, and tasks need it: start it with `recpipe up` "
            f"(or `airflow api-server`), or give --local."
        )
    return ""


def _answers(server: str) -> bool:
    try:
        with urllib.request.urlopen(f"{server.rstrip('/')}/health", timeout=60) as answer:  # noqa: S310  # configured address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


@dataclass(frozen=True)
class Outcome:
    """Where the run of a day stands: its id and state (empty: there is none), and who works on it."""

    run_id: str = ""
    state: str = ""
    abandoned: bool = True
    local: bool = False


def outcome(dag_id: str, run: Run) -> Outcome:
    """Return where the run of a day stands."""
    with create_session() as session:
        found = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.logical_date == run.logical_date))
        if found is None:
            return Outcome()
        ended = found.state in FINISHED
        return Outcome(found.run_id, str(found.state), not ended and abandoned(session, found), is_local(found))


def follow(console: Console, backfill_id: int | None, dag: Any, runs: list[Run]) -> list[str]:
    """Show the runs until all of them ended, note the completion, and name what failed.

    Airflow's scheduler notes completion by a timer of 30 s, and refuses another backfill of the DAG until then; so it
    is noted here as soon as it is so.

    Parameters
    ----------
    console
        Where to show them.
    backfill_id
        The backfill that was created; None where all runs were started by somebody else.
    dag
        The DAG, serialized.
    runs
        The plan; those to be followed are.

    Returns
    -------
    list of str
        Labels of the runs that failed, or ended without having done what they should.

    Raises
    ------
    RecpipeError
        If the database does not answer for five minutes; the runs go on without their follower.
    """
    dag_id = dag.dag_id
    labels = {run.logical_date: run.label for run in runs if run.followed}
    shown: dict[str, RunState] = {}
    asked = time.monotonic()
    with _display(console) as show:
        while True:
            states = _patiently(console, lambda: _states(dag_id, labels))
            show(states, shown)
            shown = {state.run_id: state for state in states}
            if all(state.finished or state.abandoned for state in states):
                break
            if time.monotonic() - asked > TROUBLE_SECONDS:
                asked = time.monotonic()
                if sentence := _patiently(console, lambda: trouble(dag_id)):
                    console.print(f"Waiting: {sentence}", highlight=False, markup=False)
            time.sleep(POLL_SECONDS)
    if backfill_id is not None:
        _patiently(console, lambda: _complete(backfill_id))
    return _patiently(console, lambda: _report(console, dag, labels, states))


def _patiently(console: Console, ask: Callable[[], Answer]) -> Answer:
    """Ask the database, and again while it does not answer: a restart of it ends nothing but its connections."""
    until, told = time.monotonic() + DATABASE_SECONDS, False
    while True:
        try:
            return ask()
        except OperationalError as error:
            if time.monotonic() > until:
                raise RecpipeError(
                    f"Airflow's database has not answered for {DATABASE_SECONDS / 60:.0f} minutes ({error.orig}). The runs go on by "
                    "themselves; give the command again when it answers, and they are followed from where they are."
                ) from None
            if not told:
                console.print("Waiting: Airflow's database does not answer.", highlight=False)
                told = True
            time.sleep(POLL_SECONDS)


def give_up(backfill_id: int) -> None:
    """Cancel a backfill as its page in Airflow does: runs that wait fail, running ones end by themselves."""
    with create_session() as session:
        session.execute(update(Backfill).where(Backfill.id == backfill_id).values(is_paused=True))
    with create_session() as session:
        session.execute(
            update(DagRun)
            .where(DagRun.backfill_id == backfill_id, DagRun.state == DagRunState.QUEUED)
            .values(state=DagRunState.FAILED)
            .execution_options(synchronize_session=False)
        )
    _complete(backfill_id)


def _complete(backfill_id: int) -> None:
    with create_session() as session:
        session.execute(
            update(Backfill)
            .where(Backfill.id == backfill_id, Backfill.completed_at.is_(None))
            .values(completed_at=datetime.now(UTC))
        )


def _states(dag_id: str, labels: dict[datetime, str]) -> list[RunState]:
    """Return where the runs of some logical dates stand, in their order."""
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.logical_date.in_(list(labels)))).all()
        by_date = {run.logical_date: run for run in found}
        return [_state(session, by_date[moment], label) for moment, label in labels.items() if moment in by_date]


def _state(session: Session, run: DagRun, label: str) -> RunState:
    where = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    tasks = session.scalars(select(TaskInstance.state).where(*where)).all()
    done = sum(state in (TaskInstanceState.SUCCESS, TaskInstanceState.SKIPPED) for state in tasks)
    end = run.end_date or datetime.now(UTC)
    seconds = (end - run.start_date).total_seconds() if run.start_date else 0.0
    # only a process that runs a day by itself can leave it: where no scheduler runs any more, one is waited for
    left = str(run.state) not in FINISHED and is_local(run) and abandoned(session, run)
    return RunState(label, run.run_id, str(run.state), seconds, done, len(tasks), left)


@contextmanager
def _display(console: Console) -> Iterator[Callable[[list[RunState], dict[str, RunState]], None]]:
    """Yield what shows the states: a table that is redrawn on a terminal, a line per change elsewhere."""
    if not console.is_terminal:
        yield lambda states, before: _print_changes(console, states, before)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda states, before: live.update(_table(states))


def _print_changes(console: Console, states: list[RunState], before: dict[str, RunState]) -> None:
    done = sum(state.finished for state in states)
    for state in states:
        known = before.get(state.run_id)
        if known is not None and known.state == state.state and known.tasks_done < state.tasks_done and not state.finished:
            console.print(f"{state.label} {state.tasks_done} of {state.tasks} tasks, {state.seconds:.0f} s", highlight=False)
        if known is None or known.state != state.state:
            took = f" after {state.seconds:.0f} s" if state.finished else ""
            console.print(f"{state.label} {state.state}{took} ({done} of {len(states)} done)", highlight=False)


def _table(states: list[RunState]) -> Table:
    done = sum(state.finished for state in states)
    table = Table("day", "state", "tasks", "seconds", title=f"{done} of {len(states)} runs done")
    colour = {"success": "green", "failed": "red", "running": "cyan"}
    for state in states:
        style = colour.get(state.state, "dim")
        table.add_row(state.label, f"[{style}]{state.state}[/]", f"{state.tasks_done} of {state.tasks}", f"{state.seconds:.0f}")
    return table


def _report(console: Console, dag: Any, labels: dict[datetime, str], states: list[RunState]) -> list[str]:
    faults = dict.fromkeys(labels.values(), "its run is not there any more")
    faults |= {state.label: _fault(dag, state) for state in states}
    faults = {label: fault for label, fault in faults.items() if fault}
    for label, fault in faults.items():
        console.print(f"FAILED {label}: {fault}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(labels) - len(faults)} of {len(labels)} runs of {dag.dag_id} succeeded.", highlight=False)
    return list(faults)


def _fault(dag: Any, state: RunState) -> str:
    """Say what went wrong in a run that is over; empty if nothing did."""
    if state.abandoned:
        return "the process that ran it has ended, and it has not. Give the command again."
    words = undone_tasks(dag, state.run_id)
    if state.state != DagRunState.SUCCESS:
        words = ", ".join(failed_tasks(dag.dag_id, state.run_id)) or "none of its tasks"
    page = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{dag.dag_id}/runs/{state.run_id}"
    return f"{words}. Its logs: {page}" if words else ""


def failed_tasks(dag_id: str, run_id: str) -> list[str]:
    """Return the tasks of a run that failed, mapped ones with their index."""
    with create_session() as session:
        rows = session.execute(
            select(TaskInstance.task_id, TaskInstance.map_index)
            .where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.state == TaskInstanceState.FAILED,
            )
            .order_by(TaskInstance.task_id, TaskInstance.map_index)
        ).all()
    return [task if index < 0 else f"{task}[{index}]" for task, index in rows]
