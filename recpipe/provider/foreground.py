"""``airflow dags backfill --local``: the days one after another in this process."""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk.exceptions import AirflowException
from airflow.utils.cli import get_bagged_dag
from airflow.utils.state import DagRunState
from rich.console import Console

from recpipe.errors import BadSetting, RecpipeError
from recpipe.provider.follow import failed_tasks
from recpipe.provider.plan import Request, Run


def load(dag_id: str) -> Any:
    """Read a DAG from its file, and make it known to the database.

    Raises
    ------
    RecpipeError
        If there is none of that name, or its runs cannot be told their day.
    """
    try:
        dag = get_bagged_dag(None, dag_id)
    except AirflowException:
        raise RecpipeError(
            f"There is no DAG '{dag_id}'. See `airflow dags list` for the names and `airflow dags list-import-errors` "
            f"for files that could not be read."
        ) from None
    if "day" not in dag.params:
        # dag.test() makes a manual run, whose data interval is another day's
        raise BadSetting(f"DAG {dag_id} has no parameter 'day', by which --local tells a run its day. Run it by a scheduler.")
    return dag


def run_days(console: Console, dag: Any, request: Request, runs: list[Run]) -> int:
    """Run the days in their order; the first that fails ends it. Returns the exit code.

    A run that stands at the same logical date is replaced.
    """
    wanted = [run for run in runs if run.wanted]
    for number, run in enumerate(wanted, start=1):
        started = time.monotonic()
        console.print(f"{run.label} running ({number} of {len(wanted)})", highlight=False)
        done = dag.test(logical_date=run.logical_date, run_conf={**(request.conf or {}), "day": str(run.last_day)})
        seconds = time.monotonic() - started
        if done.state != DagRunState.SUCCESS:
            tasks = ", ".join(failed_tasks(dag.dag_id, done.run_id))
            console.print(f"FAILED {run.label}: {tasks}. The days after it were not run.", highlight=False)
            return 1
        console.print(f"{run.label} success after {seconds:.0f} s", highlight=False)
    console.print(f"{len(wanted)} of {len(wanted)} runs of {dag.dag_id} succeeded.", highlight=False)
    return 0
