"""Levels of a scale, their chances and the answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.models.ratings.levels import OWN, PERSON, Seen, answer, gaussian_logits, train_levels
from recpipe.models.ratings.ratings import levels_of, nearest_level

STARS = np.arange(1, 6.0)


def test_the_levels_are_the_values_that_occur():
    np.testing.assert_array_equal(levels_of(np.array([3.0, 1, 5, 3])), [1, 3, 5])
    assert len(levels_of(np.random.default_rng(0).random(1000))) == 16


def test_the_nearest_level():
    np.testing.assert_array_equal(nearest_level(np.array([0.0, 1.4, 1.6, 1.5, 9]), np.array([1.0, 2, 4])), [0, 0, 1, 0, 2])


def test_chances_of_a_gaussian_by_hand():
    chances = np.exp(gaussian_logits(np.array([0.0]), np.array([1.0]), np.array([-1.0, 0, 1])))
    np.testing.assert_allclose(chances, [[0.308538, 0.382925, 0.308538]], atol=1e-6)


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5).filter(any))
@settings(max_examples=200, deadline=None)
def test_no_level_has_a_smaller_expected_error_than_the_answer(weights):
    chances = np.array([weights]) / sum(weights)
    found = answer(chances, STARS, tilt=0)[0]
    error = np.abs(STARS[:, None] - STARS) @ chances[0]
    assert error[int(found) - 1] <= error.min() + 1e-9


def test_equal_medians_rank_by_their_means_and_stay_close():
    found = answer(np.array([[0.1, 0.2, 0.3, 0.2, 0.2], [0.2, 0.2, 0.3, 0.2, 0.1]]), STARS)
    assert found[0] > found[1]
    np.testing.assert_allclose(found, 3, atol=0.05)


def test_a_like_is_a_chance():
    np.testing.assert_allclose(answer(np.array([[0.3, 0.7]]), np.array([0.0, 1.0])), [0.7])


def seen_of(n: int, seed: int = 0) -> tuple[Seen, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(n, OWN + PERSON + 5))
    return Seen(inputs, inputs[:, 0], np.ones(n)), random.integers(0, 5, n)


def test_without_anything_to_learn_from_the_levels_stay_gaussian():
    seen, truth = seen_of(4)
    inner = (STARS - 3) / 1.2
    found = train_levels(Seen(seen.inputs[:0], seen.mean[:0], seen.deviation[:0]), truth[:0], inner)
    np.testing.assert_allclose(found.chances(seen), found.uncorrected(seen))


def test_the_correction_learns_a_habit_that_a_gaussian_cannot_say():
    seen, _ = seen_of(4000)
    truth = np.where(seen.inputs[:, 5] > 0, 4, 0)
    found = train_levels(seen, truth, (STARS - 3) / 1.2, epochs=100)
    assert found.chances(seen)[np.arange(4000), truth].mean() > 0.8
    assert found.uncorrected(seen)[np.arange(4000), truth].mean() < 0.4


def test_the_same_seed_learns_the_same_bytes():
    seen, truth = seen_of(500)
    first, second = (train_levels(seen, truth, (STARS - 3) / 1.2, seed=7).chances(seen) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_chances_sum_to_one():
    seen, truth = seen_of(300)
    assert train_levels(seen, truth, STARS - 3).chances(seen).sum(1) == pytest.approx(np.ones(300))
