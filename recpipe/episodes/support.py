"""What a user is known by: one entry for each item that the user met."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.learn.data import History, Support

ONE_DAY = np.timedelta64(1, "D")
LEAST = 1e-30
"""However old an event is, it still counts something: float32 does not make it zero."""


def build_support(history: History, until: np.datetime64, half_life_days: float) -> tuple[Support, NDArray[np.datetime64]]:
    """Turn a history into supports.

    An item's strongest event stands for it: weight of the event type × 0.5^(age / half-life); of equally strong ones
    the latest. The label is 0 when the item was sent back after the last time the user met it.

    Parameters
    ----------
    history
        Events before ``until``.
    until
        Instant the supports are made for.
    half_life_days
        Age at which an event counts half.

    Returns
    -------
    Support
        One support for each of ``history.user_ids``, in that order; entries oldest first, of the same moment by item.
    NDArray
        (entries,) datetime64[us]: time of the event that stands for the entry.
    """
    age = (until - history.ts) / ONE_DAY
    strength = np.maximum(history.weight * np.exp2(-age / half_life_days), LEAST)
    last = _last_of_pairs(history, history.ts)
    best = _last_of_pairs(history, strength, history.ts)
    label = _kept(history, until)[last].astype(np.float32)
    order = np.lexsort((history.item[best], history.ts[best], history.user[best]))
    rows = best[order]
    counts = np.bincount(history.user[rows], minlength=len(history.user_ids))
    support = Support(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item=history.item[rows],
        label=label[order],
        weight=strength[rows].astype(np.float32),
        age_days=age[rows].astype(np.float32),
        country=history.country,
    )
    return support, history.ts[rows]


def _last_of_pairs(history: History, *by: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return the row of each (user, item), in that order, that is greatest by some values, the first being foremost."""
    order = np.lexsort((*by[::-1], history.item, history.user))
    user, item = history.user[order], history.item[order]
    ends = np.concatenate([(user[1:] != user[:-1]) | (item[1:] != item[:-1]), [True]])[: len(order)]
    return np.asarray(order[ends], np.intp)


def _kept(history: History, until: np.datetime64) -> NDArray[np.bool_]:
    """Return (events,) whether the item had not been sent back after the event."""
    if history.returned_at is None:
        return np.ones(len(history.user), np.bool_)
    return np.asarray(~(history.returned_at < until), np.bool_)  # NaT is never before anything
