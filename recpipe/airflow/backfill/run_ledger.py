"""The proof of a backfill: the days of its tables in the lake's register, and the tasks of its runs.

The state of a run is no proof: Airflow calls a run whose tasks were all skipped a success, and a day may have been published
by a run long before the one that should replace it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select

from recpipe.airflow.backfill.backfill_plan import Run
from recpipe.errors import RecpipeError

ASSET = "recpipe."
"""With which the name of an asset begins that is a table of the lake."""
SUCCESS, SKIPPED = str(TaskInstanceState.SUCCESS), str(TaskInstanceState.SKIPPED)
NOT_DONE = {str(TaskInstanceState.FAILED), str(TaskInstanceState.UPSTREAM_FAILED)}


class Entry(NamedTuple):
    """What the register says of a day: when it was written, at which version of the table, and whether it can be built upon.

    A day without rows that is written again makes no new version, so the moment counts as well.
    """

    version: int
    recorded_at: datetime
    complete: bool


Register = Mapping[tuple[str, date], Entry]


@dataclass(frozen=True)
class Promise:
    """What each run of a DAG publishes.

    Attributes
    ----------
    tables
        Tables of which a run writes its day: those that the DAG's tasks name as outlets. None for a DAG that writes no day.
    root
        Where the lake is, as the DAG has it.
    """

    tables: tuple[str, ...] = ()
    root: str = ""


def promise(dag: Any) -> Promise:
    """Return what a DAG says that it publishes."""
    from recpipe.contract import TABLES

    named = {asset.name: asset.uri for task in dag.tasks for asset in task.outlets if getattr(asset, "uri", "")}
    uris = {name.removeprefix(ASSET): uri for name, uri in named.items() if name.startswith(ASSET)}
    tables = tuple(sorted(name for name in uris if name in TABLES))
    return Promise(tables, _root(uris[tables[0]], tables[0]) if tables else "")


def _root(uri: str, table: str) -> str:
    root = uri.removesuffix(f"/{table}")
    return unquote(urlsplit(root).path) if root.startswith("file:") else root


@dataclass(frozen=True)
class Ledger:
    """What stood in the register before a backfill, and what stands there after it.

    Attributes
    ----------
    dag
        The DAG, serialized.
    promised
        What it publishes.
    before
        What the register said before anything was started.
    """

    dag: Any
    promised: Promise
    before: Register

    @classmethod
    def open(cls, dag: Any, read: Any = None) -> Ledger:
        """Note what stands in the register now.

        Parameters
        ----------
        dag
            The DAG, serialized.
        read
            The same as its file says, where that was read.
        """
        promised = promise(read or dag)
        found, _ = _register(promised)
        return cls(dag, promised, found)

    def missing(self, runs: Sequence[Run]) -> dict[str, str]:
        """Say of each day that was asked for, and is not there now, why, by the run's label.

        Parameters
        ----------
        runs
            The plan; a day that was to be made anew has to be newer than before.
        """
        found, blind = _register(self.promised)
        faults = {}
        for run in runs:
            state, fault = _untaken(self.dag, run)
            day = blind or self._unpublished(found, run)
            if said := "; ".join(word for word in (fault, day) if word):
                faults[run.label] = f"{said}. {_advice(run, state)}"
        return faults

    def _unpublished(self, found: Register, run: Run) -> str:
        day = run.last_day
        gone = [name for name in self.promised.tables if (name, day) not in found]
        refused = [name for name in self.promised.tables if (name, day) in found and not found[name, day].complete]
        old = [name for name in self.promised.tables if run.wanted and self._as_before(found, name, day)]
        words = (
            f"{', '.join(gone)} of {day} not in the register of the lake {self.promised.root}" if gone else "",
            f"{', '.join(refused)} of {day} open: tried and refused" if refused else "",
            f"{', '.join(old)} of {day} as it was before, so not published by this run" if old else "",
        )
        return "; ".join(word for word in words if word)

    def _as_before(self, found: Register, table: str, day: date) -> bool:
        now = found.get((table, day))
        return now is not None and now.complete and self.before.get((table, day)) == now


def _register(promised: Promise) -> tuple[Register, str]:
    """Return what the register says of each day of the tables, and why it cannot be read."""
    if not promised.tables:
        return {}, ""
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    from recpipe.config.settings import load_settings
    from recpipe.lake.lake import Lake

    try:
        lake = replace(Lake.from_settings(load_settings()), root=promised.root)
        records = [one for one in lake.days() if one.table in promised.tables]
    except (RecpipeError, DeltaError, OSError, ValueError, pa.ArrowException) as error:
        return {}, f"what is published cannot be seen, as the register of the lake {promised.root} cannot be read ({error})"
    return {(one.table, one.day): Entry(one.table_version, one.recorded_at, one.complete) for one in records}, ""


def _advice(run: Run, state: str) -> str:
    left = "" if run.followed else f"Its run was left alone ({run.existing}): "
    flag = {"success": " with --reset-dagruns", "failed": " with --rerun-failed-tasks"}.get(state, "")
    look = "look at the logs of its run, then " if run.followed and flag else ""
    words = f"{left}{look}give the command again{flag}."
    return words[0].upper() + words[1:]


def _untaken(dag: Any, run: Run) -> tuple[str, str]:
    """Return the state of a run, and what did not happen in it; that it failed, and in which task, is said elsewhere."""
    with create_session() as session:
        found = session.scalar(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.logical_date == run.logical_date))
        if found is None:
            return "", "there is no run of it"
        state, run_id = str(found.state), found.run_id
    if state == DagRunState.FAILED:
        return state, ""
    if state != DagRunState.SUCCESS:
        return state, f"its run is still {state}"
    return state, undone_tasks(dag, run_id)


def undone_tasks(dag: Any, run_id: str) -> str:
    """Say what did not happen in a run that is called a success; empty if all did (see `undone`)."""
    with create_session() as session:
        where = (TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id == run_id)
        return undone(dag, session.scalars(select(TaskInstance).where(*where)).all())


def undone(dag: Any, tasks: Sequence[TaskInstance]) -> str:
    """Say which tasks of a run that is called a success failed, or were skipped though they should have run.

    A task is skipped by design where a task before it chooses the way (a branch, a short circuit, an approval), where it ran
    and said itself that there is nothing to do, where it is mapped over nothing, or behind a task that was skipped so.
    """
    states: dict[str, set[str]] = {}
    for task in tasks:
        if not dag.has_task(task.task_id):  # of an earlier form of the DAG
            continue
        states.setdefault(task.task_id, set()).add(str(task.state))
    skipped = {name for name, found in states.items() if SKIPPED in found}
    excused = {task.task_id for task in tasks if task.state == SKIPPED and task.start_date and task.end_date}
    while more := {name for name in skipped - excused if _by_design(dag.get_task(name), dag, states, excused)}:
        excused |= more
    if not any(SUCCESS in found for found in states.values()):
        excused = set()  # nothing at all ran
    failed = sorted(name for name, found in states.items() if found & NOT_DONE)
    wrong = sorted(skipped - excused)
    words = (f"{', '.join(failed)} failed" if failed else "", f"{', '.join(wrong)} skipped without having run" if wrong else "")
    return " and ".join(word for word in words if word)


def _by_design(task: Any, dag: Any, states: Mapping[str, set[str]], excused: set[str]) -> bool:
    before = task.upstream_task_ids
    succeeded = {name for name in before if SUCCESS in states.get(name, ())}
    if before & excused or any(dag.get_task(name).inherits_from_skipmixin for name in succeeded):
        return True
    return bool(getattr(task, "is_mapped", False) and before and succeeded == before)
