"""The publication of a night's staged rows: audit, then one commit a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from recpipe.config.settings import Settings
from recpipe.pipeline.plan import by_hand, sweep
from recpipe.pipeline.publish import publish_day, publish_rows
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.shards import Opened, open_task, write_shard
from recpipe.tables.recommendations.episode_rows import episode_rows
from recpipe.tables.recommendations.night import Night
from recpipe.tables.recommendations.night_plan import plan_night
from recpipe.tables.recommendations.night_shards import LISTS


def publish_episodes(settings: Settings, plan: RunPlan) -> int:
    """Publish the supports of the users who are new on a night's day, and return their number.

    Raises
    ------
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    return _publish_episodes(open_task(settings, LISTS, plan))


def _publish_episodes(opened: Opened[Night]) -> int:
    night = opened.state
    rows = episode_rows(night.users, night.known.evidence.catalogue, night.day)
    publish_rows(opened.settings, "episodes", night.day, rows, facts={}, inputs=opened.inputs)
    return int(rows.num_rows)


def publish_night(settings: Settings, plan: RunPlan, files: Sequence[str]) -> int:
    """Audit the staged lists of a night, publish them in one commit, and return the number of rows.

    Parameters
    ----------
    settings
        Places and bounds.
    plan
        As `plan_night` made it.
    files
        What `rank_shard` returned for every shard, in any order.

    Raises
    ------
    RecpipeError
        If shards are missing or of another night.
    AuditFailed
        If the lists do not pass their suite; what was published before stays.
    """
    return publish_day(settings, LISTS, plan, files)


def recommend_day(settings: Settings, day: date, model_version: str = "", shards: int = 0) -> dict[str, Any]:
    """Do a whole night in one process: plan, episodes, lists.

    Parameters
    ----------
    settings
        Places and rules.
    day
        The day.
    model_version
        See `plan_night`.
    shards
        Number of shards; that of the settings if 0. The rows do not depend on it.

    Returns
    -------
    dict
        ``day``, ``model_version``, and the rows published of ``episodes`` and ``recommendations``.
    """
    plan = by_hand(plan_night(settings, day, model_version), shards)
    opened = open_task(settings, LISTS, plan)
    episodes = _publish_episodes(opened)
    files = [write_shard(opened, shard) for shard in range(plan.shards)]
    rows = publish_night(settings, plan, files)
    sweep(settings, LISTS, plan)
    return {"day": str(plan.day), "model_version": plan.model_version, "episodes": episodes, "recommendations": rows}
