"""Learners side by side on the same days and users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.as_of import read_known
from recpipe.dataset.cohorts import users_of
from recpipe.days import ONE_DAY
from recpipe.evaluation.outcomes import require_events
from recpipe.evaluation.ranked_lists import rank_lists
from recpipe.evaluation.truth import new_items, seen_items
from recpipe.lake.lake import Lake
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import hits
from recpipe.models.base import Learner
from recpipe.ranking.exposure import read_quotas
from recpipe.rules.day_rules import day_rules
from recpipe.rules.load import read_rules


def judge_learners(settings: Settings, learners: Sequence[Learner], as_of: date, until: date) -> list[NDArray[np.float64]]:
    """Return nDCG@k of each learner's lists, a value for each user who newly met an item after ``as_of``.

    Only users with a support count: at night the others are served by what is popular, whichever learner there is.

    Parameters
    ----------
    settings
        Rules of the lists and the cut-off.
    learners
        They know what was known at the end of ``as_of``.
    as_of, until
        The lists are of this day; behaviour is that of the days after it, up to ``until``.

    Returns
    -------
    list
        (users,) for each learner, the same users in the same order.

    Raises
    ------
    MissingDay
        If the events of one of the days of behaviour are not published.
    """
    lake = Lake.from_settings(settings)
    require_events(lake, as_of, until)
    reader = lake.reader()
    known = read_known(reader, settings, as_of)
    users = users_of(known, settings, as_of)
    seen, truth = seen_items(users), new_items(reader, users, known.evidence.catalogue.item_ids, as_of + ONE_DAY, until)
    judged = (truth.size > 0) & (users.support.k > 0)
    rows, truth = np.flatnonzero(judged), truth.rows(judged)
    ours, catalogue = read_rules(settings), known.evidence.catalogue
    people = users.user_ids, users.person_ids
    rules = day_rules(ours, reader, as_of, catalogue.item_ids, catalogue.categories, *people)
    quotas = read_quotas(settings, known.evidence, rules.categories, reader, as_of)
    found = [rank_lists(learner, known.evidence, users, rows, seen, settings, rules, quotas) for learner in learners]
    return [ndcg(hits(lists, truth), truth.size, settings.evaluation.metric_k) for lists in found]
