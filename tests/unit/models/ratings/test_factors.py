"""Biases and factors, against loops over users."""

import numpy as np
import scipy.sparse as sp

from recpipe.models.ratings.factors import fit_factors, posterior, sum_outer
from recpipe.models.ratings.ratings import sorted_ratings


def made_up(seed: int = 0, users: int = 80, items: int = 30, noise: float = 0.3):
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(users, 2)), random.normal(size=(items, 2))
    user, item = np.nonzero(random.random((users, items)) < 0.5)
    value = (left[user] * right[item]).sum(1) + random.normal(0, noise, len(user))
    return sorted_ratings(user, item, value / value.std(), users, items)


def test_posteriors_are_those_of_a_loop():
    random = np.random.default_rng(1)
    seen = sp.csr_matrix(np.array([[1.0, 1, 0], [0, 0, 0]]))
    value = seen.multiply(random.normal(size=(2, 3))).tocsr()
    bias, side, spread = random.normal(size=3), random.normal(size=(3, 2)), np.array([[2.0, 0.3], [0.3, 1.0]])
    mean, second = posterior(seen, value, bias, side, spread, 0.7)
    x, y = side[:2], value.toarray()[0, :2] - bias[:2]
    among = x @ spread @ x.T + 0.7 * np.eye(2)
    np.testing.assert_allclose(mean[0], spread @ x.T @ np.linalg.solve(among, y), atol=1e-12)
    np.testing.assert_allclose(mean[1], 0)
    np.testing.assert_allclose(second[1], spread, atol=1e-12)
    covariance = spread - spread @ x.T @ np.linalg.solve(among, x @ spread)
    np.testing.assert_allclose(second[0] - np.outer(mean[0], mean[0]), covariance, atol=1e-12)


def test_sums_of_symmetric_matrices():
    random = np.random.default_rng(2)
    half = random.normal(size=(5, 3, 3))
    square, seen = half + half.transpose(0, 2, 1), (random.random((4, 5)) < 0.5).astype(float)
    np.testing.assert_allclose(sum_outer(sp.csr_matrix(seen), square), np.einsum("ui,ijk->ujk", seen, square), atol=1e-12)


def test_two_true_factors_leave_little_but_noise():
    ratings = made_up()
    found = fit_factors(ratings, size=2, rounds=30, shrink=0.1)
    side = np.hstack([np.ones((ratings.items, 1)), found.factor])
    rest = ratings.value - found.bias[ratings.item] - (side[ratings.item] * found.user[ratings.user]).sum(1)
    assert rest.var() < 0.15 * ratings.value.var()


def test_users_and_items_without_ratings_stay_at_zero():
    ratings = made_up()
    wider = sorted_ratings(ratings.user, ratings.item, ratings.value, ratings.users + 1, ratings.items + 1)
    found = fit_factors(wider, size=2)
    assert not found.factor[-1].any()
    assert found.bias[-1] == 0
    assert not found.user[-1].any()
    assert found.count[-1] == 0


def test_the_order_of_rows_changes_nothing():
    ratings = made_up()
    order = np.random.default_rng(3).permutation(len(ratings.value))
    again = sorted_ratings(ratings.user[order], ratings.item[order], ratings.value[order], ratings.users, ratings.items)
    first, second = fit_factors(ratings, size=3), fit_factors(again, size=3)
    np.testing.assert_array_equal(first.factor, second.factor)
    np.testing.assert_array_equal(first.bias, second.bias)
