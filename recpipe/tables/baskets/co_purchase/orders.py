"""Orders by time, each with its distinct items, and lines that are held out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

MOST_LINES: Final = 200


@dataclass(frozen=True)
class Orders:
    """Orders by time, each with its distinct items.

    Attributes
    ----------
    indptr, item
        Order o holds the items item[indptr[o] : indptr[o + 1]], sorted.
    user
        (orders,) int64 code of the user, −1 where nobody is named.
    day
        (orders,) datetime64[D].
    items
        Items of the catalogue, which ``item`` counts in.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int64]
    user: NDArray[np.int64]
    day: NDArray[np.datetime64]
    items: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def matrix(self) -> sp.csr_matrix:
        """(orders, items) ones."""
        return sp.csr_matrix((np.ones(len(self.item)), self.item, self.indptr), shape=(len(self), self.items))

    def take(self, rows: NDArray[np.integer]) -> Orders:
        """Return some orders, in the order of the rows."""
        found = self.matrix[rows]
        indptr, item = found.indptr.astype(np.int64), found.indices.astype(np.int64)
        return Orders(indptr, item, self.user[rows], self.day[rows], self.items)


def orders_of(
    order: NDArray[np.integer], user: NDArray[np.integer], item: NDArray[np.integer], day: NDArray[np.datetime64], items: int
) -> Orders:
    """Group lines into orders.

    Parameters
    ----------
    order, user, item, day
        (lines,) code of the order, of the user (−1 for nobody) and of the item, and the day. An item counts once an order,
        and of an order with more than `MOST_LINES` items the first by their codes.
    items
        Items of the catalogue.
    """
    if not len(order):
        empty = np.zeros(0, np.int64)
        return Orders(np.zeros(1, np.int64), empty, empty, np.zeros(0, "datetime64[D]"), items)
    at = np.lexsort((item, order, day))
    first_day = np.zeros(int(order.max()) + 1, "datetime64[D]")
    first_user = np.zeros(len(first_day), np.int64)
    first_day[order[at[::-1]]], first_user[order[at[::-1]]] = day[at[::-1]], user[at[::-1]]
    at = np.lexsort((item, order, first_day[order]))
    order, item = order[at].astype(np.int64), item[at].astype(np.int64)
    fresh = np.r_[True, (order[1:] != order[:-1]) | (item[1:] != item[:-1])]
    order, item = order[fresh], item[fresh]
    start = np.flatnonzero(np.r_[True, order[1:] != order[:-1]])
    place = np.arange(len(order)) - np.repeat(start, np.diff(np.r_[start, len(order)]))
    lines = np.minimum(np.diff(np.r_[start, len(order)]), MOST_LINES)
    codes = order[start]
    indptr = np.r_[0, np.cumsum(lines)].astype(np.int64)
    kept = np.asarray(item[place < MOST_LINES], np.int64)
    return Orders(indptr, kept, first_user[codes], first_day[codes], items)


def hold_out(orders: Orders, seed: int) -> tuple[Orders, NDArray[np.int64]]:
    """Take one line, chosen at random, out of each order of at least two; return the rest and the lines."""
    orders = orders.take(np.flatnonzero(np.diff(orders.indptr) >= 2))
    rng = np.random.default_rng(seed)
    at = orders.indptr[:-1] + np.floor(rng.random(len(orders)) * np.diff(orders.indptr)).astype(np.int64)
    truth = orders.item[at]
    rest = np.delete(orders.item, at)
    return Orders(orders.indptr - np.arange(len(orders) + 1), rest, orders.user, orders.day, orders.items), truth
