"""The support of a user: the items known at an instant, weighted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import History, ages_in_days, events_of

LEAST = 1e-30
"""However old an event is, it still counts something: float32 does not make it zero."""


def build_support(
    history: History, until: np.datetime64, half_life_days: float, users: NDArray[np.int32] | None = None
) -> tuple[Support, NDArray[np.datetime64]]:
    """Turn a history into supports: those of the nights, and those that training learns from.

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
    users
        (users,) rows of ``history.user_ids``, sorted; None: all of them.

    Returns
    -------
    Support
        One support for each user, in that order, empty without history; entries oldest first, of the same moment by item.
    NDArray
        (entries,) datetime64[us]: time of the event that stands for the entry.
    """
    wanted = np.arange(len(history.user_ids)) if users is None else users
    if users is not None:
        history = events_of(history, np.flatnonzero(np.isin(history.user, users)))
    age = ages_in_days(history.ts, until)
    strength = event_strength(history.weight, age, half_life_days)
    last = _last_of_pairs(history, history.ts)
    best = _last_of_pairs(history, strength, history.ts)
    label = _kept(history, until)[last].astype(np.float32)
    order = np.lexsort((history.item[best], history.ts[best], history.user[best]))
    rows = best[order]
    support = Support(
        indptr=np.append(np.searchsorted(history.user[rows], wanted), len(rows)).astype(np.int64),
        item=history.item[rows],
        label=label[order],
        weight=strength[rows].astype(np.float32),
        age_days=age[rows].astype(np.float32),
        country=None if history.country is None else history.country[wanted],
    )
    return support, history.ts[rows]


def event_strength(weight: NDArray[np.float32], age_days: NDArray[np.float64], half_life_days: float) -> NDArray[np.float64]:
    """Return (events,) how much events count: the weight of their type × 0.5^(age / half-life), and never nothing.

    Who met nothing for years is still known by what it was: without the floor the weights of such a support would be zeros,
    and the user ranked as if new.
    """
    return np.maximum(weight * np.exp2(-age_days / half_life_days), LEAST)


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


def support_weights(support: Support, items: int) -> sp.csr_matrix:
    """Return (users, items): weight × label of the supports, each row of sum 1, or empty where nothing counts.

    Sparse products go row by row, so that a user's vector never depends on who else stands in the batch.
    """
    matrix = support.matrix(items)
    sums = np.asarray(matrix.sum(1), dtype=np.float64).ravel()
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    matrix.data = np.asarray(matrix.data * np.repeat(scale, np.diff(matrix.indptr)), dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


@dataclass(frozen=True)
class Support:
    """Support sets of a batch of users, one after the other (the layout of a CSR matrix).

    Entries of a user are distinct items, oldest first.

    Attributes
    ----------
    indptr
        (users + 1,) int64: user u owns entries indptr[u] to indptr[u + 1].
    item
        (entries,) int32: row in the catalogue.
    label
        (entries,) float32: 1 positive, 0 sent back.
    weight
        (entries,) float32: weight of event type and age.
    age_days
        (entries,) float32: days between the event and the instant the list is made for.
    ahead_days
        (users,) float32: days between the end of the evidence and the instant the list is made for. None where both are
        the same instant, as in every night; lists of a benchmark are made up to some months after its evidence.
    country
        (users,) int32: row in the evidence's ``history.country_names``, −1 where it is unknown. None where nobody asked.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]
    age_days: NDArray[np.float32]
    ahead_days: NDArray[np.float32] | None = None
    country: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def k(self) -> NDArray[np.int64]:
        """(users,) distinct items in each support."""
        return np.diff(self.indptr)

    def users(self, start: int, stop: int) -> Support:
        """Return the supports of users start to stop (excluded)."""
        a, b = int(self.indptr[start]), int(self.indptr[stop])
        entries = (self.item[a:b], self.label[a:b], self.weight[a:b], self.age_days[a:b])
        return Support(self.indptr[start : stop + 1] - a, *entries, *_of_users(self, slice(start, stop)))

    def matrix(self, items: int) -> sp.csr_matrix:
        """Return (users, items) with weight × label at the support's items."""
        entries = (self.weight * self.label, self.item, self.indptr)
        return sp.csr_matrix(entries, shape=(len(self), items), copy=True)  # callers may change it in place


def newest(support: Support, most: int | NDArray[np.int64]) -> Support:
    """Return supports of which only the newest ``most`` entries, one number or (users,), are left."""
    left = np.repeat(support.indptr[1:], support.k) - np.arange(len(support.item))
    keep = left <= np.repeat(np.broadcast_to(most, len(support)), support.k)
    indptr = np.r_[0, np.cumsum(np.minimum(support.k, most))].astype(np.int64)
    values = (support.item[keep], support.label[keep], support.weight[keep], support.age_days[keep])
    return Support(indptr, *values, support.ahead_days, support.country)


def take(support: Support, rows: NDArray[np.integer]) -> Support:
    """Return the supports of some users, in the order of the rows."""
    entry, indptr = ranges(support.indptr, rows)
    values = (support.item[entry], support.label[entry], support.weight[entry], support.age_days[entry])
    return Support(indptr, *values, *_of_users(support, rows))


def _of_users(support: Support, rows: slice | NDArray[np.integer]) -> tuple[Any, Any]:
    """Return what is known of some users beside their entries: days ahead, country."""
    ahead, country = support.ahead_days, support.country
    return None if ahead is None else ahead[rows], None if country is None else country[rows]


def ranges(indptr: NDArray[np.int64], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the entries that some rows own, one row after the other, and their new bounds."""
    counts = indptr[rows + 1] - indptr[rows]
    out = np.r_[0, np.cumsum(counts)].astype(np.int64)
    return np.repeat(indptr[rows] - out[:-1], counts) + np.arange(out[-1]), out
