"""Coverage and novelty of lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.ranking import PAD


def coverage(lists: NDArray[np.integer], k: int, items: int) -> float:
    """Return the share of ``items`` recommendable items that stand in the first k of at least one list.

    (Ge, Delgado-Battenfeld & Jannach 2010, "Beyond accuracy", section 2.1: catalogue coverage.)
    """
    shown = np.unique(lists[:, :k])
    return float(np.count_nonzero(shown != PAD) / items) if items else 0.0


def novelty(lists: NDArray[np.integer], k: int, events: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (users,) the mean self-information of the first k items, in bits; NaN for an empty list.

    −log2 p(i), p(i) = (events of i + 1) / (all events + items): the share of events that go to the item, with one
    event added to each so that unsold items have a share (Zhou et al. 2010, PNAS 107(10), "mean self-information",
    whose share is of users).

    Parameters
    ----------
    lists
        (users, K) item codes.
    k
        Cut-off.
    events
        (items,) events of each item up to the lists' day.
    """
    bits = -np.log2((events + 1.0) / (events.sum() + len(events)))
    top = lists[:, :k]
    listed = top != PAD
    total = np.where(listed, bits[top], 0.0).sum(axis=1)
    count = listed.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(lists), np.nan), where=count > 0))
