"""Staged lists: one file a shard, with what was counted over it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.contract import RECOMMENDATIONS
from recpipe.days import parse_day
from recpipe.episodes import met_pairs
from recpipe.errors import RecpipeError
from recpipe.lake import Input
from recpipe.quality import recommendation_facts
from recpipe.recommend.blocks import shard_of
from recpipe.recommend.night import Night, open_night, rank_blocks
from recpipe.recommend.plan import night_folder

log = logging.getLogger(__name__)

SAME_NIGHT = ("day", "model_version", "versions", "shards")
NOTE = b"recpipe"


def rank_shard(settings: Settings, plan: dict[str, Any], shard: int) -> str:
    """Rank the users of one shard and stage their lists.

    Parameters
    ----------
    settings
        Rules of the lists; ``run_id`` names the folder of the run.
    plan
        As `plan_night` made it.
    shard
        0 to ``plan["shards"]`` − 1.

    Returns
    -------
    str
        The parquet file; it appears whole or not at all, and a rerun replaces it.
    """
    if not 0 <= shard < plan["shards"]:
        raise RecpipeError(f"The night of {plan['day']} has shards 0 to {plan['shards'] - 1}; there is no shard {shard}.")
    return write_shard(open_night(settings, plan), shard)


def write_shard(night: Night, shard: int) -> str:
    """Rank and stage one shard of an open night (see `rank_shard`)."""
    rows = rank_blocks(night, shard, night.plan["shards"])
    note = {
        **{name: night.plan[name] for name in SAME_NIGHT},
        "shard": shard,
        "inputs": [_as_json(entry) for entry in night.inputs],
        "facts": _facts(night, shard, rows),
    }
    folder = night_folder(night.settings, night.plan)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"shard-{shard}.parquet"
    part = folder / f".shard-{shard}.{os.getpid()}.part"
    pq.write_table(rows.replace_schema_metadata({NOTE: json.dumps(note).encode()}), part)
    part.replace(file)
    log.info("Shard %d of %d: %d rows staged.", shard + 1, night.plan["shards"], rows.num_rows)
    return str(file)


def read_shards(plan: dict[str, Any], files: Sequence[str]) -> tuple[pa.Table, list[dict[str, int]], list[Input]]:
    """Return the rows of a whole night by user id and rank, the facts of each shard, and what was read.

    Raises
    ------
    RecpipeError
        If a shard is missing, stands there twice, or comes from another night.
    """
    tables = [pq.read_table(file) for file in files]
    notes = [json.loads(table.schema.metadata[NOTE]) for table in tables]
    for file, note in zip(files, notes, strict=True):
        if any(note[name] != plan[name] for name in SAME_NIGHT):
            raise RecpipeError(f"{Path(file).name} was ranked for another plan than this night's {plan['day']}: rank it again.")
    found = sorted(note["shard"] for note in notes)
    if found != list(range(plan["shards"])):
        raise RecpipeError(
            f"The night of {plan['day']} needs shards 0 to {plan['shards'] - 1}, each once, but was given {found}: rank those "
            f"that are missing."
        )
    rows = pa.concat_tables(table.cast(RECOMMENDATIONS.schema) for table in tables)
    rows = rows.sort_by([("user_id", "ascending"), ("rank", "ascending")])
    return rows, [note["facts"] for note in notes], [_from_json(entry) for entry in notes[0]["inputs"]]


def _facts(night: Night, shard: int, rows: pa.Table) -> dict[str, int]:
    """Count what the audit wants to know of this shard's lists, from the tables."""
    mine = _concatenated(shard_of(night.blocks, shard, night.plan["shards"]))
    catalogue = night.known.evidence.catalogue
    items = pa.table(
        {
            "item_id": pa.array(catalogue.item_ids, pa.string()),
            "first_day": pa.array(catalogue.first_day, pa.date32()),
            "available": pa.array(catalogue.available),
            "group": _groups(catalogue.categories, night.settings.category_level),
        }
    )
    return recommendation_facts(
        rows,
        day=night.day,
        users=pa.array(night.users.user_ids[mine], pa.string()),
        items=items,
        seen=_seen(night, mine),
        top_k=night.settings.top_k,
        model_version=str(night.plan["model_version"]),
        max_per_group=night.settings.max_per_category,
    )


def _groups(categories: Sequence[tuple[str, ...]], level: int) -> pa.Array:
    """Return the category that is limited as text, null where there is none; the ranking's own codes are not asked."""
    return pa.array([json.dumps(path[: level + 1]) if path else None for path in categories], pa.string())


def _seen(night: Night, mine: NDArray[np.intp]) -> pa.Table:
    """Return what some users have met, where lists may not hold it."""
    users, items = night.users, night.known.evidence.catalogue.item_ids
    place, item = met_pairs(users, mine)
    user = mine[place]
    if night.settings.seen_items == "allow":
        user, item = user[:0], item[:0]
    ids = (pa.array(users.user_ids[user], pa.string()), pa.array(items[item], pa.string()))
    return pa.table({"user_id": ids[0], "item_id": ids[1]})


def _concatenated(blocks: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.sort(np.concatenate(blocks)) if blocks else np.array([], np.intp)


def _as_json(entry: Input) -> dict[str, object]:
    days = {"first_day": entry.first_day.isoformat(), "last_day": entry.last_day.isoformat()}
    return {"table": entry.table, **days, "version": entry.version}


def _from_json(entry: dict[str, Any]) -> Input:
    return Input(entry["table"], parse_day(entry["first_day"]), parse_day(entry["last_day"]), entry["version"])
