"""The worker of a run that is queued or running: a scheduler, a process that was called with ``--local``, or nobody.

A process that was killed leaves its run as it was. So a run of ``--local`` says which process works on it, and its earliest
start (``run_after``) lies a little ahead as long as that process lives: a scheduler leaves such a run alone.
"""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from airflow.jobs.job import most_recent_job
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.net import get_hostname
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select, update
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from sqlalchemy.orm import Session

from recpipe.lake.heartbeat import heartbeat

AHEAD = timedelta(minutes=5)
"""How long a run of ``--local`` is left alone after the last sign of life of its process, where that cannot be looked at."""
RENEW_SECONDS = 20.0
QUIET = timedelta(seconds=60)
"""A task of a scheduler's that gave no sign of life for so long, while no scheduler runs, has ended."""
_MARK = re.compile(r"--local: process (?P<pid>\d+) of (?P<place>.+), started (?P<started>[0-9.]+)$")


def mark(user: str) -> str:
    """Return who triggered a run of this process, as it stands on the run's page: the user, and which process it is."""
    own = psutil.Process()
    return f"{user}, --local: process {own.pid} of {_place()}, started {own.create_time():.2f}"


@contextmanager
def kept_apart(run_id: int) -> Iterator[None]:
    """Keep a run from every scheduler while the block runs.

    Parameters
    ----------
    run_id
        Primary key of the run.
    """
    # a database that is busy or away: the next time
    with heartbeat(lambda: set_ahead(run_id), RENEW_SECONDS, "sign of life", SQLAlchemyError):
        yield


def set_ahead(run_id: int) -> None:
    """Move the earliest start of a run ahead once more."""
    with create_session(scoped=False) as session:
        session.execute(update(DagRun).where(DagRun.id == run_id).values(run_after=datetime.now(UTC) + AHEAD))


def is_local(run: DagRun) -> bool:
    """Whether a process that was called with ``--local`` began a run, and no scheduler."""
    return bool(_MARK.search(run.triggering_user_name or ""))


def abandoned(session: Session, run: DagRun) -> bool:
    """Whether nobody works on a run that is queued or running, so that waiting for it would be in vain."""
    tasks = session.scalars(
        select(TaskInstance).where(
            TaskInstance.dag_id == run.dag_id,
            TaskInstance.run_id == run.run_id,
            TaskInstance.state == TaskInstanceState.RUNNING,
        )
    ).all()
    if any(_works(task) for task in tasks):
        return False
    if found := _MARK.search(run.triggering_user_name or ""):
        if found["place"] == _place():
            return not _lives(int(found["pid"]), float(found["started"]))
        return bool(run.run_after <= datetime.now(UTC))
    scheduler = most_recent_job("SchedulerJob", session=session)
    return scheduler is None or not scheduler.is_alive()


def take_away(session: Session, run: DagRun) -> None:
    """Delete a run with its tasks, so that its day can be run anew."""
    with warnings.catch_warnings():
        # to delete a run, SQLAlchemy loads what hangs on it, and wonders that a DAG has several versions
        warnings.filterwarnings("ignore", "Multiple rows returned with uselist=False", SAWarning)
        session.delete(run)
        session.flush()


def _works(task: TaskInstance) -> bool:
    """Whether the process of a task lives: that of an executor gives signs of life, any other is looked for on this machine."""
    if task.queued_by_job_id is not None:
        return bool(task.last_heartbeat_at and task.last_heartbeat_at > datetime.now(UTC) - QUIET)
    if task.hostname != get_hostname() or not task.pid or not task.start_date:
        return False
    try:
        return psutil.Process(task.pid).create_time() <= task.start_date.timestamp()
    except psutil.Error:
        return False


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _place() -> str:
    """Return where a process id means something: the machine, and on it the container."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).removeprefix("pid:")
    except OSError:
        space = ""
    return socket.gethostname() + space
