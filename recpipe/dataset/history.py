"""The history of users, and all that is known at one instant, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.catalogue import Catalogue


@dataclass(frozen=True)
class History:
    """Positive events of known users with items of the catalogue, by user and then time.

    Attributes
    ----------
    user_ids
        (users,) text, sorted; ``user`` indexes it.
    user, item
        (events,) int32: row in ``user_ids``, row in the catalogue.
    ts
        (events,) datetime64[us], UTC.
    weight
        (events,) float32: weight of the event type, without any decay.
    returned_at
        (events,) datetime64[us]: the first time after the event at which the user sent the item back; NaT if kept.
        None where nobody looked for returns.
    country
        (users,) int32: row in ``country_names`` for each of ``user_ids``, −1 where it is unknown. None where nobody asked.
    country_names
        The countries that ``country`` counts in, sorted.
    """

    user_ids: NDArray[np.object_]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    ts: NDArray[np.datetime64]
    weight: NDArray[np.float32]
    returned_at: NDArray[np.datetime64] | None = None
    country: NDArray[np.int32] | None = None
    country_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that is known at one instant; nothing in it happened at or after ``until``.

    Attributes
    ----------
    catalogue, history
        As of the instant; the history holds named users only.
    popularity_item, popularity_ts
        (positive events of anybody,) int32 and datetime64[us]: anonymous traffic counts for items.
    until
        datetime64[us], UTC: end of the day.
    """

    catalogue: Catalogue
    history: History
    popularity_item: NDArray[np.int32]
    popularity_ts: NDArray[np.datetime64]
    until: np.datetime64


def events_of(history: History, rows: NDArray[np.intp]) -> History:
    """Return a history of some events, in the order of the rows; every user keeps the place in ``user_ids``."""
    returned = None if history.returned_at is None else history.returned_at[rows]
    return replace(
        history,
        user=history.user[rows],
        item=history.item[rows],
        ts=history.ts[rows],
        weight=history.weight[rows],
        returned_at=returned,
    )


def ages_in_days(ts: NDArray[np.datetime64], until: np.datetime64) -> NDArray[np.float64]:
    """Return the days from each moment to ``until``."""
    return np.asarray((until - ts) / np.timedelta64(1, "D"), dtype=np.float64)
