"""The drift of behaviour away from the lists' evidence: the population stability index of three distributions.

PSI = Σ_b (a_b − e_b) · ln(a_b / e_b) over bins b, with e the expected and a the actual share: the symmetric
Kullback-Leibler divergence (Jeffreys 1946) under the name it has in credit scoring (Siddiqi 2006, chapter 8). Rule of
thumb there: below 0.1 nothing happened, above 0.25 look into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.contract import EVENT_TYPES, POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue_reader import codes_of
from recpipe.dataset.cohorts import UserDay
from recpipe.dataset.history import Evidence
from recpipe.days import ONE_DAY, day_start
from recpipe.lake.reader import Reader, window

BINS: Final = 10
K_EDGES: Final = (1, 2, 3, 6, 11, 21, 51)
"""Supports of 0, 1, 2, 3–5, 6–10, 11–20, 21–50 and more distinct items."""
EVEN_SHARE: Final = 0.01
"""Share of every distribution that is spread evenly over the bins, so that an empty one counts little, and not endlessly.

It does not depend on the number of events: a smaller window is not further away for being smaller.
"""


@dataclass(frozen=True)
class Drift:
    """How far the newest days are from the days before the lists; each part is a population stability index.

    Attributes
    ----------
    items
        Which items events go to: items in ten groups of equal sales before both windows, and one for new ones.
    event_types
        What kind of events there are.
    supports
        How many items the users who came had met before, against those who came in as many days up to the lists.
    users
        Named users who came in the newest days.
    """

    items: float
    event_types: float
    supports: float
    users: int

    @property
    def value(self) -> float:
        """The greatest part: the signal."""
        return max(self.items, self.event_types, self.supports)


def psi(expected: NDArray[np.integer], actual: NDArray[np.integer]) -> float:
    """Return the population stability index of two arrays of counts over the same bins; 0 where one of them is empty."""
    if not expected.sum() or not actual.sum():
        return 0.0
    before = (1 - EVEN_SHARE) * expected / expected.sum() + EVEN_SHARE / len(expected)
    after = (1 - EVEN_SHARE) * actual / actual.sum() + EVEN_SHARE / len(actual)
    return float(((after - before) * np.log(after / before)).sum())


def measure_drift(reader: Reader, evidence: Evidence, users: UserDay, settings: Settings, lists_day: date, day: date) -> Drift:
    """Compare the days after the lists with the days up to them.

    Parameters
    ----------
    reader
        Sees the events.
    evidence, users
        As of the lists' day.
    settings
        Length of the window before.
    lists_day, day
        The newest days are those after ``lists_day``, up to ``day``.
    """
    first, last = window(lists_day, settings.evaluation.drift_days)
    columns = ["user_id", "item_id", "event_type"]
    before, after = reader.events(first, last, columns), reader.events(lists_day + ONE_DAY, day, columns)
    groups = item_groups(evidence, _instant(first, settings.shop))
    # who came in as many days before, by what they had met till then: equal windows, each seen from its own start
    earlier, _ = window(lists_day, (day - lists_day).days)
    came, then = reader.events(earlier, lists_day, columns), items_met(evidence, users, _instant(earlier, settings.shop))
    return Drift(
        psi(_by_group(before, evidence, groups), _by_group(after, evidence, groups)),
        psi(_by_type(before), _by_type(after)),
        psi(_by_support(came, users, then), _by_support(after, users, users.support.k)),
        len(after["user_id"].drop_null().unique()),
    )


def item_groups(evidence: Evidence, start: np.datetime64) -> NDArray[np.int64]:
    """Return (items,) 1 to `BINS`, groups of equal sales before an instant, best sellers first; 0 for unsold till then.

    The groups are made before both windows: groups of best sellers of one window look as if they fell in the next
    one by regression to the mean alone.
    """
    sold = np.bincount(evidence.popularity_item[evidence.popularity_ts < start], minlength=len(evidence.catalogue))
    order = np.lexsort((np.arange(len(sold)), -sold))
    share = np.cumsum(sold[order]) / max(sold.sum(), 1)
    groups = np.zeros(len(sold), np.int64)
    groups[order] = np.minimum(np.ceil(share * BINS), BINS).astype(np.int64)
    groups[sold == 0] = 0
    return groups


def _by_group(events: pa.Table, evidence: Evidence, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    positive = np.isin(events["event_type"].to_numpy(), POSITIVE_EVENT_TYPES)
    code = codes_of(events["item_id"], evidence.catalogue.item_ids)[positive]
    return np.bincount(np.where(code >= 0, groups[code] if len(groups) else 0, 0), minlength=BINS + 1)


def _by_type(events: pa.Table) -> NDArray[np.int64]:
    return np.bincount(codes_of(events["event_type"], np.array(EVENT_TYPES, object)), minlength=len(EVENT_TYPES))


def items_met(evidence: Evidence, users: UserDay, instant: np.datetime64) -> NDArray[np.int64]:
    """Return (users,) distinct items that each user had met before an instant."""
    history, items = evidence.history, max(len(evidence.catalogue), 1)
    early = history.ts < instant
    pairs = np.unique(history.user[early].astype(np.int64) * items + history.item[early])
    counts = np.bincount(pairs // items, minlength=len(history.user_ids))
    met = np.zeros(len(users), np.int64)
    if len(counts):
        place = np.minimum(np.searchsorted(history.user_ids, users.person_ids), len(counts) - 1)
        known = history.user_ids[place] == users.person_ids
        met[known] = counts[place[known]]
    return met


def _by_support(events: pa.Table, users: UserDay, met: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count each user who came once; who was not known when the lists were made had met nothing."""
    row = codes_of(events["user_id"].drop_null().unique(), users.user_ids)
    k = np.where(row >= 0, met[row] if len(users) else 0, 0)
    return np.bincount(np.searchsorted(K_EDGES, k, side="right"), minlength=len(K_EDGES) + 1)


def _instant(day: date, shop: ShopSettings) -> np.datetime64:
    return np.datetime64(day_start(day, shop.zone).replace(tzinfo=None), "us")
