"""What a night reads and which model it asks: resolved once, and passed on to every task of the night."""

from __future__ import annotations

import logging
import re
from datetime import date
from pathlib import Path
from typing import Any

from recpipe import registry
from recpipe.config import Settings
from recpipe.days import parse_day
from recpipe.lake import Lake

log = logging.getLogger(__name__)

READ = ("events", "items", "users")


def plan_night(settings: Settings, day: date, model_version: str = "") -> dict[str, Any]:
    """Say what a night works on, as JSON.

    Parameters
    ----------
    settings
        Name the lake, the registry and the number of shards.
    day
        The day; its events, items and users have to stand in the register.
    model_version
        Version to use. If empty, a published night keeps its own, and a new one gets the version that serves the day.

    Returns
    -------
    dict
        ``day``, ``model_version``, ``model_folder``, ``versions`` (Delta version by table), ``shards``.

    Raises
    ------
    MissingDay
        If the day was not taken in yet.
    MissingModel
        If no version serves the day, or there is none of that name.
    """
    lake = Lake.from_settings(settings)
    for table in READ:
        lake.require(table, day)
    version = model_version or _published(lake, day) or registry.resolve(settings, day)
    return {
        "day": day.isoformat(),
        "model_version": version,
        "model_folder": registry.fetch(settings, version),
        "versions": lake.versions_now(READ),
        "shards": settings.shards,
    }


def _published(lake: Lake, day: date) -> str | None:
    """Return the model version that a published night has in the register."""
    record = lake.day("recommendations", day)
    return record.model_version if record and record.complete else None


def day_of(plan: dict[str, Any]) -> date:
    """Return the day that a plan is for."""
    return parse_day(plan["day"])


def night_folder(settings: Settings, plan: dict[str, Any]) -> Path:
    """Return the folder of a night's files: of this run alone, so that runs of one day do not meet."""
    run = re.sub(r"[^A-Za-z0-9_.-]", "_", settings.run_id)
    return settings.work / "nights" / str(plan["day"]) / run
