"""The lists of a night as a task: one shard's rows, and what was counted over them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import RECOMMENDATIONS
from recpipe.dataset.cohorts import met_pairs
from recpipe.pipeline.blocks import shard_of
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.shards import stage_shard
from recpipe.pipeline.table import Facts, Task
from recpipe.registry.serving import resolve
from recpipe.rules.rule_checks import refusals
from recpipe.tables.recommendations.night import Night, open_night, rank_blocks
from recpipe.validation.list_facts import recommendation_facts


def rank_shard(settings: Settings, plan: RunPlan, shard: int) -> str:
    """Rank the users of one shard and stage their lists.

    Parameters
    ----------
    settings
        Rules of the lists; ``run_id`` names the folder of the run.
    plan
        As `plan_night` made it.
    shard
        0 to ``plan.shards`` − 1.

    Returns
    -------
    str
        The parquet file; it appears whole or not at all, and a rerun replaces it.
    """
    return stage_shard(settings, LISTS, plan, shard)


def _make(night: Night, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    rows = rank_blocks(night, shard, shards)
    return rows, _facts(night, shard, rows)


def _facts(night: Night, shard: int, rows: pa.Table) -> dict[str, int]:
    """Count what the audit wants to know of this shard's lists, from the tables."""
    mine = _concatenated(shard_of(night.blocks, shard, night.plan.shards))
    catalogue = night.known.evidence.catalogue
    items = pa.table(
        {
            "item_id": pa.array(catalogue.item_ids, pa.string()),
            "first_day": pa.array(catalogue.first_day, pa.date32()),
            "available": pa.array(catalogue.available),
            "group": _groups(night.rules.categories, night.settings.lists.category_level),
        }
    )
    return recommendation_facts(
        rows,
        day=night.day,
        users=pa.array(night.users.user_ids[mine], pa.string()),
        items=items,
        seen=_seen(night, mine),
        top_k=night.settings.lists.top_k,
        model_version=str(night.plan.model_version),
        max_per_group=night.settings.lists.max_per_category,
        explore_places=night.settings.exploration.explore_places,
        barred=refusals(night.rules, mine) if night.rules.bars else None,
    )


def _groups(categories: Sequence[tuple[str, ...]], level: int) -> pa.Array:
    """Return the category that is limited as text, null where there is none; the ranking's own codes are not asked."""
    return pa.array([json.dumps(path[: level + 1]) if path else None for path in categories], pa.string())


def _seen(night: Night, mine: NDArray[np.intp]) -> pa.Table:
    """Return what some users have met, where lists may not hold it."""
    users, items = night.users, night.known.evidence.catalogue.item_ids
    place, item = met_pairs(users, mine)
    user = mine[place]
    if night.settings.lists.seen_items == "allow":
        user, item = user[:0], item[:0]
    ids = (pa.array(users.user_ids[user], pa.string()), pa.array(items[item], pa.string()))
    return pa.table({"user_id": ids[0], "item_id": ids[1]})


def _concatenated(blocks: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.sort(np.concatenate(blocks)) if blocks else np.array([], np.intp)


LISTS = Task(
    table=RECOMMENDATIONS,
    reads=("events", "items", "users"),
    description="A list of products for every user.",
    open=open_night,
    build=_make,
    version=resolve,
    registered=True,
    uses_rules=True,
)
