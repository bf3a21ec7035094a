"""Intervals over persons, worked out by hand: two persons, drawn with replacement, make three cases."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.metrics.cluster_intervals import clustered_gain, clustered_interval
from recpipe.metrics.intervals import mean_interval, seed_of

DRAWS = 4000


def rng():
    return seed_of(1, "test")


def test_a_person_is_drawn_with_all_lists():
    # A has 1, 1 and 0, B has 0. Drawn A A: 4 / 6; A B: 2 / 4; B B: 0 / 2, with chances 1/4, 1/2, 1/4
    found = clustered_interval(np.array([1.0, 0.0, 1.0, 0.0]), np.array([7, 3, 7, 7]), DRAWS, rng(), 2)
    assert (found.value, found.users) == (0.5, 2)
    assert (found.low, found.high) == pytest.approx((0.0, 2 / 3))


def test_parts_count_alike_however_many_lists_each_has():
    # part 1: A 1, B 0; part 2: A 0. A A: (1 + 0) / 2; A B: (1/2 + 0) / 2; B B: part 1 alone, 0
    values, person, part = np.array([1.0, 0.0, 0.0]), np.array([0, 1, 0]), np.array([1, 1, 3])
    found = clustered_interval(values, person, DRAWS, rng(), 2, part)
    assert found.value == 0.25
    assert (found.low, found.high) == pytest.approx((0.0, 0.5))


def test_a_gain_draws_the_same_persons_for_both():
    # A A: 1 over 1/2; A B: 1 over 2/3; B B: 1 over 1
    mine, theirs = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.5, 1.0])
    found = clustered_gain(mine, theirs, np.array([0, 0, 1]), DRAWS, rng(), 2)
    assert (found.candidate, found.champion, found.users) == (1.0, pytest.approx(2 / 3), 2)
    assert (found.relative, found.low, found.high) == pytest.approx((0.5, 0.0, 1.0))


def test_a_champion_that_may_hit_nothing_leaves_the_gain_without_an_upper_end():
    found = clustered_gain(np.array([1.0, 1.0]), np.array([1.0, 0.0]), np.array([0, 1]), DRAWS, rng(), 2)
    assert (found.relative, found.low, found.high) == (1.0, 0.0, None)
    nothing = clustered_gain(np.array([1.0, 1.0]), np.zeros(2), np.array([0, 1]), DRAWS, rng(), 2)
    assert (nothing.relative, nothing.low, nothing.high) == (None, None, None)


def test_persons_are_counted_not_lists():
    few = clustered_interval(np.ones(50), np.repeat([0, 1], 25), DRAWS, rng(), 3)
    assert (few.value, few.low, few.high, few.users) == (None, None, None, 2)
    assert clustered_interval(np.zeros(0), np.zeros(0, int), DRAWS, rng(), 1).users == 0
    assert clustered_gain(np.zeros(0), np.zeros(0), np.zeros(0, int), DRAWS, rng(), 1).relative is None


def test_ten_equal_lists_of_a_person_say_no_more_than_one():
    values = np.random.default_rng(0).random(200)
    alone = mean_interval(values, DRAWS, rng(), 1)
    again = clustered_interval(np.repeat(values, 10), np.repeat(np.arange(200), 10), DRAWS, rng(), 1)
    as_if_many = mean_interval(np.repeat(values, 10), DRAWS, rng(), 1)
    assert again.value == pytest.approx(alone.value)
    assert again.high - again.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert as_if_many.high - as_if_many.low < (alone.high - alone.low) / 2
