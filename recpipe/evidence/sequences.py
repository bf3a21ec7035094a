"""Items that are met after others by the same users."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import History
from recpipe.evidence.knn import CELLS_A_BLOCK, greatest

STEPS = 8
"""Moments of a user that are looked ahead."""
FADE = 0.7
"""What a pair counts for each further moment that lies between its items."""


def met_next(
    history: History, items: int, *, neighbours: int, shrinkage: float, user_power: float, power: float
) -> sp.csr_matrix:
    r"""Return (items, items): row i holds how much item i says for items met after it.

    .. math:: s_{ij} = \frac{n_{ij}}{n_i^{1-a} n_j^a + λ \bar n}, \quad n_{ij} = \sum_u n_u^{-p} \sum_{i \to j} f^{d-1}

    where d counts the moments of the user from i to j, the first time that each was met; items of one moment count as met
    next in both directions. Counts of items are :math:`n_i = \sum_u n_u^{-p}` over users who met it, and :math:`\bar n` is
    their mean.

    Parameters
    ----------
    history
        By user and then time.
    items
        In the catalogue.
    neighbours
        Items j kept for each item i.
    shrinkage, user_power, power
        λ, p and a.
    """
    user, moment, item = first_meetings(history, items)
    if not len(item):
        return sp.csr_matrix(np.zeros((items, items), np.float32))
    share = np.bincount(user)[user].astype(np.float64) ** -user_power
    own = np.bincount(item, share, minlength=items).astype(np.float32)
    owner = user[np.r_[True, moment[1:] != moment[:-1]]]
    met = sp.csr_matrix((np.ones(len(item), np.float32), (moment, item)), shape=(len(owner), items))
    before = sp.csr_matrix((share.astype(np.float32), (moment, item)), shape=met.shape)
    after = _ahead(owner) @ met
    unit = float(own[own > 0].mean())
    columns, parts = sp.csr_matrix(before.T), []
    size = max(1, CELLS_A_BLOCK // items)
    for start in range(0, items, size):
        dense = (columns[start : start + size] @ after).toarray()
        mine = np.arange(start, start + len(dense))
        dense[np.arange(len(dense)), mine] = 0
        dense /= (own[mine] ** (1 - power))[:, None] * (own**power)[None, :] + np.float32(shrinkage * unit + 1e-9)
        column, value, kept = greatest(dense.astype(np.float32), neighbours)
        parts.append(sp.csr_matrix((value, column, np.r_[0, np.cumsum(kept)]), shape=(len(dense), items)))
    return sp.csr_matrix(sp.vstack(parts, format="csr"), dtype=np.float32)


def first_meetings(history: History, items: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return user, moment and item of the first time each user met each item, by user and time.

    Moments are numbered through all users: events of a user at one instant share a number.
    """
    order = np.lexsort((history.item, history.ts, history.user))
    user, item, ts = history.user[order].astype(np.int64), history.item[order].astype(np.int64), history.ts[order]
    _, first = np.unique(user * items + item, return_index=True)
    first.sort()
    user, item, ts = user[first], item[first], ts[first]
    new = np.r_[True, (user[1:] != user[:-1]) | (ts[1:] != ts[:-1])][: len(user)]
    return user, np.cumsum(new) - 1, item


def _ahead(owner: NDArray[np.int64]) -> sp.csr_matrix:
    """Return (moments, moments): how much each moment counts as the next one of another."""
    here = np.arange(len(owner))
    row, column, value = [here], [here], [np.ones(len(owner), np.float32)]
    for step in range(1, STEPS + 1):
        same = np.flatnonzero(owner[:-step] == owner[step:]) if step < len(owner) else here[:0]
        row.append(same)
        column.append(same + step)
        value.append(np.full(len(same), FADE ** (step - 1), np.float32))
    parts = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
    return sp.csr_matrix(parts, shape=(len(owner), len(owner)))
