"""Gaussian processes over the catalogue, against brute force."""

import numpy as np

from recpipe.models.ratings.content_features import blocks_of
from recpipe.models.ratings.content_kernel import Kernel, covariance, fit_kernel, guess, taste_axes

GENRES = ["a|b", "a", "b|c", "c", "a|c", "b", "a|b", "c"]
BLOCKS = blocks_of({"genre": GENRES})
KERNEL = Kernel(np.array([0.8]), 0.1, 0.2, 1.5)
COUNT = np.array([3, 10, 1, 5, 2, 0, 7, 0])
RATED = np.flatnonzero(COUNT)
VALUE = np.random.default_rng(0).normal(size=(8, 2)) * (COUNT > 0)[:, None]


def brute(given, asked, own_of_asked):
    """Posterior of items from noisy values of others; an item's own part is shared with its own rating only."""
    among = covariance(BLOCKS, KERNEL, given, given) + np.diag(KERNEL.own + KERNEL.noise / COUNT[given])
    across = covariance(BLOCKS, KERNEL, asked, given) + KERNEL.own * own_of_asked * (asked[:, None] == given)
    prior = np.diag(covariance(BLOCKS, KERNEL, asked, asked)) + KERNEL.own
    return across @ np.linalg.solve(among, VALUE[given]), prior - np.diag(across @ np.linalg.solve(among, across.T))


def test_an_item_without_its_own_ratings_is_what_the_others_make_of_it():
    found = guess(BLOCKS, KERNEL, RATED, VALUE, COUNT)
    for item in range(8):
        mean, variance = brute(RATED[item != RATED], np.array([item]), 1)
        np.testing.assert_allclose(found.fresh_mean[item], mean[0], atol=1e-5)
        np.testing.assert_allclose(found.fresh_variance[item], variance[0], atol=1e-5)


def test_an_item_with_ratings_is_the_posterior_that_uses_them_all():
    found = guess(BLOCKS, KERNEL, RATED, VALUE, COUNT)
    mean, variance = brute(RATED, RATED, 1)
    np.testing.assert_allclose(found.known_mean[RATED], mean, atol=1e-5)
    np.testing.assert_allclose(found.known_variance[RATED], variance, atol=1e-5)


def test_an_item_that_was_not_taught_still_uses_its_own_ratings():
    taught = RATED[:-1]
    found = guess(BLOCKS, KERNEL, taught, VALUE, COUNT)
    last = RATED[-1]
    mean, _ = brute(RATED, np.array([last]), 1)
    np.testing.assert_allclose(found.known_mean[last], mean[0], atol=1e-5)


def test_the_kernel_learns_that_a_column_matters():
    random = np.random.default_rng(1)
    genre = random.integers(0, 4, 200)
    value = np.array([-1.0, 0, 1, 2])[genre] + random.normal(0, 0.1, 200)
    blocks = blocks_of({"genre": [f"g{g}" for g in genre], "other": [f"o{o}" for o in random.integers(0, 4, 200)]})
    found = fit_kernel(blocks, np.arange(200), value[:, None], np.full(200, 50))
    assert found.weights[0] > 10 * found.weights[1]
    fresh = guess(blocks, found, np.arange(200), value[:, None], np.full(200, 50)).fresh_mean[:, 0]
    assert np.mean((fresh - value) ** 2) < 0.05 * value.var()


def test_without_columns_a_new_item_is_like_the_mean_of_the_others():
    value, count = np.array([[1.0], [1.2], [0.8], [0.0]]), np.array([9, 9, 9, 0])
    found = guess([], Kernel(np.zeros(0), 10.0, 0.01, 0.1), np.arange(3), value, count)
    np.testing.assert_allclose(found.fresh_mean[3], 1.0, atol=0.01)
    assert taste_axes([], Kernel(np.zeros(0), 0.1, 0.2, 1.5), np.arange(3), 4, 5).shape == (4, 0)


def test_the_axes_of_the_catalogue_hold_its_kernel():
    axes = taste_axes(BLOCKS, KERNEL, np.arange(8), 8, 8)
    bare = covariance(BLOCKS, Kernel(KERNEL.weights, 0.0, 0, 0), np.arange(8), np.arange(8))
    np.testing.assert_allclose(axes @ axes.T, bare / bare.diagonal().mean(), atol=1e-8)
