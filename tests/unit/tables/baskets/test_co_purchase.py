"""What completes an order: pairs counted by hand, substitutes that are left out, and reasons that hold when taken away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from recpipe.models.conditional_logit import choice_loss
from recpipe.tables.baskets import co_purchase as learn

DAY = np.datetime64("2026-03-01")
NO_CLASS = np.full(4, -1)


def orders(*rows: tuple[int, list[int]], items: int = 4) -> learn.Orders:
    """One order a row, of a user, a day apart."""
    line = [(at, user, item) for at, (user, held) in enumerate(rows) for item in held]
    order, user, item = (np.array(some, np.int64) for some in zip(*line, strict=True))
    return learn.orders_of(order, user, item, DAY + order, items)


def random_orders(seed: int, n: int = 120, items: int = 12, users: int = 15) -> learn.Orders:
    rng = np.random.default_rng(seed)
    return orders(
        *((int(rng.integers(users)), list(rng.choice(items, rng.integers(2, 6), False))) for _ in range(n)), items=items
    )


def world(found: learn.Orders, leaf: np.ndarray | None = None) -> learn.World:
    leaf = np.full(found.items, -1) if leaf is None else leaf
    return learn.world_of(found, leaf, DAY + 1000, int(found.user.max()) + 1)


# --- counts -------------------------------------------------------------------------------------------------------


def test_pairs_by_hand():
    """Items 0 and 1 stand together in 3 of 4 orders; user 0 has three orders (0: 3, 1: 2), user 1 one (both)."""
    found = learn.pair_evidence(orders((0, [0, 1]), (0, [0, 1]), (0, [0]), (1, [0, 1, 2])), np.array([7, 7, 8, -1]))
    assert list(zip(found.source, found.item, strict=True)) == [(0, 1), (1, 0)]  # the pairs of 2 stand together once alone
    assert (found.together == 3).all()
    np.testing.assert_allclose(found.expected, 3 * 2 / 3 + 1 * 1 / 1)
    row = dict(zip(learn.KINDS, found.values[:, 0], strict=True))
    assert row["confidence"] == pytest.approx(3 / (4 + 3))
    assert row["lift"] == pytest.approx(np.log1p(3 * 4 / (4 * 3)) * 3 / 6)
    assert row["closeness"] == pytest.approx(3 / (np.sqrt(12) + 3))
    assert row["apart"] == pytest.approx(np.log((3 + 3) / (3 + 3)))
    assert row["same_leaf"] == 1


def test_expected_by_hand_where_nobody_is_named():
    found = orders((-1, [0, 1]), (-1, [0]), (-1, [1, 2]))
    np.testing.assert_allclose(learn.expected_together(found, np.array([0, 0, 1]), np.array([1, 2, 2])), [1, 0, 1])


def test_an_item_counts_once_an_order_and_orders_stand_by_day():
    order, item = np.array([1, 1, 0, 1]), np.array([2, 2, 0, 1])
    found = learn.orders_of(order, np.array([5, 5, 6, 5]), item, np.array([DAY, DAY, DAY + 1, DAY]), 3)
    assert (found.item.tolist(), found.indptr.tolist(), found.user.tolist()) == ([1, 2, 0], [0, 2, 3], [5, 6])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=20))
def test_the_order_of_lines_changes_nothing(seed, lines):
    order, item = (np.array(some) for some in zip(*lines, strict=True))
    mixed = np.random.default_rng(seed).permutation(len(order))
    one = learn.orders_of(order, order % 2, item, DAY + order % 3, 4)
    other = learn.orders_of(order[mixed], order[mixed] % 2, item[mixed], DAY + order[mixed] % 3, 4)
    for name in ("indptr", "item", "user", "day"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert len(set(zip(order.tolist(), item.tolist(), strict=True))) == len(one.item)


# --- candidates and scores ----------------------------------------------------------------------------------------


def test_a_substitute_is_no_candidate():
    """Items 0 and 1 are of one class, bought by the same user on different days; 2 comes with both."""
    bought = [(0, [0, 2]), (0, [1, 2]), (0, [0, 2]), (0, [1, 2])]
    cart = orders((1, [0]))
    known = world(orders(*bought, (1, [3])), np.array([7, 7, 8, 9]))
    assert learn.candidates_of(known, cart).item.tolist() == [2, 3]
    assert learn.candidates_of(replace(known, leaf=NO_CLASS), cart).item.tolist() == [1, 2, 3]


def test_items_of_one_class_that_are_bought_together_stay():
    known = world(orders((0, [0, 1]), (0, [0, 1]), (0, [2]), (1, [3])), np.array([7, 7, 8, 9]))
    assert 1 in learn.candidates_of(known, orders((1, [0]))).item


def test_scores_are_what_the_features_say():
    found = random_orders(0)
    known, weights = world(found), np.arange(1.0, 9.0)
    carts, _ = learn.hold_out(found, 1)
    rows = learn.candidates_of(known, carts)
    scores = learn.score(known, carts, weights, rows, learn.pair_scores(known.pairs, weights))
    np.testing.assert_allclose(scores, learn.features(known, carts, rows) @ weights)
    items, values = learn.best(rows, scores, 3)
    own = scores[rows.indptr[4] : rows.indptr[5]]
    np.testing.assert_allclose(values[4], np.sort(own)[::-1][:3])
    assert not set(items[4]) & set(carts.item[carts.indptr[4] : carts.indptr[5]])


def test_a_cart_scores_the_same_alone_and_among_others():
    found = random_orders(1)
    known, weights = world(found), np.asarray(learn.PRIOR)
    carts, _ = learn.hold_out(found, 1)
    pair = learn.pair_scores(known.pairs, weights)
    whole, alone = (learn.candidates_of(known, some) for some in (carts, carts.take(np.array([9]))))
    among = learn.score(known, carts, weights, whole, pair)[whole.indptr[9] : whole.indptr[10]]
    np.testing.assert_array_equal(learn.score(known, carts.take(np.array([9])), weights, alone, pair), among)


def test_without_the_item_that_is_named_the_score_falls_the_furthest():
    found = random_orders(2)
    known, weights = world(found), np.array([1.0, 0.5, 2.0, 0.5, 0.0, 0.5, 0.0, 0.0])
    pair = learn.pair_scores(known.pairs, weights)
    carts = found.take(np.flatnonzero(np.diff(found.indptr) >= 3)[:20])
    rows = learn.candidates_of(known, carts)
    chosen, _ = learn.best(rows, learn.score(known, carts, weights, rows, pair), 3)
    named = learn.said_by(carts, chosen, pair, 1).items[:, :, 0]
    looked_at = 0
    for cart in range(len(carts)):
        held = carts.item[carts.indptr[cart] : carts.indptr[cart + 1]]
        for item, because in zip(chosen[cart], named[cart], strict=True):
            if because >= 0:
                left = {gone: _score(known, [one for one in held if one != gone], item, weights, pair) for gone in held}
                assert left[because] == pytest.approx(min(left.values()))
                looked_at += 1
    assert looked_at > 20


def _score(known, held, item, weights, pair):
    cart = orders((0, held), items=len(known.popularity))
    rows = learn.candidates_of(known, cart)
    only = learn.Candidates(np.array([item]), np.array([0, 1]), rows.items)
    return learn.score(known, cart, weights, only, pair)[0]


# --- weights ------------------------------------------------------------------------------------------------------


def test_one_line_is_held_out():
    found = random_orders(3)
    carts, truth = learn.hold_out(found, 4)
    assert len(carts) == len(found)
    for at in range(len(carts)):
        rest = carts.item[carts.indptr[at] : carts.indptr[at + 1]].tolist()
        assert sorted([*rest, truth[at]]) == found.item[found.indptr[at] : found.indptr[at + 1]].tolist()
    np.testing.assert_array_equal(learn.hold_out(found, 4)[1], truth)
    assert (learn.hold_out(found, 5)[1] != truth).any()


def test_the_gradient_of_the_conditional_logit():
    rng = np.random.default_rng(0)
    table, start, chosen = rng.normal(size=(30, 4)), np.array([0, 7, 19]), np.array([2, 7, 25])
    loss = choice_loss(table, start, chosen, np.full(4, 1.0), 0.5)
    for weights in rng.normal(size=(3, 4)):
        assert check_grad(lambda at: loss(at)[0], lambda at: loss(at)[1], weights) < 1e-5


def test_the_weights_find_what_decides():
    """Item 2n + 1 comes with item 2n; popularity says nothing."""
    rng = np.random.default_rng(0)
    rows = [(n % 20, [2 * p, 2 * p + 1, 20 + int(rng.integers(6))]) for n, p in enumerate(rng.integers(0, 10, 300))]
    found = orders(*rows, items=26)
    before, carts = found.take(np.arange(200)), found.take(np.arange(200, 300))
    known = learn.world_of(before, np.full(26, -1), DAY + 200, 20)
    rest, truth = learn.hold_out(carts, 0)
    weights = learn.fit(known, rest, truth)
    hits = {}
    for name, some in (("fit", weights), ("popularity", np.eye(8)[5])):
        rows = learn.candidates_of(known, rest)
        chosen, _ = learn.best(rows, learn.score(known, rest, some, rows, learn.pair_scores(known.pairs, some)), 1)
        hits[name] = (chosen[:, 0] == truth).mean()
    assert hits["fit"] > 0.6 > 0.2 > hits["popularity"]


def test_too_few_carts_leave_the_weights_as_they_are():
    found = random_orders(5, n=20)
    np.testing.assert_array_equal(learn.fit(world(found), *learn.hold_out(found, 0)), learn.PRIOR)


def test_no_orders():
    empty = np.zeros(0, np.int64)
    found = learn.orders_of(empty, empty, empty, empty.astype("datetime64[D]"), 3)
    known = learn.world_of(found, np.full(3, -1), DAY, 0)
    assert len(known.pairs.item) == 0
    cart = orders((-1, [0]), items=3)
    assert learn.candidates_of(known, cart).item.tolist() == [1, 2]
