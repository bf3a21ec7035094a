"""Complements of an order: items bought in one order, beside items that the same users buy in different orders.

Complements stand in the same order; substitutes are bought by the same users in different orders. Both are counted for
each pair of items, and a few weights, learned from single lines that were held out of later orders, make one number of
them. A cart's score for an item is a sum over the cart's items, so each of them has its share of it.
"""

from recpipe.tables.baskets.co_purchase.candidates import Candidates, World, candidates_of, world_of
from recpipe.tables.baskets.co_purchase.item_pairs import (
    KINDS,
    LEAST_TOGETHER,
    Pairs,
    expected_together,
    pair_evidence,
    pair_scores,
)
from recpipe.tables.baskets.co_purchase.orders import Orders, hold_out, orders_of
from recpipe.tables.baskets.co_purchase.scores import Said, best, entries, features, habits, said_by, score
from recpipe.tables.baskets.co_purchase.weights import FEWEST_CARTS, FIXED, PRIOR, fit

__all__ = [
    "FEWEST_CARTS", "FIXED", "KINDS", "LEAST_TOGETHER", "PRIOR", "Candidates", "Orders", "Pairs", "Said", "World", "best",
    "candidates_of", "entries", "expected_together", "features", "fit", "habits", "hold_out", "orders_of",
    "pair_evidence", "pair_scores", "said_by", "score", "world_of",
]  # fmt: skip
