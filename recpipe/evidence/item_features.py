"""Items as seen at an instant: evidence of one item for another, of several kinds, and what sells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.evidence.kinds import evidence_of_kinds
from recpipe.evidence.layout import FORMER, KINDS, TRENDS, layout_of, used
from recpipe.evidence.trends import SEASONS_AHEAD, faded_counts, faded_users, season_counts

RECENT = [TRENDS.index(name) for name in ("14 days", "30 days", "90 days")]
"""Trends that count for a user with a support, too, in a weighted sum that fades by halves in `FADE_DAYS` the list lies ahead."""
FADE_DAYS = 14.0

SETTINGS: Mapping[str, Any] = {
    "kinds": KINDS,  # of evidence; those that the catalogue cannot give are left out of a model that is trained there
    "neighbours": 60,  # kept of each kind, for each item
    "popular": 200,  # items that are candidates for everybody
    "user_power": 0.5,
    "knn_shrinkage": 0.5,  # in units of the mean self-similarity, as for the next one
    "even_shrinkage": 0.15,
    "ease_strength": 2000.0,
    "text_neighbours": 30,
    "newest": 50,  # items of a support that speak
}


def _former(names: tuple[str, ...] = ("knn", "ease", "words", "meaning")) -> NDArray[np.int32]:
    return np.array([FORMER.index(name) for name in names], np.int32)


@dataclass(frozen=True)
class Pairs:
    """What each item says for others, in the layout of a CSR matrix.

    Attributes
    ----------
    indptr, item
        (items + 1,) int64, (pairs,) int32: entries indptr[j] to indptr[j + 1] are the items that item j speaks for.
    value
        (pairs, kinds) float32, kinds as in `recpipe.evidence.layout.Layout.kinds`.
    trend
        (items, trends) float32: log(1 + count), see `trends`.
    season
        (weeks ahead, items) float32: the last column of ``trend`` for lists that are made so many weeks later.
    popular
        (popular,) int32: candidates for everybody.
    log_price
        (items,) float32, the mean of all where the price is unknown.
    used
        (features,) float32: 1, or 0 for features that a learner does without.
    strongest, recent
        Int32, places of kinds: those of which the strongest voice is a column, and those of which a mean is one in which
        the newest items of a support count most. Snapshots of earlier versions name none.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]
    value: NDArray[np.float32]
    trend: NDArray[np.float32]
    season: NDArray[np.float32]
    popular: NDArray[np.int32]
    log_price: NDArray[np.float32]
    used: NDArray[np.float32]
    strongest: NDArray[np.int32] = field(default_factory=_former)
    recent: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.indptr) - 1


def speak(evidence: Evidence, settings: Mapping[str, Any]) -> Pairs:
    """Compute what each item says for others as of an instant; nothing in it is learned.

    Linear algebra runs on one thread: the last bits of an inverse depend on how many there are.
    """
    if not len(evidence.catalogue):
        return _nothing(settings)
    with threadpool_limits(limits=1):
        return _speak(evidence, settings)


def _nothing(settings: Mapping[str, Any]) -> Pairs:
    """Return what a shop without items says, before its first delivery."""
    none, season = np.zeros(0, np.int32), np.zeros((SEASONS_AHEAD, 0), np.float32)
    value, trend = np.zeros((0, len(layout_of(settings).kinds)), np.float32), np.zeros((0, len(TRENDS)), np.float32)
    pairs = (np.zeros(1, np.int64), none, value)
    return Pairs(*pairs, trend, season, none, np.zeros(0, np.float32), used(settings), *_places(settings))


def _speak(evidence: Evidence, settings: Mapping[str, Any]) -> Pairs:
    pattern, value = evidence_of_kinds(evidence, layout_of(settings).kinds, settings)
    trend, season = trends(evidence)
    mixed = trend[:, : TRENDS.index("season")].sum(1)
    popular = np.sort(np.lexsort((np.arange(len(mixed)), -mixed))[: settings["popular"]]).astype(np.int32)
    pairs = (pattern.indptr.astype(np.int64), pattern.indices.astype(np.int32), value)
    return Pairs(*pairs, trend, season, popular, _log_price(evidence.catalogue), used(settings), *_places(settings))


def _places(settings: Mapping[str, Any]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    layout = layout_of(settings)
    return layout.places(layout.greatest), layout.places(layout.recent)


def trends(evidence: Evidence) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (items, trends) log(1 + n): events, and distinct users, fading by halves in so many days, and the coming season.

    The season is what sold a year ago in the weeks that follow now. Users are counted beside events, because one wholesale
    customer's many orders say little of what the next customer takes.

    The second result, (weeks ahead, items), is the last column for lists made later than the evidence ends.
    """
    faded = [faded_counts(evidence, days) for days in (14.0, 30.0, 90.0, 365.0)]
    faded += [faded_users(evidence, days) for days in (90.0, 365.0)]
    logs = np.log1p([season_counts(evidence, 7 * week) for week in range(SEASONS_AHEAD)]).astype(np.float32)
    return np.column_stack([np.log1p(np.stack(faded, axis=1)), logs[0]]).astype(np.float32), logs


def _log_price(catalogue: Catalogue) -> NDArray[np.float32]:
    known = np.isfinite(catalogue.price) & (catalogue.price > 0)
    logs = np.log(np.where(known, catalogue.price, 1.0))
    return np.where(known, logs, logs[known].mean() if known.any() else 0.0).astype(np.float32)
