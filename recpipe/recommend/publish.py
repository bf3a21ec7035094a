"""From staged rows to the tables: audit, then one commit a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from typing import Any

from recpipe.config import Settings
from recpipe.episodes import episode_rows
from recpipe.lake import Lake
from recpipe.quality import audit, sum_facts
from recpipe.recommend.night import Night, open_night
from recpipe.recommend.plan import day_of, plan_night
from recpipe.recommend.shards import read_shards, write_shard

log = logging.getLogger(__name__)


def publish_episodes(settings: Settings, plan: dict[str, Any]) -> int:
    """Publish the supports of the users who are new on a night's day, and return their number.

    Raises
    ------
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    return _publish_episodes(open_night(settings, plan))


def _publish_episodes(night: Night) -> int:
    rows = episode_rows(night.users, night.known.evidence.catalogue, night.day)
    audit(night.settings, "episodes", night.day, rows.to_batches(), {}).raise_if_failed()
    Lake.from_settings(night.settings).publish("episodes", [night.day], rows, inputs=night.inputs)
    return int(rows.num_rows)


def publish_night(settings: Settings, plan: dict[str, Any], files: Sequence[str]) -> int:
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
    rows, facts, inputs = read_shards(plan, files)
    day = day_of(plan)
    audit(settings, "recommendations", day, rows.to_batches(), sum_facts(facts)).raise_if_failed()
    Lake.from_settings(settings).publish("recommendations", [day], rows, inputs=inputs, model_version=str(plan["model_version"]))
    log.info("Published %d rows of recommendations for %s by version %s.", rows.num_rows, day, plan["model_version"])
    return int(rows.num_rows)


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
    plan = plan_night(settings, day, model_version)
    plan["shards"] = shards or plan["shards"]
    night = open_night(settings, plan)
    episodes = _publish_episodes(night)
    files = [write_shard(night, shard) for shard in range(plan["shards"])]
    rows = publish_night(settings, plan, files)
    return {"day": plan["day"], "model_version": plan["model_version"], "episodes": episodes, "recommendations": rows}
