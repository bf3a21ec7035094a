"""``airflow dags backfill``: what the command does, on the backfill service of Airflow 3."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from datetime import datetime
from typing import Any

from airflow.models.backfill import AlreadyRunningBackfill, ReprocessBehavior, _create_backfill
from airflow.models.dagrun import DagRun
from airflow.utils.cli import action_cli
from airflow.utils.platform import getuser
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from recpipe.airflow.backfill import foreground
from recpipe.airflow.backfill.abandoned_runs import abandoned, take_away
from recpipe.airflow.backfill.backfill_plan import (
    ABANDONED,
    AGAIN,
    Request,
    Run,
    bounds,
    parse_bound,
    parse_conf,
    plan,
    schedule_zone,
    serialized_dag,
)
from recpipe.airflow.backfill.followed_runs import follow, give_up, trouble
from recpipe.airflow.backfill.run_ledger import Ledger
from recpipe.airflow.backfill.savepoints import begin_before_savepoint
from recpipe.errors import BadSetting, RecpipeError

CANCELLED = 130
MOST_LINES = 20
"""Days of which it is said why they are missing; of the others of a long range, that they are."""


@action_cli  # type: ignore[untyped-decorator]
@providers_configuration_loaded
def run_command(args: Namespace) -> None:
    """Run the command and exit with its code: 0 every day was seen done, 1 one was not, 2 refused, 130 stopped by Ctrl-C."""
    _quiet()
    try:
        code = backfill(args)
    except RecpipeError as error:
        print(f"airflow dags backfill: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _quiet() -> None:
    """Keep Airflow from telling of every run that it creates: the command does so itself."""
    from airflow._shared.logging.structlog import PER_LOGGER_LEVELS

    for name in ("airflow.models.backfill", "airflow.models.dag", "airflow.serialization.definitions.dag"):
        PER_LOGGER_LEVELS[name] = logging.WARNING


def backfill(args: Namespace) -> int:
    """Do what the arguments say; returns the exit code.

    Raises
    ------
    RecpipeError
        If the backfill is refused; nothing was started then.
    """
    request = _request(args)
    console = Console(width=None if sys.stdout.isatty() else 160)
    loaded = foreground.load(request.dag_id) if args.local else None
    dag = serialized_dag(request.dag_id)
    runs = plan(request, dag)
    if args.dry_run:
        _print_runs(console, request.dag_id, runs)
        return 0
    if not args.local and (sentence := trouble(request.dag_id)):
        raise RecpipeError(sentence)
    _confirm(request, runs, args.yes)
    for run in runs:
        if not run.wanted:
            console.print(f"{run.label} {run.action} ({run.existing})", highlight=False)
    ledger = Ledger.open(dag, loaded)
    try:
        code, runs = _carry_out(console, request, ledger, runs, loaded, args.max_active_runs)
    except KeyboardInterrupt:
        console.print("Stopped: a day that ran here is marked failed, and the days after it were not run.")
        return CANCELLED
    return code if code == CANCELLED else max(code, _say_missing(console, ledger, runs))


def _carry_out(
    console: Console, request: Request, ledger: Ledger, runs: list[Run], loaded: Any, max_active_runs: int | None
) -> tuple[int, list[Run]]:
    """Run the days, here or by the service; returns the exit code and the plan as it was carried out."""
    if not any(run.followed for run in runs):
        return _failed_before(console, runs), runs
    if loaded is None:
        return _start(console, request, ledger.dag, runs, max_active_runs), runs
    code, carried_out = foreground.run_days(console, loaded, ledger, request, runs)
    return max(code, _failed_before(console, runs)), carried_out


def _say_missing(console: Console, ledger: Ledger, runs: list[Run]) -> int:
    """Ask what of the range is there now, whoever made it, and say what is not; returns the exit code."""
    missing = ledger.missing(runs)
    for label, fault in list(missing.items())[:MOST_LINES]:
        console.print(f"MISSING {label}: {fault}", highlight=False, markup=False, soft_wrap=True)
    if more := list(missing)[MOST_LINES:]:
        console.print(f"MISSING {len(more)} more: {', '.join(more)}.", highlight=False, soft_wrap=True)
    if missing:
        console.print(f"{len(missing)} of {len(runs)} days of {ledger.dag.dag_id} were not seen done.", highlight=False)
    elif not any(run.followed or run.existing == DagRunState.FAILED for run in runs):
        console.print("Nothing to do.")
    return 1 if missing else 0


def _request(args: Namespace) -> Request:
    behaviour = ReprocessBehavior.NONE
    if args.rerun_failed_tasks:
        behaviour = ReprocessBehavior.FAILED
    if args.reset_dagruns:
        behaviour = ReprocessBehavior.COMPLETED
    if args.max_active_runs is not None and args.max_active_runs < 1:
        raise BadSetting("--max-active-runs has to be 1 or more.")
    first, last = parse_bound(args.start_date, "--start-date"), parse_bound(args.end_date, "--end-date")
    return Request(args.dag_id, first, last, behaviour, args.run_backwards, parse_conf(args.conf))


def _print_runs(console: Console, dag_id: str, runs: list[Run]) -> None:
    table = Table("day", "logical date", "data interval", "what would be done", title=f"Runs of {dag_id}")
    for run in runs:
        interval = f"{run.start.isoformat()} to {run.end.isoformat()}"
        action = f"{run.action} ({run.existing})" if run.existing else run.action
        table.add_row(run.label, run.logical_date.isoformat(), interval, action)
    console.print(table)


def _confirm(request: Request, runs: list[Run], yes: bool) -> None:
    again = [run.label for run in runs if run.action == AGAIN]
    if yes or not again:
        return
    question = f"{len(again)} runs of {request.dag_id} stand there and will be cleared and run again: {', '.join(again)}."
    if not sys.stdin.isatty():
        raise BadSetting(f"{question} Give --yes to agree, as nobody can be asked here.")
    if input(f"{question} Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RecpipeError("Stopped, as you did not agree; nothing was changed.")


def _failed_before(console: Console, runs: list[Run]) -> int:
    failed = [run.label for run in runs if run.existing == DagRunState.FAILED and not run.followed]
    if failed:
        console.print(f"Failed before: {', '.join(failed)}. Give --rerun-failed-tasks to run them again.", highlight=False)
    return 1 if failed else 0


def _start(console: Console, request: Request, dag: Any, runs: list[Run], max_active_runs: int | None) -> int:
    created = None
    if any(run.wanted for run in runs):
        _remove(request.dag_id, [run for run in runs if run.action == ABANDONED])
        _own_intervals(request.dag_id, [run for run in runs if run.action == AGAIN])
        # the service's own default is 10 runs at a time, whatever the DAG says
        created = _create(request, bounds(request, schedule_zone(dag)), max_active_runs or dag.max_active_runs)
    try:
        failed = follow(console, created, dag, runs)
    except KeyboardInterrupt:
        if created is not None:
            give_up(created)
        console.print("Stopped: runs of this backfill that were waiting are marked failed, those that ran end by themselves.")
        return CANCELLED
    return max(1 if failed else 0, _failed_before(console, runs))


def _remove(dag_id: str, runs: list[Run]) -> None:
    """Take away runs that nobody works on any more: the service leaves whatever is not over as it is."""
    with create_session() as session:
        for run in runs:
            where = (DagRun.dag_id == dag_id, DagRun.logical_date == run.logical_date)
            existing = session.scalar(select(DagRun).where(*where))
            if existing is not None and existing.state not in State.finished_dr_states and abandoned(session, existing):
                take_away(session, existing)


def _create(request: Request, ends: tuple[datetime, datetime], max_active_runs: int) -> int:
    """Have the backfill service create the runs; returns the backfill's id."""
    begin_before_savepoint()
    try:
        return _create_backfill(
            dag_id=request.dag_id,
            from_date=ends[0],
            to_date=ends[1],
            max_active_runs=max_active_runs,
            reverse=request.backwards,
            dag_run_conf=dict(request.conf) if request.conf is not None else None,
            triggering_user_name=getuser(),
            reprocess_behavior=request.behaviour,
            run_on_latest_version=True,
        ).id
    except AlreadyRunningBackfill:
        raise RecpipeError(
            f"Another backfill of DAG {request.dag_id} is not over. Wait for it, or cancel it on the DAG's page."
        ) from None
    except OperationalError as error:
        raise RecpipeError(
            f"The runs of DAG {request.dag_id} could not be created, none of them: the database does not take them ({error.orig}). "
            "Try again in two minutes."
        ) from None


def _own_intervals(dag_id: str, runs: list[Run]) -> None:
    """Give runs that are run again the interval of their day.

    A run that was triggered by hand at the same logical date has another interval, or a parameter ``day``; the backfill
    service would keep both and the run would be for another day.
    """
    with create_session() as session:
        for run in runs:
            where = (DagRun.dag_id == dag_id, DagRun.logical_date == run.logical_date)
            existing = session.scalar(select(DagRun).where(*where))
            if existing is not None:
                existing.data_interval_start, existing.data_interval_end = run.start, run.end
                existing.conf = {name: value for name, value in (existing.conf or {}).items() if name != "day"}
