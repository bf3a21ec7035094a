"""The plan of one run of a task: its inputs and its version, resolved once, and passed on to every step of the run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Task
from recpipe.rules.plan_copies import keep_rules


def plan_day(settings: Settings, task: Task[Any], day: date, model_version: str = "") -> RunPlan:
    """Say what a run of a task works on.

    Parameters
    ----------
    settings
        Name the lake, the registry and the number of shards.
    task
        What is to be made.
    day
        The day; every table that the task reads has to stand in the register for it.
    model_version
        Version of the model registry to use. If empty, a published day keeps its own, and a new one gets the version
        that serves the day.

    Raises
    ------
    MissingDay
        If the day was not taken in yet.
    MissingModel
        If no version serves the day, or there is none of that name.
    BadSetting
        If a version is named for a task that asks no registered model, or something in the files of knowledge is wrong.
    """
    lake = Lake.from_settings(settings)
    for table in task.reads:
        lake.require(table, day)
    sha256 = keep_rules(settings) if task.uses_rules else ""
    made_by = _version(settings, task, lake, day, model_version, sha256)
    versions = lake.versions_now((*task.reads, *task.reads_history))
    return RunPlan(day=day, versions=versions, shards=task.shards(settings), knowledge=sha256, **made_by)


def _version(settings: Settings, task: Task[Any], lake: Lake, day: date, asked: str, sha256: str) -> dict[str, str]:
    if not task.registered:
        if asked:
            raise BadSetting(f"The task {task.name} asks no model of the registry: leave the model version away.")
        return {"model_version": own_version(settings, task, day, sha256)}
    from recpipe.registry.encoders import encoders_of
    from recpipe.registry.serving import fetch_for_plan

    version = asked or _published(lake, task, day) or task.version(settings, day)
    fetched = fetch_for_plan(settings, version)
    return {"model_version": version, **fetched, **encoders_of(settings, fetched["model_folder"])}


def own_version(settings: Settings, task: Task[Any], day: date, sha256: str) -> str:
    """Return the name of what makes the rows of a task that asks no registered model; ``sha256`` is that of the knowledge."""
    return task.version(settings, day) + (f"+knowledge-{sha256[:8]}" if sha256 else "")


def _published(lake: Lake, task: Task[Any], day: date) -> str | None:
    """Return the model version that a published day has in the register."""
    record = lake.day(task.name, day)
    return record.model_version if record and record.complete else None


def run_folder(settings: Settings, task: Task[Any], plan: RunPlan) -> Path:
    """Return the folder of a run's staged files: of this run alone, so that runs of one day do not meet."""
    run = "-".join(part for part in (settings.run.run_name, plan.by_hand) if part)
    return settings.places.work / "nights" / str(plan.day) / run / task.name


def by_hand(plan: RunPlan, shards: int) -> RunPlan:
    """Return a plan that one process does from end to end: its folder is named after no run, for it may be one of several at once."""
    return replace(plan, shards=shards or plan.shards, by_hand=uuid4().hex[:8])


def sweep(settings: Settings, task: Task[Any], plan: RunPlan) -> None:
    """Remove the staged files of a run that one process did, and that is published: nobody comes back for them."""
    folder = run_folder(settings, task, plan)
    if plan.by_hand:
        shutil.rmtree(folder.parent, ignore_errors=True)
