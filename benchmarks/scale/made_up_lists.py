"""Lists that nobody ranked, to measure what publishing costs without ranking: the popular ones, drawn, unseen by each user."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.scale.metering import metered, say
from recpipe.dataset.cohorts import met_pairs
from recpipe.pipeline.publish import publish_day
from recpipe.pipeline.shards import Opened, write_shard
from recpipe.tables.recommendations import night_shards
from recpipe.tables.recommendations.night import Night, _Lists, _rows

BLOCK = 4096
DRAWN, LENGTH = 60, 20


def publish(opened: Opened[Night]) -> None:
    """Count, stage, audit and commit made-up lists of every user."""
    import great_expectations  # noqa: F401  # its import is no part of the stage

    night = opened.state
    users = len(night.users)
    with metered("rows from arrays", users=users):
        rows = made_up_rows(night)
    plan = replace(opened.plan, shards=1)
    object.__setattr__(night, "plan", plan)
    with metered("facts of the audit", users=users):
        facts = night_shards._facts(night, 0, rows)
    say(facts={name: count for name, count in facts.items() if count})
    ready: Any = SimpleNamespace(name=night_shards.LISTS.name, build=lambda *_: (rows, facts), table=night_shards.LISTS.table)
    staged = Opened(opened.settings, ready, plan, night, opened.reader)
    with metered("stage one shard", users=users):
        file = write_shard(staged, 0)
    with metered("publish: read shards, audit, commit", users=users, rows=rows.num_rows):
        publish_day(opened.settings, night_shards.LISTS, plan, [file])


def made_up_rows(night: Night) -> pa.Table:
    """Return rows of lists: places of the catalogue drawn in order, less what a user has met."""
    rng = np.random.default_rng(1)
    catalogue = night.known.evidence.catalogue
    on_sale = np.flatnonzero(catalogue.available)
    parts = []
    for start in range(0, len(night.users), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(night.users)))
        item = on_sale[np.sort(rng.integers(0, len(on_sale), (len(rows), DRAWN)), 1)]
        place, met = met_pairs(night.users, rows)
        barred = np.isin(item + np.arange(len(rows))[:, None] * len(catalogue), place * len(catalogue) + met)
        barred[:, 1:] |= item[:, 1:] == item[:, :-1]
        item = np.take_along_axis(item, np.argsort(barred, 1, kind="stable")[:, :LENGTH], 1)
        score = np.tile(np.arange(LENGTH, 0, -1.0), (len(rows), 1))
        kind, because = np.full(item.shape, "popular", object), np.full((*item.shape, 2), -1)
        parts.append(_rows(night, rows, _Lists(item, score, np.ones_like(score), kind, because)))
    return pa.concat_tables(parts).sort_by([("user_id", "ascending"), ("rank", "ascending")])
