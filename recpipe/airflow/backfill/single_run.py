"""One run of a DAG in this process, beside whatever scheduler there is.

``dag.test()`` of Airflow dates its run by the logical date, so that a scheduler finds the time limit of a past day exceeded
and skips its tasks, and it marks tasks as scheduled, which a scheduler then hands out as well. Here the run is dated by the
clock, is of the type ``backfill`` (so it has the interval of its day, and nobody is told of its failures), and is kept apart.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance as SentTask
from airflow.sdk.execution_time.comms import DeferTask
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, run_task_in_process
from airflow.sdk.serde import deserialize, serialize
from airflow.utils.platform import getuser
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from recpipe.airflow.backfill.abandoned_runs import AHEAD, abandoned, kept_apart, mark, take_away
from recpipe.airflow.backfill.backfill_plan import Run

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
TRIES = 5
BUSY = (IntegrityError, OperationalError, StaleDataError)
"""What a scheduler that looks at the same run may cause for a moment."""


def run_here(dag: Any, known: Any, run: Run, conf: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Run one day of a DAG in this process, until it ended.

    Parameters
    ----------
    dag
        As its file says.
    known
        The same as the database has it, serialized.
    run
        The day. A run that stands at its logical date is replaced.
    conf
        Parameters of the run.

    Returns
    -------
    tuple of str or None
        Id of the run and the state in which it ended; None if somebody else has begun this day since it was planned.

    Raises
    ------
    KeyboardInterrupt
        If a person stopped it; the run is marked as failed.
    """
    # the scheduler's form of a DAG has lost its callbacks
    known.on_success_callback, known.on_failure_callback = dag.on_success_callback, dag.on_failure_callback
    made = _create(known, run, conf)
    if made is None:
        return None
    key, run_id = made
    with kept_apart(key), _interruptible() as stopped:
        try:
            state = _work(dag, known, key, stopped)
        except BaseException:
            _fail(key)
            raise
    _date(key, run.end)
    return run_id, state


def _create(known: Any, run: Run, conf: Mapping[str, Any] | None) -> tuple[int, str] | None:
    now = datetime.now(UTC)
    run_id = DagRun.generate_run_id(run_type=DagRunType.BACKFILL_JOB, logical_date=run.logical_date, run_after=run.end)
    try:
        with create_session() as session:
            if not _cleared(session, known.dag_id, run):
                return None
            made = known.create_dagrun(
                run_id=run_id,
                logical_date=run.logical_date,
                data_interval=(run.start, run.end),
                run_after=now + AHEAD,
                conf=dict(conf) if conf is not None else None,
                run_type=DagRunType.BACKFILL_JOB,
                triggered_by=DagRunTriggeredByType.BACKFILL,
                triggering_user_name=mark(getuser()),
                state=DagRunState.RUNNING,
                start_date=now,
                session=session,
            )
            return int(made.id), run_id
    except IntegrityError:  # another process was a moment faster
        return None


def _cleared(session: Session, dag_id: str, run: Run) -> bool:
    """Take away the run that stands at the logical date; returns whether it could be, for one that somebody works on stays."""
    existing = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.logical_date == run.logical_date))
    if existing is None:
        return True
    if existing.state not in State.finished_dr_states and not abandoned(session, existing):
        return False
    take_away(session, existing)
    return True


def _work(dag: Any, known: Any, key: int, stopped: threading.Event) -> str:
    while True:
        state, task = _patiently(known, key)
        if state in State.finished_dr_states:
            return state
        if task is None:
            time.sleep(PAUSE_SECONDS)  # until a task may be tried again, or a person has answered
        else:
            _run_task(dag.task_dict[task.task_id], task)
        if stopped.is_set():  # Airflow takes an interrupt for the failure of the task in which it came
            raise KeyboardInterrupt


def _patiently(known: Any, key: int) -> tuple[str, SentTask | None]:
    busy, pause = retry_if_exception_type(BUSY), wait_fixed(PAUSE_SECONDS)
    return Retrying(retry=busy, stop=stop_after_attempt(TRIES), wait=pause, reraise=True)(_next, known, key)


def _next(known: Any, key: int) -> tuple[str, SentTask | None]:
    """Return the state of the run, and the task that is to run now, marked as queued; None if there is none at the moment."""
    with create_session() as session:
        run = session.get(DagRun, key)
        if run is None or run.state in State.finished_dr_states:
            return (str(run.state) if run else DagRunState.FAILED), None
        run.dag = known
        ready, _ = run.update_state(session=session)
        state = str(run.state)
        ready.sort(key=lambda one: (-(one.priority_weight or 0), one.task_id, one.map_index))
        task = ready[0] if ready else _answered(session, run)
        if task is None:
            return state, None
        if task.state not in (TaskInstanceState.UP_FOR_RESCHEDULE, TaskInstanceState.QUEUED):
            task.try_number += 1
        # never "scheduled": a scheduler would hand it out as well
        task.state, task.queued_dttm = TaskInstanceState.QUEUED, datetime.now(UTC)
        session.flush()
        return state, SentTask(
            id=task.id,
            task_id=task.task_id,
            dag_id=task.dag_id,
            run_id=task.run_id,
            try_number=task.try_number,
            map_index=task.map_index,
            dag_version_id=task.dag_version_id,
        )


def _answered(session: Session, run: DagRun) -> TaskInstance | None:
    """Return a task whose question a person has answered on Airflow's page; a scheduler may be faster, and then it runs there."""
    where = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    task: TaskInstance | None = session.scalar(
        select(TaskInstance).where(*where, TaskInstance.state == TaskInstanceState.SCHEDULED)
    )
    if task is None:
        return None
    claimed: Any = session.execute(
        update(TaskInstance)
        .where(TaskInstance.id == task.id, TaskInstance.state == TaskInstanceState.SCHEDULED)
        .values(state=TaskInstanceState.QUEUED)
        .execution_options(synchronize_session=False)
    )
    if not claimed.rowcount:
        return None
    session.refresh(task)
    return task


def _run_task(task: Any, sent: SentTask) -> None:
    """Run one task, its waiting included; whatever happens, it has ended afterwards, or says when it is tried again."""
    try:
        result = run_task_in_process(ti=sent, task=task)
        while isinstance(result.msg, DeferTask):
            _resume(sent, result.msg, _wait_here(sent, result.msg))
            result = run_task_in_process(ti=sent, task=task)
        _end(sent, str(result.ti.state))
    except Exception:
        log.exception("Task %s could not be run", sent.task_id)
        _end(sent, TaskInstanceState.FAILED)


def _wait_here(sent: SentTask, deferred: DeferTask) -> Any:
    _take_over(sent)
    arguments: Any = deserialize(deferred.trigger_kwargs)  # type: ignore[type-var]
    trigger = import_string(deferred.classpath)(**arguments)
    return InProcessTestSupervisor.run_trigger_in_process(trigger=trigger, ti=sent)


def _take_over(sent: SentTask) -> None:
    """Take a task that waits away from the triggerer, which would wait for it as well."""
    with create_session() as session:
        task = session.get_one(TaskInstance, sent.id)
        trigger = session.get(Trigger, task.trigger_id) if task.trigger_id else None
        task.state, task.trigger_id = TaskInstanceState.QUEUED, None
        session.flush()
        if trigger is not None:
            session.delete(trigger)


def _resume(sent: SentTask, deferred: DeferTask, event: Any) -> None:
    with create_session() as session:
        task = session.get_one(TaskInstance, sent.id)
        given = dict(deferred.next_kwargs or {})
        task.next_method = deferred.next_method
        task.next_kwargs = {**given, "event": serialize(event.payload)} if event else given
        task.state = TaskInstanceState.QUEUED


def _end(sent: SentTask, state: str) -> None:
    """Make sure that the database has the state in which a task ended, if it ended: it may wait for a person, or for its next try."""
    with create_session() as session:
        task = session.get(TaskInstance, sent.id)
        if task is not None and state in State.finished and task.state not in State.finished:
            task.set_state(state, session=session)


def _fail(key: int) -> None:
    """Mark a run that was stopped, and what of it had not ended, as failed."""
    with create_session() as session:
        run = session.get(DagRun, key)
        if run is None:
            return
        for task in run.get_task_instances(session=session):
            if task.state is not None and task.state not in State.finished:
                task.set_state(TaskInstanceState.FAILED, session=session)
        run.set_state(DagRunState.FAILED)


def _date(key: int, moment: datetime) -> None:
    """Give a run that ended the earliest start that the service of Airflow would have given it."""
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.id == key).values(run_after=moment))


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Note an interrupt, which Airflow takes for the failure of the task in which it comes; yields where it is noted."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
