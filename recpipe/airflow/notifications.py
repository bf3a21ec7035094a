"""Alarms: what a failed task, late lists, a crossed floor and a question that waits tell people.

Backfills tell nobody of failures, of lateness and of floors: somebody sits before them. A question is told of whatever run asks it, for the run stands still until it is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import AsyncCallback, BaseNotifier, DeadlineAlert, DeadlineReference

from recpipe.airflow.secrets import send, with_secrets
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting
from recpipe.local.home import airflow_pages
from recpipe.notices.notice import AUDIT, FAILED, LATE, WAITS, Notice

log = logging.getLogger(__name__)

BACKFILL = "backfill"


def tell_failure(context: Any) -> None:
    """Tell of a task that failed for good: what, for which day, and where its log and its runbook are."""
    from recpipe.airflow.context import Refused, day_of_context

    if _run_type(context["dag_run"]) == BACKFILL:
        return
    settings = load_settings()
    instance, error = context["ti"], context.get("exception")
    kind = AUDIT if isinstance(error, Refused) and error.why == "AuditFailed" else FAILED
    if instance.task_id.startswith("wait_for_"):
        kind = LATE
    day = _day(lambda: day_of_context(context, settings.shop))
    what = f"{instance.dag_id}, task {instance.task_id}, failed for {day or 'no day'}: {_first_lines(error)}"
    todo = f"The page of the DAG {instance.dag_id} says under Docs what to do. Log:"
    send(settings, [Notice(kind, day, what, todo, str(instance.log_url))])


def tell_floors(context: Any, settings: Settings, outcome: Mapping[str, Any]) -> bool:
    """Tell of floors that were crossed; return whether a channel took it. Those of a backfill stand in its log alone.

    Parameters
    ----------
    context
        Of the task that tells.
    settings
        Of its run.
    outcome
        What `recpipe.evaluation.day_outcomes.evaluate_day` returned.
    """
    from recpipe.evaluation.warnings import notify

    if _run_type(context["dag_run"]) == BACKFILL:
        for sentence in outcome["warnings"]:
            log.warning("%s", sentence)
        return False
    return notify(with_secrets(settings, "webhook", "smtp"), outcome["warnings"], outcome["day"])


class TellQuestion(BaseNotifier):
    """Tells that a question waits for a person, when the task that asks it begins to wait."""

    def notify(self, context: Any) -> None:
        """Tell what is asked, until when an answer is taken, and where it is given."""
        from recpipe.airflow.context import day_of_context

        settings, asks = load_settings(), context["task"]
        day = _day(lambda: day_of_context(context, settings.shop))
        hours = asks.response_timeout / timedelta(hours=1)
        what = f"{asks.subject} It was trained up to {day or 'no day'}. {asks.body.splitlines()[0]}"
        todo = f"Look at the comparison and answer within {hours:g} h; no answer by then is taken as {asks.defaults[0]}:"
        run, pages = context["ti"], airflow_pages(settings)
        link = f"{pages}/dags/{run.dag_id}/runs/{quote(run.run_id)}/tasks/{run.task_id}/required_actions"
        send(settings, [Notice(WAITS, day, what, todo, link)])


def tell_timeout(context: Any) -> None:
    """Tell of a run that reached its limit: Airflow skips its tasks then, so that none of them tells. Called in the DAG processor."""
    from recpipe.airflow.context import day_of_context

    # where a task failed, it has told; of a backfill nobody is told
    if context.get("reason") != "timed_out" or str(context["run_id"]).startswith(f"{BACKFILL}__"):
        return
    settings = load_settings()
    # without any task the context has no run
    day = _day(lambda: day_of_context(context, settings.shop)) if "dag_run" in context else ""
    dag = context["dag"]
    what = (
        f"{dag.dag_id} of {day or 'no day'} was ended after {dag.dagrun_timeout / timedelta(hours=1):g} hours; what was not done by then "
        f"was skipped."
    )
    todo = f"Look which task of run {context['run_id']} waited or ran; the page of the DAG says under Docs what to do. Clear it afterwards."
    send(settings, [Notice(LATE, day, what, todo)])


def deadline(settings: Settings) -> dict[str, Any]:
    """Return the arguments of a daily DAG whose table people wait for in the morning; none without ``deadline_hours``.

    Airflow counts hours from the beginning of the run's day: on the two days a year of which the clock is changed, whose length
    is another, people are told an hour early (autumn) or late (spring).
    """
    if not settings.notices.deadline_hours:
        return {}
    # the logical date is the beginning of the day that the run is for
    after = timedelta(days=1, hours=settings.notices.deadline_hours)
    alert = DeadlineAlert(DeadlineReference.DAGRUN_LOGICAL_DATE, after, AsyncCallback(tell_late), name="late for the morning")
    return {"deadline": alert}


async def tell_late(context: Any) -> None:
    """Tell that a run did not end in time; called in the triggerer."""
    from recpipe.days import day_of_run

    run = context["dag_run"]
    if _run_type(run) == BACKFILL:
        return
    settings = load_settings()
    ended = datetime.fromisoformat(run["data_interval_end"]) if run["data_interval_end"] else None
    day = _day(lambda: day_of_run(run.get("conf") or {}, _run_type(run), ended, settings.shop.zone))
    what = (
        f"{run['dag_id']} of {day or 'no day'} was not done {settings.notices.deadline_hours:g} hours after midnight; its state is {run['state']}. "
        f"Consumers serve the lists of the day before."
    )
    todo = f"Look which task of run {run['dag_run_id']} waits or runs; the page of the DAG says under Docs what to do."
    await asyncio.to_thread(send, settings, [Notice(LATE, day, what, todo)])


def _run_type(run: Any) -> str:
    kind = run["run_type"] if isinstance(run, dict) else run.run_type
    return str(getattr(kind, "value", kind))


def _day(look: Callable[[], date]) -> str:
    """Return a run's day; empty if it names none, which must not keep its failure from being told."""
    try:
        return str(look())
    except BadSetting:
        return ""


def _first_lines(error: Any, most: int = 500) -> str:
    if error is None:
        # Airflow found the task dead, and tells of it without an error
        return "its process ended without a word, killed or out of memory."
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= most else text[:most] + " …"
