"""One night: everything that is known, placed by one model, and the lists of a block of users."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import LEAST_EXPOSURE, NEW_ITEM, REASON, RECOMMENDATIONS
from recpipe.dataset.as_of import Known, read_known
from recpipe.dataset.cohorts import UserDay, met_pairs, users_of
from recpipe.dataset.support import take
from recpipe.errors import RecpipeError
from recpipe.lake.reader import Reader
from recpipe.metrics.ranking import told_apart
from recpipe.models.base import ItemSpace, Learner, score_users
from recpipe.pipeline.blocks import blocks_of, shard_of, users_a_block
from recpipe.pipeline.run_plan import RunPlan
from recpipe.ranking.exploration import Lists, Pool, explore, new_items
from recpipe.ranking.exposure import Quotas, expose, raised, read_quotas
from recpipe.ranking.fallback import KINDS, Fallback, open_fallback
from recpipe.ranking.order import category_codes, rank
from recpipe.ranking.reasons import because, brought_by_any
from recpipe.registry.encoders import foreign_encoder
from recpipe.registry.serving import require_content
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.plan_copies import rules_of_plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """What the lists of a day are made from; a pure function of day, tables as of the day, and model version.

    Attributes
    ----------
    settings
        Rules of the lists.
    plan
        As `plan_night` made it.
    known
        Evidence, users and traces as of the day.
    users
        Every user of the day.
    rules
        What the shop's files of knowledge say of the day.
    quotas
        Least share of groups of items in each list; None: no such rule.
    """

    settings: Settings
    plan: RunPlan
    known: Known
    users: UserDay
    rules: DayRules
    quotas: Quotas | None = None

    @property
    def day(self) -> date:
        """The day."""
        return self.plan.day

    @cached_property
    def learner(self) -> Learner:
        """The model of the night; refused if its files are not those of the registry, or it was trained on another encoder's vectors."""
        from recpipe.models.io import load

        folder = Path(self.plan.model_folder)
        require_content(folder, self.plan.model_sha256, f"Model version {self.plan.model_version}")
        if foreign := foreign_encoder(self.settings.text, folder):
            raise RecpipeError(f"Model version {self.plan.model_version} {foreign}")
        return load(folder)

    @cached_property
    def space(self) -> ItemSpace:
        """Where the model places the items of the day."""
        return self.learner.items(self.known.evidence)

    @cached_property
    def alike(self) -> NDArray[np.float64]:
        """(items,) what any support brings, whatever stands in it: no item is named for that."""
        return brought_by_any(self.learner, self.space)

    @cached_property
    def fallback(self) -> Fallback:
        """What is popular on the day."""
        return open_fallback(self.known.evidence, self.settings)

    @cached_property
    def category(self) -> NDArray[np.int64]:
        """(items,) code of the category that the rules limit."""
        return category_codes(self.rules.categories, self.settings.lists.category_level)

    @cached_property
    def new(self) -> NDArray[np.bool_]:
        """(items,) what a draw of new items is made from."""
        return new_items(self.known.evidence, self.settings.exploration, self.day)

    @cached_property
    def blocks(self) -> list[NDArray[np.intp]]:
        """Rows of the users of each block; accounts of one person are in one."""
        return blocks_of(self.users.person_ids, users_a_block(len(self.known.evidence.catalogue)))


@dataclass(frozen=True)
class _Lists:
    """Lists of some users: (users, top_k) item rows, −1 where the list ends; scores; propensity; reason; items of the reason."""

    item: NDArray[np.int64]
    score: NDArray[np.float64]
    propensity: NDArray[np.float64]
    kind: NDArray[np.object_]
    because: NDArray[np.int64]


def open_night(settings: Settings, plan: RunPlan, reader: Reader) -> Night:
    """Read what a night works on, with the encoders of its plan; the reader sees the table versions of the plan."""
    settings = plan.bound(settings)
    known = read_known(reader, settings, plan.day)
    users = users_of(known, settings, plan.day)
    catalogue, ours = known.evidence.catalogue, rules_of_plan(settings, plan.knowledge, plan.day)
    people = users.user_ids, users.person_ids
    rules = day_rules(ours, reader, plan.day, catalogue.item_ids, catalogue.categories, *people)
    quotas = read_quotas(settings, known.evidence, rules.categories, reader, plan.day)
    return Night(settings, plan, known, users, rules, quotas)


def rank_blocks(night: Night, shard: int, shards: int) -> pa.Table:
    """Return the rows of ``recommendations`` of one shard's users, by user id and rank."""
    parts = []
    blocks = shard_of(night.blocks, shard, shards)
    for number, rows in enumerate(blocks, 1):
        parts.append(_rows(night, rows, _lists(night, rows)))
        log.info("Shard %d of %d: %d of %d blocks ranked.", shard + 1, shards, number, len(blocks))
    found = pa.concat_tables(parts) if parts else RECOMMENDATIONS.schema.empty_table()
    return found.sort_by([("user_id", "ascending"), ("rank", "ascending")])


def _lists(night: Night, rows: NDArray[np.intp]) -> _Lists:
    """Rank users with a support by the model, and the others by what is popular or was searched."""
    k = night.users.support.k[rows]
    lists = _empty(len(rows), night.settings.lists.top_k)
    if not len(night.known.evidence.catalogue):
        return lists
    for some, make in ((k > 0, _by_model), (k == 0, _by_fallback)):
        if some.any():
            found = make(night, rows[some])
            for name in ("item", "score", "propensity", "kind", "because"):
                getattr(lists, name)[some] = getattr(found, name)
    return lists


def _empty(users: int, k: int) -> _Lists:
    none = np.full((users, k), -1, np.int64)
    return _Lists(
        none, np.zeros((users, k)), np.ones((users, k)), np.full((users, k), "", object), np.full((users, k, 2), -1, np.int64)
    )


def _by_model(night: Night, rows: NDArray[np.intp]) -> _Lists:
    support = take(night.users.support, rows)
    scores = score_users(night.learner, night.space, support)
    found, by_rule = _ranked(night, rows, scores)
    cause = because(night.learner, night.space, support, found.item, night.alike)
    kind = np.where(cause[:, :, 0] >= 0, "support", "popular").astype(object)
    return _with_reasons(found, by_rule, kind, cause)


def _by_fallback(night: Night, rows: NDArray[np.intp]) -> _Lists:
    scores, kinds = night.fallback.scores(list(night.users.country[rows]), [night.users.query_texts[row] for row in rows])
    found, by_rule = _ranked(night, rows, scores)
    kind = np.array(KINDS, object)[np.take_along_axis(kinds, np.maximum(found.item, 0), axis=1)]
    return _with_reasons(found, by_rule, kind, np.full((*found.item.shape, 2), -1, np.int64))


def _with_reasons(found: Lists, by_rule: NDArray[np.bool_], kind: NDArray[np.object_], cause: NDArray[np.int64]) -> _Lists:
    kind = np.where(by_rule, LEAST_EXPOSURE, np.where(found.explored, NEW_ITEM, kind))
    return _Lists(found.item, found.score, found.propensity, kind, np.where(by_rule[:, :, None], -1, cause))


def _ranked(night: Night, rows: NDArray[np.intp], scores: NDArray[np.floating]) -> tuple[Lists, NDArray[np.bool_]]:
    settings = night.settings
    barred = np.repeat(~night.known.evidence.catalogue.available[None, :], len(rows), axis=0)
    if settings.lists.seen_items == "exclude":
        barred[met_pairs(night.users, rows)] = True
    if night.rules.bars:
        barred |= night.rules.barred(rows)
    plain, points = rank(scores, barred, settings.lists.top_k, night.category, settings.lists.max_per_category)
    item = plain
    if night.quotas:
        item, points = expose(plain, scores, barred, night.category, settings.lists.max_per_category, night.quotas)
    # a draw by scores that differ by rounding could differ for two accounts of one person
    pool = Pool(told_apart(scores) if settings.exploration.explore_places else scores, barred, night.new, night.category)
    found = explore(item, points, pool, night.users.person_ids[rows], night.day, settings)
    return found, raised(found.item, plain) & ~found.explored


def _rows(night: Night, users: NDArray[np.intp], lists: _Lists) -> pa.Table:
    """Turn lists into rows of the table."""
    user, place = np.nonzero(lists.item >= 0)
    item_ids = night.known.evidence.catalogue.item_ids
    columns = [
        pa.array([night.day] * len(user), pa.date32()),
        pa.array(night.users.user_ids[users[user]], pa.string()),
        pa.array(place + 1, pa.int32()),
        pa.array(item_ids[lists.item[user, place]], pa.string()),
        pa.array(lists.score[user, place], pa.float64()),
        pa.array(night.users.cohort[users[user]], pa.string()),
        _reasons(lists.kind[user, place], lists.because[user, place], item_ids),
        pa.array([str(night.plan.model_version)] * len(user), pa.string()),
        pa.array(lists.propensity[user, place], pa.float64()),
    ]
    return pa.Table.from_arrays(columns, schema=RECOMMENDATIONS.schema)


def _reasons(kind: NDArray[np.object_], cause: NDArray[np.int64], item_ids: NDArray[np.object_]) -> pa.StructArray:
    named = cause >= 0
    ends = np.concatenate([[0], np.cumsum(named.sum(axis=1))]).astype(np.int32)
    ids = pa.ListArray.from_arrays(pa.array(ends), pa.array(item_ids[cause[named]], pa.string()))
    return pa.StructArray.from_arrays([pa.array(kind, pa.string()), ids], fields=list(REASON))
