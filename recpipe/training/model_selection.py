"""The best closed form on a window: the bar for what is trained, and the first champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes
from recpipe.dataset.history import Evidence
from recpipe.models.base import Learner
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import CountryPopularity, Popularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.networks.network import Placed
from recpipe.training.quality import Quality, measure, measure_in

POPULARITIES: tuple[Learner, ...] = tuple(Popularity(half_life) for half_life in (7.0, 14.0, 30.0))
ITEM_KNNS: tuple[Learner, ...] = (
    ItemKNN(),
    ItemKNN(popularity_weight=0.03),
    ItemKNN(neighbours=200, shrinkage=10.0, candidate_power=0.5, popularity_weight=0.02),
)
TEXTS: tuple[Learner, ...] = (TextPrototype(),)
COUNTRIES: tuple[Learner, ...] = (CountryPopularity(),)
"""Asked where countries are known: without them they are popularity."""


@dataclass(frozen=True)
class Window:
    """Users of one week, and what was known before it."""

    evidence: Evidence
    episodes: Episodes


def measure_windows(learner: Learner, windows: Sequence[Window], k: int) -> Quality:
    """Measure a learner on several windows, users one after the other."""
    parts = [measure(learner, window.evidence, window.episodes, k) for window in windows]
    return Quality(np.concatenate([part.ndcg for part in parts]), np.concatenate([part.recall for part in parts]))


def measure_views(learner: Placed, views: Sequence[Any], windows: Sequence[Window], metric_k: int) -> Quality:
    """Measure a learner on windows whose items were looked at before, users one after the other."""
    parts = [measure_in(learner, learner.place(view), window.evidence.catalogue.available, window.episodes, metric_k)
             for view, window in zip(views, windows, strict=True)]  # fmt: skip
    return Quality(np.concatenate([part.ndcg for part in parts]), np.concatenate([part.recall for part in parts]))


def measure_closed_forms(windows: Sequence[Window], k: int = 10) -> dict[str, tuple[Learner, Quality]]:
    """Return the best closed form of each kind with its quality, by name.

    Of equally good ones the first counts: the simplest.

    Parameters
    ----------
    windows
        Users and evidence before them; every candidate is measured on all.
    k
        Cut-off of nDCG.
    """
    best: dict[str, tuple[Learner, Quality]] = {}
    countries = [window.evidence.history.country for window in windows]
    known_countries = any(codes is not None and (codes >= 0).any() for codes in countries)
    for learner in (*POPULARITIES, *ITEM_KNNS, *TEXTS, *(COUNTRIES if known_countries else ())):
        quality = measure_windows(learner, windows, k)
        known = best.get(learner.name)
        if known is None or quality.ndcg.mean() > known[1].ndcg.mean():
            best[learner.name] = (learner, quality)
    return best


def best_of(measured: Mapping[str, tuple[Learner, Quality]]) -> Learner:
    """Return the learner with the greatest mean nDCG; of equally good ones the first."""
    return max(measured.values(), key=lambda found: float(found[1].ndcg.mean()))[0]


def support_sizes(windows: Sequence[Window]) -> NDArray[np.int64]:
    """Return (users,) distinct items in the supports of all windows."""
    return np.concatenate([window.episodes.support.k for window in windows])
