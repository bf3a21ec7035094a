"""Reasons: the items that a user met and that brought an item into the list."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.base import ItemSpace, Learner, Matrix

SECOND_SHARE = 0.5
"""The second item is named too where it brings at least this share of what the first brings."""
POWERS = (1.0, 0.5, 0.0)
"""How learners read the weights of a support: as they are, damped, or not at all."""
LEAST = 1e-6
"""What brings less than this brings nothing: it is rounding."""
TINY = 1e-30
ITEMS_AT_ONCE = 1024


def because(
    learner: Learner, space: ItemSpace, support: Support, lists: NDArray[np.int64], alike: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return (users, k, 2): the items of the support that bring each item of a list the most; −1 where there is none.

    A user's vector is explained as a weighted sum of what the learner makes of each support entry alone; the weights
    are those of the support, to the power that comes nearest to the user's vector (for learners that are linear up
    to a scale this is exact). An entry brings an item the product of its part with the item's vector, less what any
    item of the catalogue would bring alike. Items that were sent back are never named, and an item to which no entry
    brings anything owes its place to its bias.

    Parameters
    ----------
    learner, space
        Those that ranked.
    support
        Of the block's users.
    lists
        (users, k) item rows, −1 for none.
    alike
        (items,) as `brought_by_any` gives it.
    """
    parts = learner.adapt(space, _single(support))
    share = _shares(learner.adapt(space, support), parts, support)
    found = np.full((*lists.shape, 2), -1, np.int64)
    for user, row in enumerate(lists):
        entries = slice(int(support.indptr[user]), int(support.indptr[user + 1]))
        listed = row[row >= 0]
        if entries.start == entries.stop or not len(listed):
            continue
        most = max(float(share[entries].max()), TINY)
        brought = (_product(parts[entries], space.vectors[listed]) - alike[listed]) * (share[entries, None] / most)
        found[user, : len(listed)] = _two_best(brought, support.item[entries])
    return found


def brought_by_any(learner: Learner, space: ItemSpace) -> NDArray[np.float64]:
    """Return (items,) what a support of one item brings to each item whichever that one item is.

    Such is, say, a learner's trust in trends from the first event on: the coordinates of user vectors that are the
    same for every single item of the catalogue.
    """
    items = len(space.bias)
    low, high = np.full((2, space.vectors.shape[1]), np.nan)
    for start in range(0, items, ITEMS_AT_ONCE):
        rows = np.arange(start, min(start + ITEMS_AT_ONCE, items), dtype=np.int32)
        ones = np.ones(len(rows), np.float32)
        vectors = learner.adapt(space, Support(np.arange(len(rows) + 1), rows, ones, ones, np.zeros_like(ones)))
        low, high = np.fmin(low, _by_column(vectors, "min")), np.fmax(high, _by_column(vectors, "max"))
    return np.asarray(space.vectors @ np.where(low == high, low, 0.0), dtype=np.float64)


def _by_column(vectors: Matrix, what: str) -> NDArray[np.float64]:
    found = getattr(vectors, what)(axis=0)
    return np.asarray(found if isinstance(found, np.ndarray) else found.toarray(), dtype=np.float64).ravel()


def _single(support: Support) -> Support:
    """Return a support of its own for every entry, of weight 1."""
    indptr = np.arange(len(support.item) + 1, dtype=np.int64)
    return Support(indptr, support.item, support.label, np.ones_like(support.weight), support.age_days)


def _shares(whole: Matrix, parts: Matrix, support: Support) -> NDArray[np.float32]:
    """Return (entries,) how much of each part stands in the user's vector, up to a scale a user."""
    readings = [support.label * support.weight**power for power in POWERS]
    near = [_closeness(whole, _sums(parts, share, support.indptr)) for share in readings]
    return readings[int(np.argmax(np.round(near, 6)))]


def _sums(parts: Matrix, share: NDArray[np.float32], indptr: NDArray[np.int64]) -> Matrix:
    entries = np.arange(len(share))
    return sp.csr_matrix((share, entries, indptr), shape=(len(indptr) - 1, len(share))) @ parts


def _closeness(one: Matrix, other: Matrix) -> float:
    """Return the mean cosine of rows that are not zero."""
    product, a, b = (_row_sums(x, y) for x, y in ((one, other), (one, one), (other, other)))
    length = np.sqrt(a * b)
    return float(np.mean(product[length > 0] / length[length > 0])) if (length > 0).any() else 0.0


def _row_sums(one: Matrix, other: Matrix) -> NDArray[np.float64]:
    both = one.multiply(other) if isinstance(one, sp.csr_matrix) else one * other
    return np.asarray(both.sum(axis=1), dtype=np.float64).ravel()


def _product(parts: Matrix, vectors: Matrix) -> NDArray[np.float64]:
    """Return (entries, items listed)."""
    dense = vectors.toarray() if isinstance(vectors, sp.csr_matrix) else vectors
    if isinstance(parts, sp.csr_matrix):
        return np.asarray(parts @ dense.T, dtype=np.float64)
    return np.asarray(np.einsum("ed,id->ei", parts, dense), dtype=np.float64)  # too small to be worth BLAS's threads


def _two_best(brought: NDArray[np.float64], item: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return (items listed, 2) support items, from (entries, items listed); of equal ones the later entry."""
    order = _descending(brought)[:2]
    best = np.full((brought.shape[1], 2), -1, np.int64)
    value = np.take_along_axis(brought, order, axis=0)
    best[:, : len(order)] = np.where(value > LEAST, item[order], -1).T
    if len(order) > 1:
        best[value[1] < SECOND_SHARE * value[0], 1] = -1
    return best


def _descending(brought: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the entries of each column from most to least; of equal ones the later comes first."""
    return np.asarray(len(brought) - 1 - np.argsort(-brought[::-1], axis=0, kind="stable"), np.int64)
