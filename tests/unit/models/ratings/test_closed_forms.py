"""Closed forms of ratings, by hand and against loops."""

import numpy as np
import pytest

from recpipe.models.ratings.bias_baselines import (
    BASELINES,
    CANDIDATES,
    biases,
    damped_bias,
    item_kernel,
    support_mean,
    user_mean,
)
from recpipe.models.ratings.ratings import Task, sorted_ratings

LIKES = sorted_ratings(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), np.array([1.0, 0, 1, 0]), 3, 4)
"""Half of the ratings are likes."""


def made_up(seed: int = 0, users: int = 30, items: int = 12):
    random = np.random.default_rng(seed)
    user, item = np.nonzero(random.random((users, items)) < 0.6)
    return sorted_ratings(user, item, random.integers(1, 6, len(user)).astype(float), users, items)


def test_the_share_of_likes_by_hand():
    task = Task(2, np.array([0, 1, 2]), np.array([1.0, 1, 0]), np.array([3, 0]))
    np.testing.assert_allclose(user_mean(LIKES, damping=1)([task])[0], [0.5 + 0.5 / 4] * 2)
    np.testing.assert_allclose(user_mean(LIKES, damping=0.0)([task])[0], [2 / 3] * 2)


def test_the_share_in_the_support_leans_on_the_user_and_the_user_on_all():
    own = np.array([False, False, True])
    task = Task(2, np.array([0, 1, 2]), np.array([1.0, 1, 0]), np.array([3]), own)
    usual = 0.5 + 0.5 / 4
    np.testing.assert_allclose(support_mean(LIKES, damping=1)([task])[0], [usual + (0 - usual) / 2])
    np.testing.assert_array_equal(task.given(), [0])


def test_damped_biases_by_hand():
    """One round: an item's sum of what is left by its count and the damping; then the user's of what the item leaves."""
    centre, item = biases(LIKES, damping=1, rounds=1)
    assert centre == 0.5
    np.testing.assert_allclose(item, [1 / 3, -1 / 4, -1 / 4, 0])
    task = Task(2, np.array([0]), np.array([1.0]), np.array([1, 3]))
    _, many = biases(LIKES, damping=1)
    level = (1 - 0.5 - many[0]) / 2
    np.testing.assert_allclose(damped_bias(LIKES, damping=1)([task])[0], 0.5 + level + many[[1, 3]])


def test_damped_biases_settle_where_each_is_the_damped_mean_of_what_the_other_leaves():
    ratings = made_up()
    centre, item = biases(ratings, damping=3, rounds=200)
    count = np.bincount(ratings.user, minlength=ratings.users)
    user = np.bincount(ratings.user, ratings.value - centre - item[ratings.item], ratings.users) / (count + 3)
    for one in range(ratings.items):
        rows = ratings.item == one
        left = ratings.value[rows] - centre - user[ratings.user[rows]]
        assert item[one] == pytest.approx(left.sum() / (rows.sum() + 3), abs=1e-9)


def test_the_item_kernel_is_a_ridge_on_cosines_of_what_biases_leave():
    ratings = made_up()
    centre, item = biases(ratings)
    table = np.zeros((ratings.users, ratings.items))
    for user, one, value in zip(ratings.user, ratings.item, ratings.value, strict=True):
        table[user, one] = value - centre - item[one]
    seen = np.zeros_like(table)
    seen[ratings.user, ratings.item] = 1
    table -= seen * (table.sum(1) / (seen.sum(1) + 5))[:, None]
    length = np.sqrt((table**2).sum(0) + 30)
    cosine = table.T @ table / np.outer(length, length)
    task = Task(0, np.array([1, 4, 7]), np.array([5.0, 2, 3]), np.array([0, 2]))
    left = task.value - centre - item[task.item]
    level = left.sum() / 8
    pull = np.linalg.inv(cosine[np.ix_(task.item, task.item)] + 0.5 * np.eye(3)) @ (left - level)
    wanted = centre + item[task.query] + level + cosine[np.ix_(task.query, task.item)] @ pull
    np.testing.assert_allclose(item_kernel(ratings)([task])[0], wanted)


def test_more_items_than_a_table_holds_are_answered_alike():
    ratings = made_up()
    wide = sorted_ratings(ratings.user, ratings.item, ratings.value, ratings.users, 5000)
    task = Task(0, np.array([1, 4, 7]), np.array([5.0, 2, 3]), np.array([0, 2]))
    np.testing.assert_allclose(item_kernel(wide)([task])[0], item_kernel(ratings)([task])[0])


@pytest.mark.parametrize("form", [*BASELINES.values(), *CANDIDATES.values()])
def test_without_a_support_a_new_item_is_answered_on_the_scale(form):
    nothing = np.zeros(0)
    (found,) = form(LIKES)([Task(2, nothing.astype(np.int64), nothing, np.array([3]))])
    assert 0 <= found[0] <= 1
