"""Which of the things a user met brought an item into the list."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.learn.data import ItemSpace, Learner, Matrix, Support

SECOND_SHARE = 0.5
"""The second item is named too where it brings at least this share of what the first brings."""


def because(learner: Learner, space: ItemSpace, support: Support, lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (users, k, 2): the items of the support that bring each item of a list the most; −1 where there is none.

    A user's vector is explained as the sum of what the learner makes of each support entry alone. Where the learner
    takes a weighted mean, each part is weighted; of both readings the one that comes nearer to the user's vector is
    taken (for learners that are linear up to a scale it is exact). An entry brings an item the product of its part
    with the item's vector. Items that were sent back are never named, and an item to which no entry brings anything
    owes its place to its bias.

    Parameters
    ----------
    learner, space
        Those that ranked.
    support
        Of the block's users.
    lists
        (users, k) item rows, −1 for none.
    """
    parts = learner.adapt(space, _single(support))
    share = _shares(learner.adapt(space, support), parts, support)
    found = np.full((*lists.shape, 2), -1, np.int64)
    for user, listed in enumerate(lists):
        entries = slice(int(support.indptr[user]), int(support.indptr[user + 1]))
        listed = listed[listed >= 0]
        if entries.start == entries.stop or not len(listed):
            continue
        brought = _product(parts[entries], space.vectors[listed]) * share[entries, None]
        found[user, : len(listed)] = _two_best(brought, support.item[entries])
    return found


def _single(support: Support) -> Support:
    """Return a support of its own for every entry."""
    indptr = np.arange(len(support.item) + 1, dtype=np.int64)
    return Support(indptr, support.item, support.label, support.weight, support.age_days)


def _shares(whole: Matrix, parts: Matrix, support: Support) -> NDArray[np.float32]:
    """Return (entries,) how much of each part stands in the user's vector, up to a scale a user."""
    weighted = support.weight * support.label
    plain = support.label
    near = [_closeness(whole, _sums(parts, share, support.indptr)) for share in (weighted, plain)]
    return weighted if near[0] >= near[1] - 1e-6 else plain


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


def _product(parts: Matrix, vectors: Matrix) -> NDArray[np.float32]:
    """Return (entries, items listed)."""
    dense = vectors.toarray() if isinstance(vectors, sp.csr_matrix) else vectors
    return np.asarray(parts @ dense.T, dtype=np.float32)


def _two_best(brought: NDArray[np.float32], item: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return (items listed, 2) support items, from (entries, items listed); of equal ones the later entry."""
    order = _descending(brought)[:2]
    best = np.full((brought.shape[1], 2), -1, np.int64)
    value = np.take_along_axis(brought, order, axis=0)
    best[:, : len(order)] = np.where(value > 0, item[order], -1).T
    if len(order) > 1:
        best[value[1] < SECOND_SHARE * value[0], 1] = -1
    return best


def _descending(brought: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the entries of each column from most to least; of equal ones the later comes first."""
    return np.asarray(len(brought) - 1 - np.argsort(-brought[::-1], axis=0, kind="stable"), np.int64)
