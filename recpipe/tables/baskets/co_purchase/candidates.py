"""The evidence of a day, and the candidates that may complete a cart of that day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.tables.baskets.co_purchase.item_pairs import KINDS, Floats, Pairs, pair_evidence, replaces
from recpipe.tables.baskets.co_purchase.orders import Orders

POPULAR: Final = 200


@dataclass(frozen=True)
class World:
    """What is known on a day, for carts of that day.

    Attributes
    ----------
    pairs
        See `pair_evidence`.
    popularity
        (items,) log of the faded orders.
    habit, habit_share
        (users, items) log1p of the user's faded orders with the item; the share of the user's orders that hold it.
    leaf
        (items,) code of the class of the last level, −1 where unknown.
    """

    pairs: Pairs
    popularity: Floats
    habit: sp.csr_matrix
    habit_share: sp.csr_matrix
    leaf: NDArray[np.integer]


def world_of(orders: Orders, leaf: NDArray[np.integer], until: np.datetime64, users: int, half_life_days: float = 60.0) -> World:
    """Count what orders up to a day say.

    Parameters
    ----------
    orders
        Those up to ``until``, included.
    leaf
        (items,) code of the class, −1 where unknown.
    until
        The day.
    users
        Codes of users that ``orders.user`` counts in.
    half_life_days
        Age at which an order counts half, for popularity and habits.
    """
    age = (until - orders.day) / np.timedelta64(1, "D")
    fade = np.exp2(-age / half_life_days)
    faded = orders.matrix.T @ fade
    named = np.flatnonzero(orders.user >= 0)
    whose = sp.csr_matrix((np.ones(len(named)), (orders.user[named], named)), shape=(users, len(orders)))
    habit = sp.csr_matrix(whose @ sp.diags(fade, shape=(len(orders),) * 2) @ orders.matrix)
    count = np.maximum(np.asarray(whose.sum(1)).ravel(), 1.0)
    share = sp.csr_matrix(sp.diags(1 / count) @ (whose @ orders.matrix))
    return World(pair_evidence(orders, leaf), np.log(np.asarray(faded).ravel() + 0.1), habit.log1p(), share, leaf)


@dataclass(frozen=True)
class Candidates:
    """What may complete some carts: items that a cart's item speaks for, that its user bought, or that sell the most.

    Attributes
    ----------
    key
        cart × items + item, ascending.
    indptr
        Cart c has the keys indptr[c] to indptr[c + 1].
    items
        Items of the catalogue.
    """

    key: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: int

    @property
    def item(self) -> NDArray[np.int64]:
        """(candidates,) code of the item."""
        return self.key % self.items

    @property
    def cart(self) -> NDArray[np.int64]:
        """(candidates,) row of the cart."""
        return self.key // self.items

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """Return some of the candidates of the same carts."""
        key = self.key[keep]
        return Candidates(key, np.searchsorted(key, np.arange(len(self.indptr)) * self.items), self.items)

    def values(self, rows: sp.csr_matrix) -> Floats:
        """Return (candidates,) what a matrix (carts, items) holds for each of them."""
        key, value = keys_of(rows), rows.data
        found = np.zeros(len(self.key))
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        there = self.key[at] == key if len(self.key) else np.zeros(len(key), np.bool_)
        found[at[there]] = value[there]
        return found


def keys_of(rows: sp.csr_matrix) -> NDArray[np.int64]:
    source = np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(rows.indptr))
    return np.asarray(source * rows.shape[1] + rows.indices, np.int64)


def candidates_of(
    world: World,
    carts: Orders,
    allowed: NDArray[np.bool_] | None = None,
    popular: bool = True,
    but: NDArray[np.int64] | None = None,
) -> Candidates:
    """Return what may complete each cart: neither what it holds, nor what replaces one of its items.

    An item replaces another of its class unless they are bought together at least as often as the same users' orders let
    expect; and one of any class, if they are bought together at most half as often (`SUBSTITUTE`).

    Parameters
    ----------
    world, carts
        What is known, and the carts.
    allowed
        (items,) False for what may never be offered.
    popular
        Whether the items that sell the most are candidates of every cart.
    but
        Further keys (cart × items + item) that are none.
    """
    held = carts.matrix
    pairs = world.pairs
    spoken = held @ pairs.matrix(np.ones(len(pairs.item)))
    own = of_users(world.habit, carts.user)
    top = np.argsort(-np.round(world.popularity, 12), kind="stable")[: POPULAR if popular else 0]
    often = (np.arange(len(carts), dtype=np.int64)[:, None] * carts.items + top).ravel()
    key = np.unique(np.r_[keys_of(spoken), keys_of(own), often])
    key = key[~np.isin(key, keys_of(held))]
    key = key[~np.isin(key, keys_of(sp.csr_matrix(held @ pairs.matrix(replaces(pairs)))))]
    key = key if but is None else key[~np.isin(key, but)]
    if allowed is not None:
        key = key[allowed[key % carts.items]]
    key = key[~_of_a_class_in(world, held, key)]
    return Candidates(key, np.searchsorted(key, np.arange(len(carts) + 1) * carts.items), carts.items)


def _of_a_class_in(world: World, held: sp.csr_matrix, key: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (keys,) whether a cart holds an item of the candidate's class, and none that is bought along with it."""
    leaf, items = world.leaf, held.shape[1]
    known = np.flatnonzero(leaf >= 0)
    width = int(leaf.max(initial=0)) + 1
    classes = sp.csr_matrix((np.ones(len(known)), (known, leaf[known])), shape=(items, width))
    mine = keys_of(sp.csr_matrix(held @ classes))
    same = np.isin(key // items * width + leaf[key % items], mine) & (leaf[key % items] >= 0)
    along = world.pairs.values[KINDS.index("same_leaf")] * (1 - replaces(world.pairs))
    good = sp.csr_matrix(world.pairs.matrix(along))
    good.eliminate_zeros()
    return same & ~np.isin(key, keys_of(sp.csr_matrix(held @ good)))


def of_users(rows: sp.csr_matrix, user: NDArray[np.int64]) -> sp.csr_matrix:
    known = np.flatnonzero((user >= 0) & (user < rows.shape[0]))
    pick = sp.csr_matrix((np.ones(len(known)), (known, user[known])), shape=(len(user), rows.shape[0]))
    return sp.csr_matrix(pick @ rows)
