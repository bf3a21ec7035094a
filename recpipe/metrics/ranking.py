"""Ranking metrics, vectorised over users, and the order of items that they and the nights share.

Lists are an array (users, K) of item codes, best first, padded with `PAD`; what a user really took is a `Truth`.
A metric of users gives one number a user, so that intervals can be drawn over users; coverage is of all lists at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import RecpipeError

PAD: Final = -1
"""Code that fills a list shorter than the others."""
GRID_BITS = 20
"""Scores are told apart down to 2**-20 of a user's greatest: finer differences are rounding, and count as ties."""
BARRED = -(2**62)
"""Below every key, and still a number whose opposite can be sorted."""


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


# --- the first k: one order for nights, training and the registry


def top_k(scores: NDArray[np.floating], barred: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Return each user's best items in a total order: greater score first, of equal scores the smaller item row.

    Parameters
    ----------
    scores
        (users, items), finite.
    barred
        (users, items) items that must not stand in the user's list.
    k
        Longest list.

    Returns
    -------
    NDArray
        (users, k) item rows, best first, or fewer columns where there are fewer items; `PAD` where nothing more is eligible.

    Raises
    ------
    RecpipeError
        If a score is no number.
    """
    key = ordered(scores, barred).key
    best = first(key, min(k, key.shape[1]))
    return np.where(np.take_along_axis(key, best, axis=1) != BARRED, best, PAD)


@dataclass(frozen=True)
class Order:
    """The total order of the items of each user.

    Attributes
    ----------
    key
        (users, items) greater is better, all of a user different; `BARRED` for what must not stand in the list.
    level
        (users, items) scores as whole numbers of ``step``.
    step
        (users, 1) how far scores are told apart.
    """

    key: NDArray[np.int64]
    level: NDArray[np.int64]
    step: NDArray[np.float64]

    def points(self, item: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of (users, k) item rows, as far as they are told apart; 0 for none."""
        if not self.level.shape[1]:
            return np.zeros(item.shape)
        return np.where(item >= 0, np.take_along_axis(self.level, np.maximum(item, 0), axis=1) * self.step, 0.0)


def ordered(scores: NDArray[np.floating], barred: NDArray[np.bool_]) -> Order:
    """Put the items of each user into their order (parameters as in `top_k`)."""
    level, step = _levels(scores)
    items = scores.shape[1]
    key = level * items + (items - 1 - np.arange(items))  # one number holds both parts of the order
    key[barred] = BARRED
    return Order(key, level, step)


def told_apart(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (users, items) scores as far as they are told apart: what is left is no rounding of a matrix product."""
    level, step = _levels(scores)
    return np.asarray(level * step)


def _levels(scores: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Put scores on a grid; return whole numbers and the width of a step, (users, 1)."""
    if not np.isfinite(scores).all():
        raise RecpipeError(
            "The model gave scores that are no numbers: nothing was ranked. Promote another version, or train again."
        )
    greatest = np.abs(scores).max(axis=1, initial=0.0, keepdims=True).astype(np.float64)
    exponent = np.where(greatest > 0, np.frexp(greatest)[1], 0)
    step = np.ldexp(1.0, exponent - GRID_BITS)
    return np.rint(scores / step).astype(np.int64), step


def first(key: NDArray[np.int64], width: int) -> NDArray[np.intp]:
    """Return (users, width) columns of the greatest keys, greatest first."""
    items = key.shape[1]
    if width < items:
        best = np.argpartition(key, items - width, axis=1)[:, items - width :]
    else:
        best = np.broadcast_to(np.arange(items), key.shape)
    order = np.argsort(-np.take_along_axis(key, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


# --- metrics of ranks


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
