"""The score of an item for a cart: a sum over the items of the cart, the user's habits and the item's sales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.tables.baskets.co_purchase.candidates import Candidates, World, of_users
from recpipe.tables.baskets.co_purchase.item_pairs import KINDS, Floats
from recpipe.tables.baskets.co_purchase.orders import Orders


def cart_matrix(carts: Orders) -> sp.csr_matrix:
    """Return (carts, items): each item of a cart counts one, over the root of the cart's size.

    Between a sum, which lets a large cart drown how items sell, and a mean, which lets one item speak as loudly as ten.
    """
    size = np.maximum(np.diff(carts.indptr), 1)
    return sp.csr_matrix(sp.diags(1 / np.sqrt(size)) @ carts.matrix)


def features(world: World, carts: Orders, found: Candidates) -> Floats:
    """Return (candidates, kinds + fixed): what speaks for each of them."""
    matrix = cart_matrix(carts)
    parts = [found.values(sp.csr_matrix(matrix @ world.pairs.matrix(values))) for values in world.pairs.values]
    parts.append(world.popularity[found.item])
    parts += [found.values(of_users(rows, carts.user)) for rows in (world.habit, world.habit_share)]
    return np.stack(parts, axis=1)


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
    rows = faded * of_users(world.habit, carts.user) + share * of_users(world.habit_share, carts.user)
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
