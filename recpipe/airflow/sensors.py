"""Sensors that wait for files and for published days, and the trigger that waits for them in the triggerer.

A sensor looks once where it runs; only if it has to wait does it go to the triggerer, where it holds no worker. The limit is
an instant that is fixed when the waiting starts, so that a restart of the triggerer does not start it anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from recpipe.airflow.context import day_of_context
from recpipe.airflow.defaults import refusals
from recpipe.config.run_settings import RunSettings
from recpipe.config.settings import Settings, load_settings
from recpipe.days import ONE_DAY, days_between, parse_day


class WaitTrigger(BaseTrigger):
    """Looks again and again, until nothing is missing or the time is up.

    Parameters
    ----------
    look
        ``delivery`` or ``days``: which of the looks of this module.
    arguments
        What the look takes.
    until
        Seconds since 1970 at which the waiting ends.
    poll
        Seconds between two looks.
    """

    def __init__(self, look: str, arguments: dict[str, Any], until: float, poll: float) -> None:
        super().__init__()
        self.look = look
        self.arguments = arguments
        self.until = until
        self.poll = poll

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger again."""
        kept = {"look": self.look, "arguments": self.arguments, "until": self.until, "poll": self.poll}
        return "recpipe.airflow.sensors.WaitTrigger", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: what is still missing, or an empty text."""
        while True:
            # in a thread: the look reads files, and the triggerer must not stand still meanwhile
            missing = await asyncio.to_thread(LOOKS[self.look], **self.arguments)
            if not missing or time.time() >= self.until:
                yield TriggerEvent(missing)
                return
            await asyncio.sleep(min(self.poll, max(0.1, self.until - time.time())))


class DeliverySensor(BaseOperator):
    """Waits until the shop has delivered the day: its mark (``_SUCCESS``) in the folders of the tables that have to be there."""

    def execute(self, context: Any) -> None:
        """Look once, and wait in the triggerer if the delivery is not complete."""
        settings, day = _settings_and_day(context)
        _wait(self, context, settings.run, "delivery", {"day": str(day)})

    def resume(self, context: Any, event: str, minutes: float) -> None:
        """Go on, or fail with what is missing."""
        _end(event, minutes)


class DaySensor(BaseOperator):
    """Waits until days of tables stand in the register as complete.

    Parameters
    ----------
    needs
        For each table, how many days before the run's day it is needed: first and last offset, both included.
        ``{"events": (6, 0)}`` is the week that ends with the day.
    """

    def __init__(self, *, needs: dict[str, tuple[int, int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.needs = needs

    def execute(self, context: Any) -> None:
        """Look once, and wait in the triggerer if a day is missing."""
        settings, day = _settings_and_day(context)
        ranges = {name: [str(day - first * ONE_DAY), str(day - last * ONE_DAY)] for name, (first, last) in self.needs.items()}
        _wait(self, context, settings.run, "days", {"ranges": ranges})

    def resume(self, context: Any, event: str, minutes: float) -> None:
        """Go on, or fail with what is missing."""
        _end(event, minutes)


def missing_delivery(day: str) -> str:
    """Say what is missing of a delivery, or why nobody can tell; empty if nothing is."""
    from recpipe.errors import Unreachable
    from recpipe.tables.ingest.landed.delivery import find_delivery

    try:
        return find_delivery(load_settings(), parse_day(day)).message
    except Unreachable as error:  # a store that is away for a while ends no waiting
        return str(error)


def missing_days(ranges: dict[str, list[str]]) -> str:
    """Say which days of which tables are not published; empty if all are.

    Parameters
    ----------
    ranges
        First and last day by table.
    """
    from recpipe.lake.lake import Lake

    lake = Lake.from_settings(load_settings())
    sentences = []
    for name, (first, last) in ranges.items():
        complete = {record.day for record in lake.days(name) if record.complete}
        missing = [day for day in days_between(parse_day(first), parse_day(last)) if day not in complete]
        if missing:
            sentences.append(f"{name} of {', '.join(map(str, missing))}")
    if not sentences:
        return ""
    return f"Not published yet: {'; '.join(sentences)}. Run the DAG that writes the table for these days first."


LOOKS: Mapping[str, Callable[..., str]] = {"delivery": missing_delivery, "days": missing_days}


def _settings_and_day(context: Any) -> tuple[Settings, date]:
    with refusals():
        settings = load_settings()
        return settings, day_of_context(context, settings.shop)


def _wait(sensor: BaseOperator, context: Any, run: RunSettings, look: str, arguments: dict[str, Any]) -> None:
    missing = LOOKS[look](**arguments)
    if not missing:
        return
    scheduled = str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)) == "scheduled"
    minutes = run.wait_minutes if scheduled else run.backfill_wait_minutes
    sensor.log.info("Waiting up to %g minutes. %s", minutes, missing)
    trigger = WaitTrigger(look, arguments, time.time() + 60 * minutes, run.poll_seconds)
    sensor.defer(trigger=trigger, method_name="resume", kwargs={"minutes": minutes})


def _end(missing: str, minutes: float) -> None:
    if missing:
        raise AirflowFailException(
            f"{missing} It was waited for {minutes:g} min (RECPIPE_WAIT_MINUTES for scheduled runs, "
            f"RECPIPE_BACKFILL_WAIT_MINUTES for others)."
        )
