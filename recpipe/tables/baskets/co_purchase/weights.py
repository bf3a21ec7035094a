"""The weights of what speaks for an item, learned from lines that were held out of orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from recpipe.tables.baskets.co_purchase.candidates import World, candidates_of
from recpipe.tables.baskets.co_purchase.item_pairs import Floats
from recpipe.tables.baskets.co_purchase.orders import Orders
from recpipe.tables.baskets.co_purchase.scores import features

FIXED: Final = ("popularity", "habit", "habit_share")
"""What is known of a candidate whatever the cart holds: how it sells, and how often the cart's user bought it."""
PRIOR: Final = (1.0, 0.2, 2.0, 0.0, 0.0, 0.7, 1.0, 0.0)
"""Weights that choose candidates before any are learned; they serve where there are too few orders to learn from."""
FEWEST_CARTS: Final = 50


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
