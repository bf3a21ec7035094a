"""Popularity and item kNN against tables computed by hand."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.dataset.episodes import as_of
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.support import support_weights
from recpipe.evidence.knn import interactions, similar_items
from recpipe.evidence.trends import faded_counts, knows_season, log_popularity, season_counts, trusted_countries
from recpipe.models.base import score, score_users
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity

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


def test_the_season_is_the_six_weeks_after_this_day_a_year_ago(shop):
    day = shop((0, 0, 364, 1), (0, 1, 364.1, 1), (0, 2, 322.1, 1), (0, 3, 322, 1), (1, 0, 350, 1))
    assert season_counts(day).tolist() == [2, 0, 1, 0]
    assert season_counts(day, ahead_days=7).tolist() == [1, 0, 1, 1]


def test_the_season_is_known_where_the_evidence_reaches_back_a_year_before_the_list(shop):
    assert knows_season(shop((0, 0, 364, 1)))
    day = shop((0, 0, 357, 1))
    assert [knows_season(day, ahead) for ahead in (0.0, 6.9, 7.0)] == [False, False, True]
    assert not knows_season(shop())


def test_the_season_counts_beside_what_sells_now(shop, make_support):
    """Now: 2 of item 0 and 1 of item 1. The season: 2 of item 2 and 1 of item 3, all of it half of what sells now."""
    day = shop((0, 0, 0, 1), (1, 0, 0, 1), (0, 1, 0, 1), (0, 2, 364, 1), (1, 2, 340, 1), (0, 3, 330, 1))
    space = SeasonPopularity(half_life_days=1.0, season_weight=0.5).items(day)
    np.testing.assert_allclose(space.bias, np.log1p([2, 1, 1.0, 0.5]) / np.log(3), rtol=1e-6)


def test_a_list_some_weeks_ahead_gets_the_season_of_its_own_day(shop, make_support):
    """The log is 350 days long: only lists two weeks ahead or more have a season, and five weeks on item 2 is past it."""
    day = shop((0, 0, 0, 1), (0, 2, 350, 1), (1, 3, 322, 1))
    learner = SeasonPopularity(half_life_days=1.0, season_weight=1.0)
    space = learner.items(day)
    ahead = np.array([0, 10, 14, 35, 9999], np.float32)
    found = score_users(learner, space, dataclasses.replace(make_support([], [], [], [], []), ahead_days=ahead))
    now = [1, 0, 0, 0]
    wanted = [now, now, np.log1p([1, 0, 0.5, 0.5]) / np.log(2), np.log1p([1, 0, 0, 1]) / np.log(2), now]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_array_equal(found[0], Popularity(1.0).items(day).bias)


LIVES = ("France", "Malta", "Spain")


def living(day, *country):
    """The shop with the country of each user; −1 where it is unknown."""
    return dataclasses.replace(
        day, history=dataclasses.replace(day.history, country=np.array(country, np.int32), country_names=LIVES)
    )


def test_a_country_gets_what_several_of_its_own_customers_met(shop, make_support):
    """Malta: users 0 and 1 met item 1 (today, and 10 days ago); item 2 is of user 0 alone, three times. Spain has one customer."""
    bought = [(0, 1, 0, 1), (1, 1, 10, 1), *((0, 2, 0, 1) for _ in range(3)), (2, 3, 0, 1), (3, 0, 0, 1), (3, 0, 5, 1)]
    day = living(shop(*bought, users=4), 1, 1, 2, -1)
    assert trusted_countries(day.history, 2) == [1]
    learner = CountryPopularity(half_life_days=10.0, country_weight=2.0, least_customers=2)
    space = learner.items(day)
    support = dataclasses.replace(make_support([], [], [], []), country=np.array([1, 2, 0, -1], np.int32))
    found = score_users(learner, space, support)
    everywhere = np.log1p([1 + 0.5**0.5, 1.5, 3, 1]) / np.log(4)
    np.testing.assert_allclose(found[0], everywhere + np.array([0, 2 * np.log(2.5) / np.log(4), 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(found[1:], [everywhere] * 3, rtol=1e-6)


def test_who_met_nothing_before_an_instant_is_no_customer_then(shop):
    day = living(shop((0, 0, 9, 1), (1, 0, 1, 1), (2, 1, 9, 1)), 1, 1, 2)
    assert trusted_countries(day.history, 2) == [1]
    before = as_of(day, UNTIL - np.timedelta64(5, "D"), np.datetime64("2011-08-16"))
    assert before.history.country.tolist() == [1, 1, 2]
    assert trusted_countries(before.history, 2) == []
    assert trusted_countries(before.history, 1) == [1, 2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1, 2), min_size=90, max_size=90), st.integers(1, 40), st.sampled_from([0.1, 1.0, 50.0]))
def test_without_a_country_everybody_gets_what_is_popular_everywhere(evidence, make_support, country, least, weight):
    day = living(evidence, *country)
    learner = CountryPopularity(country_weight=weight, least_customers=least)
    space = learner.items(day)
    wanted = Popularity(learner.half_life_days).items(day).bias
    unasked = make_support([], [(3, 1, 1.0)])
    for support in (unasked, dataclasses.replace(unasked, country=np.full(2, -1, np.int32))):
        np.testing.assert_array_equal(score_users(learner, space, support), [wanted, wanted])
    unknown = living(evidence, *[-1] * 90)
    everybody = dataclasses.replace(unasked, country=np.array([0, 2], np.int32))
    np.testing.assert_array_equal(score_users(learner, learner.items(unknown), everybody), [wanted, wanted])


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
    from recpipe.evidence import knn

    matrix = interactions(evidence.history, 70)
    whole = similar_items(matrix, neighbours=7, shrinkage=2.0)
    monkeypatch.setattr(knn, "CELLS_A_BLOCK", 70 * 9)
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
