"""Ranking metrics, vectorised over users; those of ranks alone are `recpipe.learn.ranks`, which training measures by, too.

Lists are an array (users, K) of item codes, best first, padded with `PAD`; what a user really took is a `Truth`.
A metric of users gives one number a user, so that intervals can be drawn over users; coverage is of all lists at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.learn.ranks import hit_rate as hit_rate
from recpipe.learn.ranks import ndcg as ndcg
from recpipe.learn.ranks import recall as recall

PAD: Final = -1
"""Code that fills a list shorter than the others."""


@dataclass(frozen=True)
class Truth:
    """The items that each user took, one user after the other (the layout of a CSR matrix).

    Attributes
    ----------
    indptr
        (users + 1,) int64: user u owns entries indptr[u] to indptr[u + 1].
    item
        (entries,) int32 item codes, distinct within a user.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]

    @classmethod
    def from_pairs(cls, user: NDArray[np.integer], item: NDArray[np.integer], users: int) -> Truth:
        """Build from (user row, item code) pairs in any order; a pair that comes twice counts once."""
        if not len(user):
            return cls(np.zeros(users + 1, np.int64), np.empty(0, np.int32))
        pairs = np.unique(np.stack([np.asarray(user, np.int64), np.asarray(item, np.int64)], axis=1), axis=0)
        sizes = np.bincount(pairs[:, 0], minlength=users)
        return cls(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), pairs[:, 1].astype(np.int32))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def size(self) -> NDArray[np.int64]:
        """(users,) items that each user took."""
        return np.diff(self.indptr)

    def rows(self, keep: NDArray[np.bool_]) -> Truth:
        """Return the truth of the users for whom ``keep`` (users,) is true."""
        entry = np.repeat(keep, self.size)
        return Truth(np.concatenate([[0], np.cumsum(self.size[keep])]).astype(np.int64), self.item[entry])


def hits(lists: NDArray[np.integer], truth: Truth) -> NDArray[np.bool_]:
    """Return (users, K): whether the item at each rank is one that the user took.

    Raises
    ------
    ValueError
        If lists and truth are not of the same users.
    """
    if len(lists) != len(truth):
        raise ValueError(f"{len(lists)} lists cannot be compared with what {len(truth)} users took.")
    if not truth.item.size or not lists.size:
        return np.zeros(lists.shape, bool)
    span = int(max(truth.item.max(), lists.max())) + 1
    taken = np.repeat(np.arange(len(truth)), truth.size) * span + truth.item
    listed = np.arange(len(lists))[:, None] * span + lists
    return np.asarray(np.isin(listed, taken) & (lists != PAD))


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
