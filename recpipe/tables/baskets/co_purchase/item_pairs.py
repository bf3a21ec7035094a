"""Evidence between items: bought in one order, beside how often chance alone would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.tables.baskets.co_purchase.orders import Orders

KINDS: Final = ("confidence", "lift", "closeness", "apart", "same_leaf")
"""What a pair of items says: see `pair_evidence`."""
LEAST_TOGETHER: Final = 2
NEIGHBOURS: Final = 200
DAMPING: Final = 3.0
SUBSTITUTE: Final = -0.6931471805599453
ENTRIES: Final = 20_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """What items say of each other: row i of the pattern holds the items that i speaks for.

    Attributes
    ----------
    indptr, item
        Pattern of a CSR matrix (items, items).
    values
        (kinds, pairs) in the order of `KINDS`.
    together
        (pairs,) orders that hold both.
    expected
        (pairs,) orders that would hold both if each user chose the items of each order by themselves.
    orders
        (items,) orders that hold each item.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int64]
    values: Floats
    together: Floats
    expected: Floats
    orders: Floats

    def matrix(self, values: Floats) -> sp.csr_matrix:
        """Return (items, items) with a value for each pair."""
        n = len(self.orders)
        return sp.csr_matrix((values, self.item, self.indptr), shape=(n, n))

    @property
    def source(self) -> NDArray[np.int64]:
        """(pairs,) the item that speaks."""
        return np.repeat(np.arange(len(self.orders)), np.diff(self.indptr))


def pair_evidence(orders: Orders, leaf: NDArray[np.integer], least: int = LEAST_TOGETHER, neighbours: int = NEIGHBOURS) -> Pairs:
    """Count what is bought with what.

    Of a pair (i, j), with n_i orders that hold i, c that hold both, N in all, and e expected (`expected_together`):
    confidence c / (n_i + d); lift log(1 + cN / (n_i n_j)), damped by c / (c + d); closeness c / (sqrt(n_i n_j) + d); apart
    log((c + d) / (e + d)), below 0 for what the same users buy in different orders; same_leaf 1 for one class.

    Parameters
    ----------
    orders
        What was bought.
    leaf
        (items,) code of the class of the last level, −1 where unknown.
    least
        Orders that have to hold both items.
    neighbours
        Most items that one item speaks for: those of the highest closeness, ties by their codes.
    """
    bought = orders.matrix
    count = np.asarray(bought.sum(0)).ravel()
    both = sp.csr_matrix(bought.T @ bought)
    both.setdiag(0)
    both.data[both.data < least] = 0
    both.eliminate_zeros()
    both.sort_indices()
    source = np.repeat(np.arange(orders.items), np.diff(both.indptr))
    close = both.data / (np.sqrt(count[source] * count[both.indices]) + DAMPING)
    kept = _best_of_each(source, np.asarray(both.indices), close, neighbours)
    i, j, c, close = source[kept], both.indices[kept].astype(np.int64), both.data[kept], close[kept]
    expected = expected_together(orders, i, j)
    lift = np.log1p(c * max(len(orders), 1) / (count[i] * count[j])) * c / (c + DAMPING)
    apart = np.log((c + DAMPING) / (expected + DAMPING))
    same = ((leaf[i] == leaf[j]) & (leaf[i] >= 0)).astype(np.float64)
    values = np.stack([c / (count[i] + DAMPING), lift, close, apart, same])
    indptr = np.r_[0, np.cumsum(np.bincount(i, minlength=orders.items))].astype(np.int64)
    return Pairs(indptr, j, values, np.asarray(c, np.float64), expected, np.asarray(count, np.float64))


def _best_of_each(source: NDArray[np.integer], item: NDArray[np.integer], value: Floats, most: int) -> NDArray[np.intp]:
    """Return the pairs of the highest values of each source, in the order that they stand in."""
    at = np.lexsort((item, -np.round(value, 12), source))
    start = np.flatnonzero(np.r_[True, np.diff(source[at]) != 0][: len(at)])
    place = np.arange(len(at)) - np.repeat(start, np.diff(np.r_[start, len(at)]))
    return np.sort(at[place < most])


def expected_together(orders: Orders, i: NDArray[np.integer], j: NDArray[np.integer]) -> Floats:
    """Return (pairs,) Σ_u n_ui n_uj / o_u: orders with both, if a user's o_u orders held i and j independently.

    A pair that the same users buy, but in different orders, has fewer orders than expected: a substitute. Orders of
    nobody are one user's each, and so expect what they hold.
    """
    user = np.where(orders.user >= 0, orders.user, orders.user.max(initial=-1) + 1 + np.arange(len(orders)))
    codes, user = np.unique(user, return_inverse=True)
    of_user = sp.csr_matrix((np.ones(len(orders)), (user, np.arange(len(orders)))), shape=(len(codes), len(orders)))
    bought = sp.csr_matrix((of_user @ orders.matrix).T)
    bought.sort_indices()
    share = sp.csr_matrix(bought @ sp.diags(1 / np.asarray(of_user.sum(1)).ravel()))
    share.sort_indices()
    parts = [
        np.asarray(bought[i[at : at + ENTRIES]].multiply(share[j[at : at + ENTRIES]]).sum(1)).ravel()
        for at in range(0, len(i), ENTRIES)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def replaces(pairs: Pairs) -> Floats:
    """Return (pairs,) 1 where one item replaces the other by what users do, else 0."""
    apart, same = pairs.values[KINDS.index("apart")], pairs.values[KINDS.index("same_leaf")]
    return np.asarray((apart <= np.where(same > 0, -1e-9, SUBSTITUTE)), np.float64)


def pair_scores(pairs: Pairs, weights: Floats) -> sp.csr_matrix:
    """Return (items, items): what each item says for each other, all kinds in one number."""
    return pairs.matrix(weights[: len(KINDS)] @ pairs.values)
