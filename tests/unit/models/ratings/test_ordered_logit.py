"""The ordered logit, against finite differences and against what it was drawn from."""

import numpy as np
from scipy.optimize import check_grad

from recpipe.models.ratings.choice.ordered_logit import OrderedLogit, _loss, fit_ordered_logit


def drawn(n: int = 4000, seed: int = 0):
    random = np.random.default_rng(seed)
    number = random.normal(2, 3, n)
    latent = 1.5 * (number - 2) / 3 + random.logistic(size=n)
    return number, np.searchsorted([-1.0, 0.5, 2.0], latent)


def test_chances_by_hand():
    found = OrderedLogit(0.0, 1.0, 1.0, np.array([-np.log(3), np.log(3)])).chances(np.array([0.0, np.log(3)]))
    np.testing.assert_allclose(found, [[0.25, 0.5, 0.25], [0.1, 0.4, 0.5]])


def test_the_gradient_is_that_of_finite_differences():
    number, level = drawn(200)
    x = (number - number.mean()) / number.std()
    for at in ([0.3, -1.0, 0.2, 0.1], [-1.0, 0.5, -0.7, 0.9]):
        point = np.array(at)
        error = check_grad(lambda p: _loss(p, x, level)[0], lambda p: _loss(p, x, level)[1], point)
        assert error < 1e-3 * np.linalg.norm(_loss(point, x, level)[1])


def test_what_was_drawn_is_found():
    number, level = drawn()
    found = fit_ordered_logit(number, level, 4)
    np.testing.assert_allclose(found.slope * 3 / found.width, 1.5, atol=0.15)
    share = found.chances(number).mean(0)
    np.testing.assert_allclose(share, np.bincount(level, minlength=4) / len(level), atol=0.02)


def test_the_order_of_numbers_is_kept_even_where_they_say_nothing():
    random = np.random.default_rng(1)
    number, level = random.normal(size=300), random.integers(0, 2, 300)
    likes = fit_ordered_logit(number, level, 2).chances(np.sort(number))[:, 1]
    assert (np.diff(likes) > 0).all()


def test_one_number_for_all_and_a_level_that_never_came():
    found = fit_ordered_logit(np.ones(50), np.repeat([0, 2], 25), 3)
    chances = found.chances(np.ones(1))[0]
    assert chances.sum() == np.float64(1) or abs(chances.sum() - 1) < 1e-9
    assert chances[1] < 0.1
