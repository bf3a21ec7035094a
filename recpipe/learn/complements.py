"""What completes an order: what is bought in one order with what, beside what the same users buy in different orders.

Complements stand in the same order; substitutes are bought by the same users in different orders. Both are counted for
each pair of items, and a few weights, learned from single lines that were held out of later orders, make one number of
them. A cart's score for an item is a sum over the cart's items, so each of them has its share of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize

KINDS: Final = ("confidence", "lift", "closeness", "apart", "same_leaf")
"""What a pair of items says: see `pair_evidence`."""
FIXED: Final = ("popularity", "habit", "habit_share")
"""What is known of a candidate whatever the cart holds: how it sells, and how often the cart's user bought it."""
PRIOR: Final = (1.0, 0.2, 2.0, 0.0, 0.0, 0.7, 1.0, 0.0)
"""Weights that choose candidates before any are learned; they serve where there are too few orders to learn from."""
LEAST_TOGETHER: Final = 2
NEIGHBOURS: Final = 200
MOST_LINES: Final = 200
DAMPING: Final = 3.0
POPULAR: Final = 200
SUBSTITUTE: Final = -0.6931471805599453
ENTRIES: Final = 20_000
FEWEST_CARTS: Final = 50

Floats = NDArray[np.float64]


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


# --- scores -------------------------------------------------------------------------------------------------------


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


def cart_matrix(carts: Orders) -> sp.csr_matrix:
    """Return (carts, items): each item of a cart counts one, over the root of the cart's size.

    Between a sum, which lets a large cart drown how items sell, and a mean, which lets one item speak as loudly as ten.
    """
    size = np.maximum(np.diff(carts.indptr), 1)
    return sp.csr_matrix(sp.diags(1 / np.sqrt(size)) @ carts.matrix)


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

    def values(self, rows: sp.csr_matrix) -> Floats:
        """Return (candidates,) what a matrix (carts, items) holds for each of them."""
        key, value = _keys(rows), rows.data
        found = np.zeros(len(self.key))
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        there = self.key[at] == key if len(self.key) else np.zeros(len(key), np.bool_)
        found[at[there]] = value[there]
        return found


def _keys(rows: sp.csr_matrix) -> NDArray[np.int64]:
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
    own = _of_users(world.habit, carts.user)
    top = np.argsort(-np.round(world.popularity, 12), kind="stable")[: POPULAR if popular else 0]
    often = (np.arange(len(carts), dtype=np.int64)[:, None] * carts.items + top).ravel()
    key = np.unique(np.r_[_keys(spoken), _keys(own), often])
    key = key[~np.isin(key, _keys(held))]
    key = key[~np.isin(key, _keys(sp.csr_matrix(held @ pairs.matrix(_replaces(pairs)))))]
    key = key if but is None else key[~np.isin(key, but)]
    if allowed is not None:
        key = key[allowed[key % carts.items]]
    key = key[~_of_a_class_in(world, held, key)]
    return Candidates(key, np.searchsorted(key, np.arange(len(carts) + 1) * carts.items), carts.items)


def _replaces(pairs: Pairs) -> Floats:
    """Return (pairs,) 1 where one item replaces the other by what users do, else 0."""
    apart, same = pairs.values[KINDS.index("apart")], pairs.values[KINDS.index("same_leaf")]
    return np.asarray((apart <= np.where(same > 0, -1e-9, SUBSTITUTE)), np.float64)


def _of_a_class_in(world: World, held: sp.csr_matrix, key: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (keys,) whether a cart holds an item of the candidate's class, and none that is bought along with it."""
    leaf, items = world.leaf, held.shape[1]
    known = np.flatnonzero(leaf >= 0)
    width = int(leaf.max(initial=0)) + 1
    classes = sp.csr_matrix((np.ones(len(known)), (known, leaf[known])), shape=(items, width))
    mine = _keys(sp.csr_matrix(held @ classes))
    same = np.isin(key // items * width + leaf[key % items], mine) & (leaf[key % items] >= 0)
    along = world.pairs.values[KINDS.index("same_leaf")] * (1 - _replaces(world.pairs))
    good = sp.csr_matrix(world.pairs.matrix(along))
    good.eliminate_zeros()
    return same & ~np.isin(key, _keys(sp.csr_matrix(held @ good)))


def features(world: World, carts: Orders, found: Candidates) -> Floats:
    """Return (candidates, kinds + fixed): what speaks for each of them."""
    matrix = cart_matrix(carts)
    parts = [found.values(sp.csr_matrix(matrix @ world.pairs.matrix(values))) for values in world.pairs.values]
    parts.append(world.popularity[found.item])
    parts += [found.values(_of_users(rows, carts.user)) for rows in (world.habit, world.habit_share)]
    return np.stack(parts, axis=1)


def _of_users(rows: sp.csr_matrix, user: NDArray[np.int64]) -> sp.csr_matrix:
    known = np.flatnonzero((user >= 0) & (user < rows.shape[0]))
    pick = sp.csr_matrix((np.ones(len(known)), (known, user[known])), shape=(len(user), rows.shape[0]))
    return sp.csr_matrix(pick @ rows)


def pair_scores(pairs: Pairs, weights: Floats) -> sp.csr_matrix:
    """Return (items, items): what each item says for each other, all kinds in one number."""
    return pairs.matrix(weights[: len(KINDS)] @ pairs.values)


def score(world: World, carts: Orders, weights: Floats, found: Candidates, pair: sp.csr_matrix) -> Floats:
    """Return (candidates,) scores.

    Parameters
    ----------
    world, carts, found
        What is known, the carts, and their candidates.
    weights
        (kinds + fixed,) as `fit` returns them.
    pair
        `pair_scores` of the same weights.
    """
    popularity, own = weights[len(KINDS)], habits(world, carts, weights, found)
    said = found.values(sp.csr_matrix(cart_matrix(carts) @ pair))
    return np.asarray(said + own + popularity * world.popularity[found.item])


def habits(world: World, carts: Orders, weights: Floats, found: Candidates) -> Floats:
    """Return (candidates,) what the user's own orders say, as a part of the score."""
    faded, share = weights[len(KINDS) + 1 :]
    rows = faded * _of_users(world.habit, carts.user) + share * _of_users(world.habit_share, carts.user)
    return found.values(sp.csr_matrix(rows))


@dataclass(frozen=True)
class Said:
    """What the items of a cart say for those of its list.

    Attributes
    ----------
    items
        (carts, k, most) the items of the cart that say the most, most first; −1 where none speaks for it.
    total
        (carts, k) what all items of the cart say, as a part of the score.
    """

    items: NDArray[np.int64]
    total: Floats


def said_by(carts: Orders, chosen: NDArray[np.int64], pair: sp.csr_matrix, most: int) -> Said:
    """Say which items of a cart brought the items of its list: those without which the score falls the furthest.

    Parameters
    ----------
    carts
        A block of carts.
    chosen
        (carts, k) items as `best` returns them.
    pair
        `pair_scores`.
    most
        Items to name for each; those that speak against it are none.
    """
    size = np.diff(carts.indptr)
    cart = np.repeat(np.arange(len(carts)), size)
    entry, place = (some.ravel() for some in np.indices((len(cart), chosen.shape[1])))
    there = chosen[cart[entry], place] >= 0
    entry, place = entry[there], place[there]
    row, item = cart[entry], carts.item[entry]
    value = entries(pair, item, chosen[row, place]) / np.sqrt(size[row])
    total = np.zeros(chosen.shape)
    np.add.at(total, (row, place), value)
    speaks = value > 0
    row, place, item, value = row[speaks], place[speaks], item[speaks], value[speaks]
    order = np.lexsort((item, -np.round(value, 12), place, row))
    row, place, item = row[order], place[order], item[order]
    start = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(place) != 0)][: len(row)])
    nth = np.arange(len(row)) - np.repeat(start, np.diff(np.r_[start, len(row)]))
    items = np.full((*chosen.shape, most), -1, np.int64)
    keep = nth < most
    items[row[keep], place[keep], nth[keep]] = item[keep]
    return Said(items, total)


def entries(matrix: sp.csr_matrix, row: NDArray[np.integer], column: NDArray[np.integer]) -> Floats:
    """Return (entries,) of a sparse matrix; scipy itself returns another shape for none."""
    return np.asarray(matrix[row, column], np.float64).ravel() if len(row) else np.zeros(0)


def best(found: Candidates, scores: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """Return (carts, k) items of the highest scores, highest first, ties by their codes, and the scores; −1 for none."""
    carts = len(found.indptr) - 1
    row = np.repeat(np.arange(carts), np.diff(found.indptr))
    at = np.lexsort((found.key, -np.round(scores, 9), row))
    place = np.arange(len(at)) - found.indptr[row[at]]
    at, place = at[place < k], place[place < k]
    items, values = np.full((carts, k), -1, np.int64), np.full((carts, k), -np.inf)
    items[row[at], place], values[row[at], place] = found.item[at], np.round(scores[at], 9)
    return items, values


# --- weights ------------------------------------------------------------------------------------------------------


def hold_out(orders: Orders, seed: int) -> tuple[Orders, NDArray[np.int64]]:
    """Take one line, chosen at random, out of each order of at least two; return the rest and the lines."""
    orders = orders.take(np.flatnonzero(np.diff(orders.indptr) >= 2))
    rng = np.random.default_rng(seed)
    at = orders.indptr[:-1] + np.floor(rng.random(len(orders)) * np.diff(orders.indptr)).astype(np.int64)
    truth = orders.item[at]
    rest = np.delete(orders.item, at)
    return Orders(orders.indptr - np.arange(len(orders) + 1), rest, orders.user, orders.day, orders.items), truth


def fit(world: World, carts: Orders, truth: NDArray[np.int64], damping: float = 1.0) -> Floats:
    """Learn the weights by a conditional logit (McFadden 1974) of the line held out among the candidates.

    Parameters
    ----------
    world
        What was known before the carts' days.
    carts, truth
        As `hold_out` gives them; a cart whose line is no candidate counts not.
    damping
        Weight of the squared weights.

    Returns
    -------
    numpy.ndarray
        (kinds + fixed,) weights; `PRIOR` where fewer than `FEWEST_CARTS` carts can be learned from.
    """
    found = candidates_of(world, carts)
    wanted = np.arange(len(carts)) * carts.items + truth
    able = np.isin(wanted, found.key)
    if able.sum() < FEWEST_CARTS:
        return np.asarray(PRIOR)
    table = features(world, carts, found)
    row = np.repeat(np.arange(len(carts)), np.diff(found.indptr))
    table, row = table[able[row]], row[able[row]]
    start = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    chosen = np.searchsorted(found.key[able[np.repeat(np.arange(len(carts)), np.diff(found.indptr))]], wanted[able])
    spread = np.maximum(table.std(0), 1e-9)
    loss = conditional_loss(table / spread, start, chosen, damping)
    found_at = minimize(loss, np.asarray(PRIOR) * spread, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return np.asarray(np.round(found_at / spread, 9))


def conditional_loss(
    table: Floats, start: NDArray[np.intp], chosen: NDArray[np.intp], damping: float
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return (features,) weights to what they lose, and its gradient.

    Parameters
    ----------
    table
        (candidates, features); the rows from one of ``start`` to the next are one choice.
    start, chosen
        (choices,) first row, and row of what was chosen.
    damping
        Weight of the squared weights.
    """
    size = np.diff(np.r_[start, len(table)])
    picked = table[chosen].sum(0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        value = table @ weights
        value -= np.repeat(np.maximum.reduceat(value, start), size)
        share = np.exp(value)
        total = np.add.reduceat(share, start)
        lost = float((np.log(total) - value[chosen]).sum() + damping * weights @ weights)
        return lost, (share / np.repeat(total, size)) @ table - picked + 2 * damping * weights

    return loss
