"""The plan of a night: its inputs and its model, resolved once, and passed on to every task of the night."""

from __future__ import annotations

from datetime import date

from recpipe.config.settings import Settings
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.run_plan import RunPlan
from recpipe.tables.recommendations.night_shards import LISTS


def plan_night(settings: Settings, day: date, model_version: str = "") -> RunPlan:
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
        ``day``, ``model_version``, ``model_folder``, ``model_sha256``, ``versions`` (Delta version by table), ``shards``.

    Raises
    ------
    MissingDay
        If the day was not taken in yet.
    MissingModel
        If no version serves the day, or there is none of that name.
    """
    return plan_day(settings, LISTS, day, model_version)
