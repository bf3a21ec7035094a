"""The runs of a backfill: its range, the runs that exist already, and the refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from airflow.models.backfill import (
    BackfillDagRunExceptionReason,
    ReprocessBehavior,
    _get_dag_run_no_create_reason,
    _get_latest_dag_run_row_query,
    _validate_backfill_params,
)
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session

from recpipe.airflow.backfill.abandoned_runs import abandoned
from recpipe.errors import BadSetting, RecpipeError

NEW = "new"
AGAIN = "run again"
IN_FLIGHT = "waited for: it is queued or running already"
ABANDONED = "run again: nobody works on it any more"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; the days are in the zone of the DAG's schedule."""

    dag_id: str
    first: date
    last: date
    behaviour: ReprocessBehavior = ReprocessBehavior.NONE
    backwards: bool = False
    conf: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Run:
    """One run of the range.

    Attributes
    ----------
    logical_date, start, end
        Aware; the data interval is [start, end).
    label
        The day, or the days, of the data interval, as people call it.
    existing
        State of the run that stands there already; empty if there is none.
    action
        ``new``, ``run again``, the same as nobody works on it, waited for, or why the run is left alone.
    """

    logical_date: datetime
    start: datetime
    end: datetime
    label: str
    existing: str
    action: str

    @property
    def wanted(self) -> bool:
        """Whether the backfill would run it."""
        return self.action in (NEW, AGAIN, ABANDONED)

    @property
    def followed(self) -> bool:
        """Whether the command waits for it: its own runs, and those that somebody started before."""
        return self.wanted or self.action == IN_FLIGHT

    @property
    def last_day(self) -> date:
        """The last day of the interval, in the zone of the schedule: the day that the run is for."""
        return date.fromisoformat(self.label.split(" to ")[-1])


def parse_bound(text: str, option: str) -> date:
    """Read a bound of the range: a day, or the midnight that it starts with.

    Raises
    ------
    BadSetting
        If it is neither.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{option} '{text}' is no day; write it as 2011-09-01.") from None
    if moment.time() != time.min or moment.tzinfo is not None:
        raise BadSetting(
            f"{option} '{text}' is a time of a day. Both ends of the range are whole days in the zone of the DAG's "
            f"schedule: write {moment.date()}."
        )
    return moment.date()


def parse_conf(text: str | None) -> dict[str, Any] | None:
    """Read ``--conf``.

    Raises
    ------
    BadSetting
        If it is no JSON object, or sets ``day``.
    """
    if text is None:
        return None
    try:
        conf = json.loads(text)
    except ValueError as error:
        raise BadSetting(f'--conf is no JSON ({error}); write it as \'{{"name": "value"}}\'.') from None
    if not isinstance(conf, dict):
        raise BadSetting('--conf has to be a JSON object such as \'{"name": "value"}\'.')
    if "day" in conf:
        raise BadSetting("--conf cannot set 'day': each run of a backfill is for the day of its own data interval.")
    return conf


def plan(request: Request, dag: Any) -> list[Run]:
    """List the runs of the range, in the order they would run.

    Parameters
    ----------
    request
        What was asked for.
    dag
        The serialized DAG.

    Raises
    ------
    RecpipeError
        If the range holds no run, or reaches outside the DAG's dates or into the future, or Airflow refuses it.
    """
    if request.last < request.first:
        raise BadSetting(f"The range ends ({request.last}) before it starts ({request.first}): exchange -s and -e.")
    if not dag.timetable.periodic:
        raise BadSetting(f"DAG {request.dag_id} has no schedule with intervals, so there is nothing to backfill.")
    zone = schedule_zone(dag)
    from_date, to_date = bounds(request, zone)
    _check_request(request, dag, from_date, to_date)
    infos = [info for info in dag.iter_dagrun_infos_between(from_date, to_date) if info.data_interval]
    _check_dates(request, dag, infos, zone)
    _check_past(request, infos, zone)
    if request.backwards:
        infos.reverse()
    with create_session() as session:
        return [_run(session, request, info, zone) for info in infos]


def bounds(request: Request, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first and last instant of the range, UTC: a run belongs to it by the start of its data interval."""
    start = datetime.combine(request.first, time.min, zone)
    end = datetime.combine(request.last + timedelta(days=1), time.min, zone) - timedelta(microseconds=1)
    return start.astimezone(UTC), end.astimezone(UTC)


def serialized_dag(dag_id: str) -> Any:
    """Return the DAG as the scheduler knows it.

    Raises
    ------
    RecpipeError
        If no DAG of that name was taken in.
    """
    with create_session() as session:
        found = session.scalar(SerializedDagModel.latest_item_select_object(dag_id))
        if found is None:
            raise RecpipeError(
                f"There is no DAG '{dag_id}'. See `airflow dags list` for the names and `airflow dags list-import-errors` "
                f"for files that could not be read; a new file is taken in by `airflow dags reserialize`."
            )
        return found.dag


def schedule_zone(dag: Any) -> tzinfo:
    """Return the zone of the DAG's schedule; the DAG's own where the schedule has none."""
    zone: tzinfo = getattr(dag.timetable, "_timezone", None) or dag.timezone
    return zone


def _check_dates(request: Request, dag: Any, infos: list[Any], zone: tzinfo) -> None:
    """Refuse runs before the DAG's start date or after its end date, which the backfill service would create."""
    outside = [
        info
        for info in infos
        if (dag.start_date and info.logical_date < dag.start_date) or (dag.end_date and info.logical_date > dag.end_date)
    ]
    if outside:
        start = dag.start_date.astimezone(zone).date() if dag.start_date else "ever"
        until = f"to {dag.end_date.astimezone(zone).date()}" if dag.end_date else "on"
        raise BadSetting(
            f"DAG {request.dag_id} has runs that start from {start} {until}; {_label(outside[0], zone)} lies outside. Choose "
            f"days within, or change the dates of the DAG (RECPIPE_FIRST_DAY and RECPIPE_LAST_DAY for those of recpipe)."
        )


def _check_request(request: Request, dag: Any, from_date: datetime, to_date: datetime) -> None:
    conf = dict(request.conf) if request.conf is not None else None
    try:
        _validate_backfill_params(dag, request.backwards, from_date, to_date, request.behaviour, conf)
    except AirflowException as error:
        raise BadSetting(f"Airflow refuses a backfill of DAG {request.dag_id}: {error}") from None


def _check_past(request: Request, infos: list[Any], zone: tzinfo) -> None:
    now = datetime.now(UTC)
    late = [info for info in infos if info.data_interval.end >= now]
    if late:
        raise BadSetting(
            f"{_label(late[0], zone)} is not over yet, so DAG {request.dag_id} cannot run for it. Let the range end earlier."
        )
    if not infos:
        raise BadSetting(
            f"DAG {request.dag_id} has no run whose data interval starts from {request.first} to {request.last}. A weekly DAG "
            f"has one where its week starts."
        )


def _run(session: Any, request: Request, info: Any, zone: tzinfo) -> Run:
    existing = session.scalar(_get_latest_dag_run_row_query(dag_id=request.dag_id, info=info))
    action = NEW
    if existing is not None:
        reason = _get_dag_run_no_create_reason(existing, request.behaviour)
        action = {
            None: AGAIN,
            BackfillDagRunExceptionReason.IN_FLIGHT: IN_FLIGHT,
        }.get(BackfillDagRunExceptionReason(reason) if reason else None, "left alone: its run stands there")
        if action == IN_FLIGHT and abandoned(session, existing):
            action = ABANDONED
    interval = info.data_interval
    state = str(existing.state) if existing is not None else ""
    return Run(info.logical_date, interval.start, interval.end, _label(info, zone), state, action)


def _label(info: Any, zone: tzinfo) -> str:
    first = info.data_interval.start.astimezone(zone).date()
    last = (info.data_interval.end.astimezone(zone) - timedelta(microseconds=1)).date()
    return str(first) if first == last else f"{first} to {last}"
