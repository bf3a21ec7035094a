"""The weights of what speaks for an item, learned from lines that were held out of orders."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.models.conditional_logit import fit_choices
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
    begin = np.asarray(PRIOR) * spread
    found_at = fit_choices(table / spread, start, chosen, begin, np.full(len(begin), damping))
    return np.asarray(np.round(found_at / spread, 9))
