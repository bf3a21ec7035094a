"""Popularity and item kNN against tables computed by hand."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from recpipe.learn import score
from recpipe.learn.closed_forms import ItemKNN, Popularity, support_weights
from recpipe.learn.data import Evidence, History
from recpipe.learn.sales import faded_counts, interactions, log_popularity, season_counts, similar_items

UNTIL = np.datetime64("2011-08-22", "us")


@pytest.fixture
def shop(evidence):
    """Builds a shop of 4 items from (user, item, days ago, weight)."""

    def build(*rows, users=3, items=4):
        rows = sorted(rows, key=lambda row: (row[0], -row[2]))
        catalogue = evidence.catalogue
        columns = ("item_ids", "texts", "vectors", "first_day", "available", "price", "categories")
        small = dataclasses.replace(catalogue, **{name: getattr(catalogue, name)[:items] for name in columns})
        ts = np.array([UNTIL - np.timedelta64(round(row[2] * 86_400), "s") for row in rows], "datetime64[us]")
        user, item = (np.array([row[n] for row in rows], np.int32) for n in (0, 1))
        history = History(
            np.array([f"u{n}" for n in range(users)], object), user, item, ts, np.array([row[3] for row in rows], np.float32)
        )
        return Evidence(small, history, item, ts, UNTIL)

    return build


def test_popularity_halves_with_every_half_life(shop):
    day = shop((0, 0, 0, 1), (0, 0, 10, 1), (1, 1, 20, 1), (2, 2, 5, 1), (2, 2, 5, 1))
    np.testing.assert_allclose(faded_counts(day, 10.0), [1 + 0.5, 0.25, 2 * 0.5**0.5, 0])
    np.testing.assert_allclose(log_popularity(day, 10.0), np.log1p([1.5, 0.25, 2**0.5, 0]) / np.log1p(1.5), rtol=1e-6)
    space = Popularity(10.0).items(day)
    assert np.argsort(-space.bias).tolist() == [0, 2, 1, 3]


def test_the_season_is_the_three_weeks_after_this_day_a_year_ago(shop):
    day = shop((0, 0, 364, 1), (0, 1, 364.1, 1), (0, 2, 343.1, 1), (0, 3, 343, 1), (1, 0, 350, 1))
    assert season_counts(day).tolist() == [2, 0, 1, 0]


def test_a_pair_that_met_often_counts_once_with_its_greatest_weight(shop):
    day = shop((0, 1, 3, 0.2), (0, 1, 2, 1.0), (0, 1, 1, 0.5), (2, 3, 1, 0.2))
    assert interactions(day.history, 4).toarray().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, np.float32(0.2)]]


TABLE = sp.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 0]], np.float32))  # users × items


def test_similarity_is_the_damped_cosine():
    # c01 = 2, c02 = 2, c12 = 1; n = 3, 2, 2, 0
    wanted = np.zeros((4, 4))
    wanted[0, 1] = wanted[1, 0] = 2 / (6**0.5 + 5)
    wanted[0, 2] = wanted[2, 0] = 2 / (6**0.5 + 5)
    wanted[1, 2] = wanted[2, 1] = 1 / (2 + 5)
    found = similar_items(TABLE, neighbours=4, shrinkage=5.0)
    np.testing.assert_allclose(found.toarray(), wanted, rtol=1e-6)


def test_users_of_many_items_say_less_about_each_pair():
    # users have 2, 3, 2 items: c01 = 1/2 + 1/3, c02 = 1/3 + 1/2, c12 = 1/3; n = 4/3, 5/6, 5/6
    wanted = np.zeros((4, 4))
    wanted[0, 1] = wanted[1, 0] = wanted[0, 2] = wanted[2, 0] = (5 / 6) / ((4 / 3 * 5 / 6) ** 0.5 + 1)
    wanted[1, 2] = wanted[2, 1] = (1 / 3) / (5 / 6 + 1)
    found = similar_items(TABLE, neighbours=4, shrinkage=1.0, user_power=1.0)
    np.testing.assert_allclose(found.toarray(), wanted, rtol=1e-6)


def test_the_candidate_power_divides_by_the_candidates_count():
    found = similar_items(TABLE, neighbours=4, shrinkage=0.0, candidate_power=1.0)
    np.testing.assert_allclose(found.toarray()[0], [0, 2 / 3, 2 / 3, 0], rtol=1e-6)  # what 1 and 2 say for 0
    np.testing.assert_allclose(found.toarray()[:, 0], [0, 2 / 2, 2 / 2, 0], rtol=1e-6)  # what 0 says for the others


def test_only_the_best_neighbours_stay():
    found = similar_items(TABLE, neighbours=1, shrinkage=5.0)
    assert np.diff(found.indptr).tolist() == [1, 1, 1, 0]
    assert found.toarray()[1, 0] > 0


def test_blocks_of_rows_change_nothing(monkeypatch, evidence):
    from recpipe.learn import sales

    matrix = interactions(evidence.history, 70)
    whole = similar_items(matrix, neighbours=7, shrinkage=2.0)
    monkeypatch.setattr(sales, "CELLS_A_BLOCK", 70 * 9)
    parts = similar_items(matrix, neighbours=7, shrinkage=2.0)
    assert (whole != parts).nnz == 0


def test_item_knn_scores_by_hand(shop, make_support):
    day = shop((0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1), (1, 2, 1, 1), (2, 0, 1, 1), (2, 2, 1, 1))
    learner = ItemKNN(4, shrinkage=5.0, user_power=0.0, candidate_power=0.5, popularity_weight=0.1, half_life_days=1.0)
    space = learner.items(day)
    found = score(space, learner.adapt(space, make_support([(1, 1, 3.0), (2, 1, 1.0)])))[0]
    s01, s12 = 2 / (6**0.5 + 5), 1 / 7
    popular = 0.1 * np.log1p([1.5, 1, 1, 0]) / np.log1p(1.5)
    np.testing.assert_allclose(found, np.array([s01, 0.25 * s12, 0.75 * s12, 0]) + popular, rtol=1e-6)


def test_support_weights_sum_to_one_or_are_empty(make_support):
    found = support_weights(make_support([(2, 1, 3.0), (0, 1, 1.0)], [], [(1, 0, 5.0)], [(3, 1, 0.0)]), 4)
    assert found.toarray().tolist() == [[0.25, 0, 0.75, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
