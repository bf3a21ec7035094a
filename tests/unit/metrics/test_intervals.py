"""The intervals: their arithmetic, their coverage, and when there is none."""

import numpy as np
import pytest

from recpipe.metrics.intervals import MOST_VALUES, Gain, Interval, mean_interval, paired_gain, seed_of


def rng(*names):
    return seed_of(7, *names)


def test_the_same_seed_gives_the_same_interval():
    values = np.linspace(0, 1, 50)
    assert mean_interval(values, 500, rng("a"), 20) == mean_interval(values, 500, rng("a"), 20)
    assert mean_interval(values, 500, rng("a"), 20) != mean_interval(values, 500, rng("b"), 20)


def test_too_few_users_have_no_value():
    assert mean_interval(np.ones(19), 100, rng(), 20) == Interval(None, None, None, 19)
    assert mean_interval(np.r_[np.ones(19), np.nan, np.nan], 100, rng(), 20) == Interval(None, None, None, 19)
    assert mean_interval(np.empty(0), 100, rng(), 0) == Interval(None, None, None, 0)
    assert paired_gain(np.ones(3), np.ones(3), 100, rng(), 20) == Gain(1.0, 1.0, None, None, None, 3)


def test_one_value_has_no_width():
    assert mean_interval(np.full(30, 0.25), 100, rng(), 20) == Interval(0.25, 0.25, 0.25, 30)


def test_the_interval_of_a_share_is_the_binomial_one():
    values = np.r_[np.ones(300), np.zeros(700)]
    got = mean_interval(values, 20_000, rng(), 20)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert (got.value, got.low, got.high) == (0.3, pytest.approx(0.3 - half, abs=2e-3), pytest.approx(0.3 + half, abs=2e-3))


def test_95_of_100_intervals_hold_the_truth():
    source = np.random.default_rng(3)
    held = 0
    for trial in range(300):
        got = mean_interval(source.random(60), 400, rng(trial), 20)
        held += got.low <= 0.5 <= got.high
    assert 0.90 <= held / 300 <= 0.98


def test_merging_neighbours_hardly_moves_the_interval():
    values = np.random.default_rng(1).exponential(size=4 * MOST_VALUES)
    got = mean_interval(values, 2000, rng(), 20)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert got.value == pytest.approx(values.mean())
    assert (got.high - got.low) / 2 == pytest.approx(half, rel=0.06)


def test_a_paired_gain_that_all_users_share_has_no_width():
    champion = np.random.default_rng(5).random(40)
    got = paired_gain(1.2 * champion, champion, 300, rng(), 20)
    assert (got.relative, got.low, got.high) == pytest.approx((0.2, 0.2, 0.2))


def test_a_paired_gain_by_hand():
    # two kinds of users, 50 each: (0.5, 0.5) and (0.6, 0.4): means 0.55 and 0.45
    candidate, champion = np.repeat([0.5, 0.6], 50), np.repeat([0.5, 0.4], 50)
    got = paired_gain(candidate, champion, 20_000, rng(), 20)
    assert (got.candidate, got.champion, got.relative) == pytest.approx((0.55, 0.45, 0.55 / 0.45 - 1))
    # with s the share of the second kind, the gain is 0.2 s / (0.5 - 0.1 s); s is 0.5 +- 1.96 * 0.05
    assert got.low == pytest.approx(0.2 * 0.402 / (0.5 - 0.0402), abs=0.01)
    assert got.high == pytest.approx(0.2 * 0.598 / (0.5 - 0.0598), abs=0.01)


def test_pairing_is_tighter_than_two_intervals():
    easy = np.random.default_rng(2).random(200)
    got = paired_gain(easy * 1.02, easy, 1000, rng(), 20)
    alone = mean_interval(easy, 1000, rng(), 20)
    assert got.high - got.low < 0.1 * (alone.high - alone.low) / alone.value


def test_a_champion_without_a_hit_has_no_relative_gain():
    assert paired_gain(np.ones(30), np.zeros(30), 100, rng(), 20) == Gain(1.0, 0.0, None, None, None, 30)


def test_a_champion_with_hardly_a_hit_has_no_upper_end():
    champion = np.zeros(30)
    champion[0] = 1.0
    got = paired_gain(np.ones(30), champion, 2000, rng(), 20)
    assert got.high is None
    assert got.low > 0
