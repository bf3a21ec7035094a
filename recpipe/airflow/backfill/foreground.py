"""``airflow dags backfill --local``: the days one after another in this process, whether or not a scheduler runs beside it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from airflow.sdk.exceptions import AirflowException
from airflow.utils.cli import get_bagged_dag
from airflow.utils.state import DagRunState
from rich.console import Console

from recpipe.airflow.backfill.backfill_plan import ABANDONED, IN_FLIGHT, Request, Run
from recpipe.airflow.backfill.followed_runs import failed_tasks, outcome, trouble
from recpipe.airflow.backfill.run_ledger import Ledger
from recpipe.airflow.backfill.single_run import run_here
from recpipe.errors import RecpipeError

POLL_SECONDS = 1.0


def load(dag_id: str) -> Any:
    """Read a DAG from its file, and make it known to the database.

    Raises
    ------
    RecpipeError
        If there is none of that name.
    """
    try:
        return get_bagged_dag(None, dag_id)
    except AirflowException:
        raise RecpipeError(
            f"There is no DAG '{dag_id}'. See `airflow dags list` for the names and `airflow dags list-import-errors` "
            f"for files that could not be read."
        ) from None


def run_days(console: Console, dag: Any, ledger: Ledger, request: Request, runs: list[Run]) -> tuple[int, list[Run]]:
    """Run the days in their order; the first that is not done ends it.

    Parameters
    ----------
    console
        Where to say what happens.
    dag
        As its file says.
    ledger
        The same DAG as the database has it, and what was published before.
    request
        What was asked for.
    runs
        The plan. A run that stands at the same logical date is replaced; one that somebody else works on is waited for, and
        run here if nobody works on it any more.

    Returns
    -------
    tuple of int and list of Run
        The exit code, and the plan as it was carried out.
    """
    asked = [run for run in runs if run.followed]
    done = {run.label: run for run in runs}
    for number, run in enumerate(asked, start=1):
        console.print(f"{run.label} running ({number} of {len(asked)})", highlight=False)
        started = time.monotonic()
        done[run.label], fault = _one(console, dag, ledger, request, run)
        if fault:
            later = asked[number:]
            console.print(
                f"FAILED {run.label}: {fault}.{' The days after it were not run.' if later else ''}",
                highlight=False,
                markup=False,
            )
            return 1, list(done.values())
        console.print(f"{run.label} success after {time.monotonic() - started:.0f} s", highlight=False)
    if asked:
        console.print(f"{len(asked)} of {len(asked)} runs of {dag.dag_id} succeeded.", highlight=False)
    return 0, list(done.values())


def _one(console: Console, dag: Any, ledger: Ledger, request: Request, run: Run) -> tuple[Run, str]:
    """Run one day here, or wait for who works on it; returns what was done, and what was not."""
    while True:
        if run.action == IN_FLIGHT:
            state, fault = _wait(console, dag.dag_id, run)
            if fault or state in (DagRunState.SUCCESS, DagRunState.FAILED):
                return run, fault or _fault(dag.dag_id, ledger, run, state)
            console.print(f"{run.label} {ABANDONED}", highlight=False)
            run = replace(run, action=ABANDONED)
        ended = run_here(dag, ledger.dag, run, request.conf)
        if ended is not None:
            return run, _fault(dag.dag_id, ledger, run, ended[1])
        run = replace(run, action=IN_FLIGHT)
        console.print(f"{run.label} {IN_FLIGHT}", highlight=False)


def _wait(console: Console, dag_id: str, run: Run) -> tuple[str, str]:
    """Wait for a run of somebody else's; returns the state that it ended in, or none where nobody works on it any more."""
    while True:
        found = outcome(dag_id, run)
        if found.state in (DagRunState.SUCCESS, DagRunState.FAILED):
            return found.state, ""
        if found.abandoned:
            return "", ""
        if not found.local and (sentence := trouble(dag_id)):
            return "", f"its run is {found.state} and is not waited for. {sentence.rstrip('.')}"
        time.sleep(POLL_SECONDS)


def _fault(dag_id: str, ledger: Ledger, run: Run, state: str) -> str:
    if state != DagRunState.SUCCESS:
        return ", ".join(failed_tasks(dag_id, outcome(dag_id, run).run_id)) or "none of its tasks"
    return ledger.missing([run]).get(run.label, "").rstrip(".")
