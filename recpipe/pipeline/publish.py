"""The publication of staged rows in a table: audit, then one commit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.faults import told
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.pipeline.erased_texts import check_published
from recpipe.pipeline.plan import by_hand, plan_day, sweep
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.shards import open_task, read_shards, write_shard
from recpipe.pipeline.table import Task
from recpipe.registry.nights import note_night
from recpipe.user_ids.keys import has_key
from recpipe.validation.audit import audit
from recpipe.validation.list_facts import sum_facts
from recpipe.validation.suites import Suite

log = logging.getLogger(__name__)


def publish_day(settings: Settings, task: Task[Any], plan: RunPlan, files: Sequence[str]) -> int:
    """Audit the staged rows of a day, publish them in one commit, and return their number.

    Parameters
    ----------
    settings
        Places and bounds.
    task, plan
        As `plan_day` made it for the task.
    files
        What `stage_shard` returned for every shard, in any order.

    Raises
    ------
    RecpipeError
        If shards are missing or of another run.
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    rows, parts, inputs = read_shards(task, plan, files)
    suite = task.suite(settings) if task.suite else None
    version = plan.model_version
    facts = sum_facts(parts)
    publish_rows(settings, task.name, plan.day, rows, facts=facts, inputs=inputs, model_version=version, suite=suite)
    if task.registered:
        note_night(settings, task.name, plan.day)
    log.info("Published %d rows of %s for %s by version %s.", rows.num_rows, task.name, plan.day, version)
    return int(rows.num_rows)


def publish_rows(
    settings: Settings,
    table: str,
    day: date,
    rows: pa.Table,
    *,
    facts: Mapping[str, int],
    inputs: Sequence[Input],
    model_version: str | None = None,
    suite: Suite | None = None,
) -> None:
    """Audit one day of a table and publish it in one commit.

    Raises
    ------
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    what, again = f"Table {table} of {day}", "Look at what is named, then run this again; what was published before stays."
    with told(
        f"{what}: its verdict could not be written under {settings.places.reports} or {settings.places.lake_root}",
        again,
        keep_back=has_key(settings.privacy),
    ):
        verdict = audit(settings, table, day, rows.to_batches(), facts, suite)
    verdict.raise_if_failed()
    with told(f"{what} could not be published in {settings.places.lake_root}", again, keep_back=has_key(settings.privacy)):
        Lake.from_settings(settings).publish(table, [day], rows, inputs=inputs, model_version=model_version)
        check_published(settings, table, [day])


def run_day(settings: Settings, task: Task[Any], day: date, model_version: str = "", shards: int = 0) -> dict[str, Any]:
    """Do a whole day of a task in one process.

    Parameters
    ----------
    settings
        Places and rules.
    task
        What is to be made.
    day
        The day.
    model_version
        See `plan_day`.
    shards
        Number of shards; that of the task if 0. The rows do not depend on it.

    Returns
    -------
    dict
        ``task``, ``day``, ``model_version``, and the ``rows`` published.
    """
    plan = by_hand(plan_day(settings, task, day, model_version), shards)
    opened = open_task(settings, task, plan)
    files = [write_shard(opened, shard) for shard in range(plan.shards)]
    rows = publish_day(settings, task, plan, files)
    sweep(settings, task, plan)
    return {"task": task.name, "day": str(plan.day), "model_version": plan.model_version, "rows": rows}
