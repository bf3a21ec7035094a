"""Learners side by side on the same days and users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from recpipe.config.model_settings import TextSettings
from recpipe.config.settings import Settings
from recpipe.dataset.as_of import read_known
from recpipe.dataset.catalogue_reader import read_again
from recpipe.dataset.cohorts import users_of
from recpipe.dataset.history import Evidence
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


def judge_learners(
    settings: Settings, learners: Sequence[Learner], as_of: date, until: date, texts: Sequence[TextSettings] = ()
) -> list[NDArray[np.float64]]:
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
    texts
        The encoders that each learner's items are read with; those of ``settings`` for all if empty.

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
    found = [
        rank_lists(learner, evidence, users, rows, seen, settings, rules, quotas)
        for learner, evidence in zip(
            learners, _read_by(known.evidence, settings, texts or [settings.text] * len(learners)), strict=True
        )
    ]
    return [ndcg(hits(lists, truth), truth.size, settings.evaluation.metric_k) for lists in found]


def _read_by(evidence: Evidence, settings: Settings, texts: Sequence[TextSettings]) -> Iterator[Evidence]:
    """Yield the evidence as each learner reads it: once for all that share their encoders."""
    read = {settings.text: evidence}
    for text in texts:
        if text not in read:
            read[text] = read_again(evidence, settings.changed(encoder=text.encoder, tuned_encoder=text.tuned_encoder))
        yield read[text]
