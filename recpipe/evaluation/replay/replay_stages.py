"""The lists of newcomers: by the functions of a night, and by the baselines under the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.as_of import Known, read_known
from recpipe.dataset.cohorts import UserDay
from recpipe.days import parse_day
from recpipe.evaluation.ranked_lists import published, rank_lists
from recpipe.evaluation.truth import seen_items
from recpipe.lake.reader import Reader
from recpipe.metrics.ranking import PAD
from recpipe.models.base import Learner
from recpipe.models.io import load
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.pipeline.run_plan import RunPlan
from recpipe.ranking.exposure import Quotas, read_quotas
from recpipe.registry.model_folder import content_hash
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.load import read_rules
from recpipe.tables.recommendations.night import Night, rank_blocks
from recpipe.training.model_selection import ITEM_KNNS, POPULARITIES

BASELINES: dict[str, tuple[Learner, ...]] = {
    ItemKNN.name: ITEM_KNNS,
    Popularity.name: (*POPULARITIES, Popularity(90.0)),
}
"""By name the forms of each baseline; at every size of the support the best of them counts, chosen afterwards."""


@dataclass(frozen=True)
class Stage:
    """What is known at a cut, and the rules of its lists."""

    settings: Settings
    trained_until: str
    known: Known
    rules: DayRules
    quotas: Quotas | None

    def lists_of(self, folder: Path, users: UserDay) -> NDArray[np.int64]:
        """Return (users, k) item codes of the lists that a night of the cut's day makes with a model folder, padded."""
        plan = RunPlan(parse_day(self.trained_until), "replay", {}, 1, str(folder), content_hash(folder))
        night = Night(self.settings, plan, self.known, users, self.rules, self.quotas)
        item_ids, k = self.known.evidence.catalogue.item_ids, self.settings.evaluation.metric_k
        made = published(rank_blocks(night, 0, 1), item_ids, k)
        lists = np.full((len(users), k), PAD, np.int64)
        lists[np.searchsorted(users.user_ids, made.user_ids)] = made.lists
        return lists

    def baseline_lists(self, learner: Learner, users: UserDay) -> NDArray[np.int64]:
        """Return the lists of a closed form, as `lists_of` does; the same rules hold."""
        every = np.arange(len(users))
        seen = seen_items(users)
        return rank_lists(learner, self.known.evidence, users, every, seen, self.settings, self.rules, self.quotas)


def open_stage(reader: Reader, settings: Settings, trained_until: str) -> Stage:
    """Read what a night of a day knows, without its users; nothing that was delivered later is looked at."""
    day = parse_day(trained_until)
    known = read_known(reader, settings, day)
    catalogue, ours = known.evidence.catalogue, read_rules(settings)
    rules = day_rules(ours, reader, day, catalogue.item_ids, catalogue.categories)
    return Stage(settings, trained_until, known, rules, read_quotas(settings, known.evidence, rules.categories, reader, day))


def with_users(stage: Stage, reader: Reader, users: UserDay) -> Stage:
    """Return a stage whose rules speak of some users; they are strangers to the shop, so only rules for everybody bind them."""
    catalogue, ours = stage.known.evidence.catalogue, read_rules(stage.settings)
    day, people = parse_day(stage.trained_until), (users.user_ids, users.person_ids)
    rules = day_rules(ours, reader, day, catalogue.item_ids, catalogue.categories, *people)
    return Stage(stage.settings, stage.trained_until, stage.known, rules, stage.quotas)


def folders_of(model: Path) -> dict[str, Path]:
    """Return the model folders that a training left, by the learner's name: its own and its best closed form.

    A closed form that is one of the baselines is left to them.
    """
    found: dict[str, Path] = {}
    for folder in (model, model / "closed_form"):
        if folder.is_dir() and (name := load(folder).name) not in BASELINES:
            found.setdefault(name, folder)
    return found


def names_of(found: Sequence[str]) -> list[str]:
    """Return names of lists in the order of tables and charts: what was trained, then the baselines."""
    return [*(name for name in found if name not in BASELINES), *BASELINES]
