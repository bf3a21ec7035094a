"""The logarithmic pool and how far it departs from the closed forms."""

import numpy as np
import pytest
from scipy.special import logit

from recpipe.models.ratings.choice.opinion_pool import Rehearsed, best_of, choose_part, choose_pool, fit_weights, loss, pooled


def likes(part_odds: np.ndarray, level: np.ndarray, tasks: int) -> Rehearsed:
    """Parts by their log odds of a like, (parts, queries)."""
    like = 1 / (1 + np.exp(-part_odds))
    logs = np.log(np.stack([1 - like, like], axis=-1))
    return Rehearsed(logs, level, np.arange(len(level)) % tasks, np.array([0.0, 1.0]))


def rehearsal(noise: tuple[float, ...], n: int = 2000, seed: int = 0) -> Rehearsed:
    """Parts that see the true odds through noise of their own; infinite noise hides them."""
    random = np.random.default_rng(seed)
    odds = random.normal(0, 1.5, n)
    level = (random.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    parts = [random.normal(0, 1, n) if np.isinf(width) else odds + random.normal(0, width, n) for width in noise]
    return likes(np.stack(parts), level, 100)


def start(seen: Rehearsed, closed: int):
    anchor = best_of(seen, closed)
    return anchor, np.arange(len(seen.level)), pooled(seen.logs, anchor)


def test_a_pool_adds_up_log_odds_by_hand():
    chances = np.array([[[0.5, 0.5]], [[0.2, 0.8]]])
    np.testing.assert_allclose(pooled(np.log(chances), np.array([1.0, 2.0])), [[1 / 17, 16 / 17]])
    np.testing.assert_allclose(logit(pooled(np.log(chances), np.array([0.3, 0.5]))[0, 1]), 0.5 * np.log(4))


def test_of_closed_forms_the_best_is_the_anchor_and_equals_share_it():
    seen = rehearsal((4.0, 0.5, 2.0))
    np.testing.assert_array_equal(best_of(seen, 3), [0, 1, 0])
    np.testing.assert_array_equal(best_of(seen, 1), [1, 0, 0])
    twice = Rehearsed(seen.logs[[1, 1, 0]], seen.level, seen.task, seen.levels)
    np.testing.assert_array_equal(best_of(twice, 3), [0.5, 0.5, 0])


def test_the_weights_are_the_likeliest_within_the_pull():
    seen = rehearsal((1.0, 0.3), n=300)
    centre = np.array([1.0, 0.0])
    found = fit_weights(seen, centre)
    came = seen.logs[:, np.arange(300), seen.level]

    def lost(weights):
        total = np.tensordot(weights, seen.logs, 1)
        return np.log(np.exp(total).sum(1)).sum() - weights @ came.sum(1) + 5 * ((weights - centre) ** 2).sum()

    for step in ([0.01, 0], [-0.01, 0], [0, 0.01], [0, -0.01]):
        assert lost(found + step) > lost(found)


def test_a_clearly_better_learner_is_trusted_and_a_worse_one_is_not():
    better, worse = rehearsal((3.0, 0.2)), rehearsal((0.2, 6.0))
    good = choose_pool(better, *start(better, 1))
    assert good.trust > 0.9
    assert good.gain > 3 * good.error
    assert loss(pooled(better.logs, good.weights)[:, 1], better) < loss(np.exp(better.logs[0, :, 1]), better)
    bad = choose_pool(worse, *start(worse, 1))
    kept = pooled(worse.logs, bad.weights)[:, 1]
    assert loss(kept, worse) <= loss(np.exp(worse.logs[0, :, 1]), worse) + 0.002


def test_a_part_is_chosen_alone_where_it_is_clearly_better_and_else_not_at_all():
    better, worse = rehearsal((3.0, 0.2, 1.0)), rehearsal((0.2, 3.0, 6.0))
    anchor = np.array([1.0, 0, 0])
    found = choose_part(better, anchor, 1)
    assert found.trust > 0.95
    np.testing.assert_allclose(found.weights, [1 - found.trust, found.trust, 0])
    np.testing.assert_array_equal(choose_part(worse, anchor, 1).weights, anchor)


def test_a_learner_of_pure_noise_leaves_the_order_of_the_closed_form():
    """In twenty worlds the pool is on average no worse than its anchor on queries that it never saw."""
    lost = []
    for seed in range(20):
        seen = rehearsal((1.0, np.inf), n=400, seed=seed)
        choice = choose_pool(seen, *start(seen, 1))
        other = rehearsal((1.0, np.inf), n=4000, seed=1000 + seed)
        lost.append(loss(pooled(other.logs, choice.weights)[:, 1], other) - loss(np.exp(other.logs[0, :, 1]), other))
    assert np.mean(lost) < 0.002


def test_the_loss_of_stars_is_the_mean_distance_and_of_likes_the_area():
    seen = Rehearsed(np.zeros((1, 2, 3)), np.array([0, 2]), np.array([0, 1]), np.array([1.0, 2, 3]))
    assert loss(np.array([2.0, 2.5]), seen) == pytest.approx(0.75)
    assert loss(np.array([2.0, 2.5]), seen, np.array([2, 1])) == pytest.approx(2.5 / 3)
    two = likes(np.zeros((1, 3)), np.array([0, 1, 1]), 3)
    assert loss(np.array([0.2, 0.3, 0.1]), two) == pytest.approx(0.5)
    assert loss(np.zeros(3), Rehearsed(two.logs, np.ones(3, np.int64), two.task, two.levels)) == 0.5
