"""The defaults of all DAGs: dates and patience from the settings, and the day that a task works on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, CronDataIntervalTimetable, Param, get_current_context
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import mask_secret

from recpipe.airflow.context import Refused, day_of_context
from recpipe.airflow.notifications import tell_failure, tell_timeout
from recpipe.airflow.secrets import with_secrets
from recpipe.config.model_settings import TrainingSettings
from recpipe.config.settings import Settings, load_settings
from recpipe.days import ONE_DAY
from recpipe.errors import AuditFailed, BadDelivery, BadSetting, MissingDay, MissingModel, RecpipeError, Trouble
from recpipe.faults import place_in_code, sentence_of

log = logging.getLogger(__name__)


TAGS = frozenset(
    {"recpipe", "daily", "weekly", "monthly", "by-hand", "ingest", "train", "recommend", "evaluate", "task", "tier-1", "tier-2"}
)
"""The tags that DAGs may carry. Tier 1: consumers notice within hours. Tier 2: within a week."""


OWNER = "recommendations"


RUN_LIMIT = timedelta(hours=12)
"""A run that takes longer waits for something that will not come."""


DAILY = "0 0 * * *"


WEEKLY = "0 0 * * 1"


MONTHLY = "0 0 1 * *"


REFUSALS = (BadSetting, BadDelivery, AuditFailed, MissingDay, MissingModel)
"""Errors that a second try would meet again."""


def schedule(settings: Settings, cron: str, days: int = 1) -> dict[str, Any]:
    """Return the arguments of a DAG that say when it runs: whole days of the shop, within the settings' dates.

    Parameters
    ----------
    settings
        Zone, first and last day.
    cron
        `DAILY`, `WEEKLY` or `MONTHLY`: the data interval ends at the shop's midnight, so the day has passed when the run starts.
    days
        Days of a data interval; the last run is the one that ends with the last day.
    """
    start = datetime.combine(settings.shop.first_day, time.min, settings.shop.zone)
    end = (
        datetime.combine(settings.shop.last_day - (days - 1) * ONE_DAY, time.min, settings.shop.zone)
        if settings.shop.last_day
        else None
    )
    return {
        "schedule": CronDataIntervalTimetable(cron, timezone=settings.shop.timezone),
        "start_date": start,
        "end_date": end,
        "catchup": False,
    }


def run_limit(more_hours: float = 0.0) -> dict[str, Any]:
    """Return the arguments of a DAG that end a run after `RUN_LIMIT` and some more hours, and tell of it."""
    return {"dagrun_timeout": RUN_LIMIT + timedelta(hours=more_hours), "on_failure_callback": tell_timeout}


def default_args(settings: Settings, minutes: float) -> dict[str, Any]:
    """Return the arguments of every task: owner, retries with growing waits, a time limit in minutes, and who is told of failures."""
    return {
        "owner": OWNER,
        "retries": settings.run.retries,
        "retry_delay": timedelta(seconds=settings.run.retry_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(minutes=minutes),
        "pool": "default_pool",
        "on_failure_callback": tell_failure,
    }


def day_param() -> Param:
    """Return the parameter ``day``, which a run that was triggered by hand has to set."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description="The shop's day to run for, such as 2011-09-01. Scheduled and backfill runs take it from their data interval.",
    )


def accept_volume_param() -> Param:
    """Return the parameter ``accept_volume``: a person has looked, and few rows are right."""
    return Param(
        False,
        type="boolean",
        title="Accept the volume",
        description="You have looked: on this day the shop really had that few events, or its catalogue lost that many items.",
    )


def from_param() -> Param:
    """Return the parameter ``from``: what training goes on from. It never meets a shell, and `registry.start` reads it."""
    return Param(
        None,
        type=["null", "string"],
        pattern=r"^(champion|[0-9]+|models:/[^/\s]+/[0-9]+|[^\s\-].*)?$",
        title="From",
        description="'champion', a version's number, the model folder of another shop, or models:/NAME/VERSION. RECPIPE_TRAIN_FROM if empty.",
    )


def from_of_run(training: TrainingSettings) -> str:
    """Return what this run's training goes on from, as it was written; empty for nothing."""
    return str(get_current_context()["params"].get("from") or training.train_from)


def table(settings: Settings, name: str) -> Asset:
    """Return a table of the lake as an asset, for lineage and for consumers that run when it changes."""
    root = settings.places.lake_root
    uri = root if "://" in root else Path(root).resolve().as_uri()
    return Asset(name=f"recpipe.{name}", uri=f"{uri}/{name}")


@contextmanager
def refusals(worth_trying_again: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Let what cannot succeed the second time fail at once, with its sentence and without a traceback of recpipe.

    What a library, the disk or the operating system raised becomes a sentence, too, and is tried again; the log has the place.
    """
    try:
        yield
    except REFUSALS as error:
        if isinstance(error, worth_trying_again):
            raise
        raise Refused(error) from None
    except (RecpipeError, AirflowException):
        raise
    except Exception as error:
        said = sentence_of(error, keep_back=_keyed())
        if not said:
            raise
        log.error("%s in:\n%s", type(error).__name__, place_in_code(error))
        raise Trouble(said) from None


def _keyed() -> bool:
    """Whether ids are kept under a key, or nobody can tell: then no text of a library is shown, which may quote what was delivered."""
    from recpipe.user_ids.keys import has_key

    try:
        return has_key(run_settings().privacy)
    except Exception:
        return True


@contextmanager
def run_day(worth_trying_again: tuple[type[Exception], ...] = ()) -> Iterator[tuple[Settings, date]]:
    """Give a task its settings, which name the run, and its day; what recpipe refuses is not tried again."""
    with refusals(worth_trying_again):
        settings, context = run_settings(), get_current_context()
        day = day_of_context(context, settings.shop)
        yield (settings.accepting(day) if context["params"].get("accept_volume") else settings), day


def run_settings() -> Settings:
    """Return the settings of a task, which name its run."""
    return with_key(load_settings(run_id=get_current_context()["dag_run"].run_id))


def with_key(settings: Settings) -> Settings:
    """Return settings with the key of user ids: of Airflow's connection ``recpipe_user_key`` (its password) where they have none.

    Airflow hides the key in everything that the task logs.

    Raises
    ------
    BadSetting
        If the connection is there and has no password.
    """
    settings = settings if settings.privacy.user_key_file else with_secrets(settings, "user_key")
    if key := settings.privacy.user_key.get_secret_value():
        mask_secret(key)
    return settings


def run_folder(settings: Settings, kind: str, day: date) -> str:
    """Return the scratch folder of a run, emptied: a rerun starts from nothing, a retried later task finds it again."""
    folder = settings.places.work / kind / str(day) / settings.run.run_name
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder.resolve())
