"""Ranking metrics, vectorised over users; those of ranks alone are `recpipe.metrics.ranking`, which training measures by, too.

Lists are an array (users, K) of item codes, best first, padded with `PAD`; what a user really took is a `Truth`.
A metric of users gives one number a user, so that intervals can be drawn over users; coverage is of all lists at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

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


def recall(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return (users,) hits@k / min(k, taken): 1 is always within reach; NaN where nothing was taken.

    The denominator is that of Netflix's evaluation of variational autoencoders (Liang et al. 2018, section 4.2).
    """
    best = np.minimum(taken, k).astype(np.float64)
    best[best == 0] = np.nan
    return np.asarray(hit[:, :k].sum(axis=1) / best)


def hit_rate(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return (users,) 1 if any of the first k is a hit, else 0; NaN where nothing was taken.

    (Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms", section 6.1.)
    """
    return np.where(taken > 0, hit[:, :k].any(axis=1).astype(np.float64), np.nan)
