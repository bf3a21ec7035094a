"""What a learner sees: the catalogue, the history, and the support of each user, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Matrix = NDArray[np.float32] | sp.csr_matrix


@dataclass(frozen=True)
class Catalogue:
    """The items that exist on a day; row i of every array is the same item. Rows are sorted by item id.

    Attributes
    ----------
    item_ids
        (items,) text, sorted.
    texts
        (items,) title, category and brand, as the encoder reads them.
    vectors
        (items, text dimensions) float32, unit length: what the encoder makes of the texts.
    first_day
        (items,) datetime64[D]: the day the item was first delivered.
    available
        (items,) bool.
    price
        (items,) float32, the shop's currency; NaN if unknown.
    categories
        (items,) path in the category tree, root first; empty if unknown.
    """

    item_ids: NDArray[np.object_]
    texts: list[str]
    vectors: NDArray[np.float32]
    first_day: NDArray[np.datetime64]
    available: NDArray[np.bool_]
    price: NDArray[np.float32]
    categories: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True)
class History:
    """Positive events of known users with items of the catalogue, by user and then time.

    Attributes
    ----------
    user_ids
        (users,) text, sorted; ``user`` indexes it.
    user, item
        (events,) int32: row in ``user_ids``, row in the catalogue.
    ts
        (events,) datetime64[us], UTC.
    weight
        (events,) float32: weight of the event type, without any decay.
    returned_at
        (events,) datetime64[us]: the first time after the event at which the user sent the item back; NaT if kept.
        None where nobody looked for returns.
    country
        (users,) int32: row in ``country_names`` for each of ``user_ids``, −1 where it is unknown. None where nobody asked.
    country_names
        The countries that ``country`` counts in, sorted.
    """

    user_ids: NDArray[np.object_]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    ts: NDArray[np.datetime64]
    weight: NDArray[np.float32]
    returned_at: NDArray[np.datetime64] | None = None
    country: NDArray[np.int32] | None = None
    country_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that is known at one instant; nothing in it happened at or after ``until``.

    Attributes
    ----------
    catalogue, history
        As of the instant; the history holds named users only.
    popularity_item, popularity_ts
        (positive events of anybody,) int32 and datetime64[us]: anonymous traffic counts for items.
    until
        datetime64[us], UTC: end of the day.
    """

    catalogue: Catalogue
    history: History
    popularity_item: NDArray[np.int32]
    popularity_ts: NDArray[np.datetime64]
    until: np.datetime64


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


def events_of(history: History, rows: NDArray[np.intp]) -> History:
    """Return a history of some events, in the order of the rows; every user keeps the place in ``user_ids``."""
    returned = None if history.returned_at is None else history.returned_at[rows]
    return replace(
        history,
        user=history.user[rows],
        item=history.item[rows],
        ts=history.ts[rows],
        weight=history.weight[rows],
        returned_at=returned,
    )


def ranges(indptr: NDArray[np.int64], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the entries that some rows own, one row after the other, and their new bounds."""
    counts = indptr[rows + 1] - indptr[rows]
    out = np.r_[0, np.cumsum(counts)].astype(np.int64)
    return np.repeat(indptr[rows] - out[:-1], counts) + np.arange(out[-1]), out


@dataclass(frozen=True)
class ItemSpace:
    """Items as a learner sees them on a day.

    Attributes
    ----------
    vectors
        (items, d) float32, dense or sparse.
    bias
        (items,) float32.
    beside
        What else a learner needs that scores by itself; None for those whose score is u·e_i + b_i.
    """

    vectors: Matrix
    bias: NDArray[np.float32]
    beside: Any = None


class Learner(Protocol):
    """The seam: learners are interchangeable behind it, so that new and old users take one way.

    A learner's own parameters are fixed once it is trained; what is known of the items is computed anew each day. A
    learner whose score is not u·e_i + b_i has a method ``score(space, users) -> (users, items)`` besides.
    """

    @property
    def name(self) -> str:
        """Short name, as reports and tables show it."""

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day."""

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Turn supports into user vectors, (users, d); a batched function, one row a user, whatever the batch."""


USERS_A_BLOCK = 64


def score_users(learner: Learner, space: ItemSpace, support: Support) -> NDArray[np.float32]:
    """Adapt to supports and return (users, items): how well each item fits each user, by the learner's own rule."""
    users = learner.adapt(space, support)
    own = getattr(learner, "score", None)
    return np.asarray(own(space, users) if own else score(space, users), dtype=np.float32)


def score(space: ItemSpace, users: Matrix) -> NDArray[np.float32]:
    """Return (users, items): u·e_i + b_i.

    A user's scores are the same bits whoever else stands in the batch: sparse products go row by row, and dense ones
    in blocks of a fixed number of users, since the last bit of a matrix product depends on its shape.
    """
    vectors = space.vectors
    if sp.issparse(users) and sp.issparse(vectors):
        # columns that most items fill are faster as a dense product; which ones they are depends on the items alone
        full = np.bincount(vectors.indices, minlength=vectors.shape[1]) > 0.5 * vectors.shape[0]
        product = _dense_product(users[:, full].toarray(), vectors[:, full].toarray())
        product += (users[:, ~full] @ vectors[:, ~full].T).toarray()
    elif sp.issparse(users) or sp.issparse(vectors):
        product = np.asarray(users @ vectors.T)
    else:
        product = _dense_product(users, vectors)
    return np.asarray(product + space.bias[None, :], dtype=np.float32)


def _dense_product(users: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (users, items) products, a fixed number of users at a time."""
    out = np.zeros((len(users), len(items)), np.float32)
    block = np.zeros((USERS_A_BLOCK, users.shape[1]), np.float32)
    for start in range(0, len(users) if users.shape[1] else 0, USERS_A_BLOCK):
        some = users[start : start + USERS_A_BLOCK]
        block[: len(some)] = some
        out[start : start + len(some)] = (block @ items.T)[: len(some)]
    return out
