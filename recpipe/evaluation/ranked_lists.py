"""Lists as arrays: those that were published, and those that a learner would have made under the same rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.catalogue_reader import codes_of
from recpipe.dataset.cohorts import UserDay
from recpipe.dataset.history import Evidence
from recpipe.dataset.support import take
from recpipe.metrics.ranking import PAD, Truth
from recpipe.models.base import Learner, score_users
from recpipe.pipeline.blocks import users_a_block
from recpipe.ranking.exposure import Quotas, expose
from recpipe.ranking.order import category_codes, rank
from recpipe.rules.day_rules import DayRules

COLUMNS = ["user_id", "rank", "item_id", "cohort", "model_version"]


@dataclass(frozen=True)
class Published:
    """The published lists of a day.

    Attributes
    ----------
    user_ids
        (users,) text, sorted: those who have a list.
    cohort
        (users,) as published with the list.
    lists
        (users, k) item codes, best first, padded.
    model_version
        Version that made them; empty if there is no list.
    """

    user_ids: NDArray[np.object_]
    cohort: NDArray[np.object_]
    lists: NDArray[np.int64]
    model_version: str


def published(rows: pa.Table, item_ids: NDArray[np.object_], k: int) -> Published:
    """Turn rows of ``recommendations`` into arrays.

    Parameters
    ----------
    rows
        Of one day.
    item_ids
        (items,) catalogue as of the day, which the codes are of.
    k
        Ranks to keep.
    """
    rows = rows.select(COLUMNS).sort_by([("user_id", "ascending"), ("rank", "ascending")])
    user_ids, first, row = np.unique(rows["user_id"].to_numpy().astype(object), return_index=True, return_inverse=True)
    place = rows["rank"].to_numpy() - 1
    top = place < k
    lists = np.full((len(user_ids), k), PAD, np.int64)
    lists[row[top], place[top]] = codes_of(rows["item_id"], item_ids)[top]
    version = str(rows["model_version"][0]) if rows.num_rows else ""
    return Published(user_ids, rows["cohort"].to_numpy()[first].astype(object), lists, version)


def rank_lists(
    learner: Learner,
    evidence: Evidence,
    users: UserDay,
    rows: NDArray[np.intp],
    seen: Truth,
    settings: Settings,
    rules: DayRules,
    quotas: Quotas | None = None,
) -> NDArray[np.int64]:
    """Return (rows, k) item codes, best first: available, not barred, unseen where the rule says so, few of one category.

    Parameters
    ----------
    learner
        Places the items and adapts to the users.
    evidence, users
        As of the lists' day.
    rows
        Places of the wanted users among ``users``.
    seen
        What all users have met.
    settings
        Rules of the lists; k is the metrics' cut-off, or the length of a list if that is less.
    rules
        What the shop's files of knowledge say of ``users`` on that day.
    quotas
        Least share of groups of items in each list, as the published lists have it; None: no such rule.
    """
    space, k = learner.items(evidence), min(settings.evaluation.metric_k, settings.lists.top_k)
    category = category_codes(rules.categories, settings.lists.category_level)
    size = users_a_block(len(evidence.catalogue))
    length = settings.lists.top_k if quotas else k  # what a group lacks in a list's first places depends on its later ones
    parts = [np.empty((0, k), np.int64)]
    for some in (rows[start : start + size] for start in range(0, len(rows), size)):
        scores = score_users(learner, space, take(users.support, some))
        barred = np.repeat(~evidence.catalogue.available[None, :], len(some), axis=0)
        if settings.lists.seen_items == "exclude":
            keep = np.repeat(np.arange(len(some)), seen.size[some])
            barred[keep, np.concatenate([seen.item[seen.indptr[row] : seen.indptr[row + 1]] for row in some])] = True
        if rules.bars:
            barred |= rules.barred(some)
        lists = rank(scores, barred, length, category, settings.lists.max_per_category)[0]
        if quotas:
            lists = expose(lists, scores, barred, category, settings.lists.max_per_category, quotas)[0]
        parts.append(lists[:, :k])
    return np.concatenate(parts)
