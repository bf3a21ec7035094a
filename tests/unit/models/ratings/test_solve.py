"""The closed-form user, against another way to compute it."""

import numpy as np
import torch

from recpipe.models.ratings.solve import ridge


def tasks(seed: int, lengths: tuple[int, ...], wide: int = 6, d: int = 4, queries: int = 3):
    random = np.random.default_rng(seed)
    x, rest = random.normal(size=(len(lengths), wide, d)), random.normal(size=(len(lengths), wide))
    weight = random.uniform(0.5, 2, size=(len(lengths), wide))
    for row, length in enumerate(lengths):
        x[row, length:], rest[row, length:], weight[row, length:] = 0, 0, 0
    return x, rest, weight, random.normal(size=(len(lengths), queries, d))


def as_kernel(x, rest, weight, query):
    """The same regression in its dual form, one task, no padding: K (K + N)^-1 y."""
    among = x @ x.T + np.diag(1 / weight)
    across = query @ x.T
    solved = np.linalg.solve(among, across.T).T
    return solved @ rest, (query**2).sum(1) - (solved * across).sum(1)


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def test_the_solve_is_kernel_ridge_regression_of_each_task():
    lengths = (6, 3, 1)
    x, rest, weight, query = tasks(0, lengths)
    fit = ridge(*tensors(x, rest, weight, query))
    for row, n in enumerate(lengths):
        mean, variance = as_kernel(x[row, :n], rest[row, :n], weight[row, :n], query[row])
        np.testing.assert_allclose(fit.mean[row], mean, atol=1e-12)
        np.testing.assert_allclose(fit.variance[row], variance, atol=1e-12)


def test_an_empty_support_answers_what_was_expected_with_the_whole_prior_variance():
    x, rest, weight, query = tasks(1, (0,))
    fit = ridge(*tensors(x, rest, weight, query))
    np.testing.assert_array_equal(fit.mean, np.zeros((1, 3)))
    np.testing.assert_allclose(fit.variance, (query**2).sum(2))


def test_left_out_residuals_are_those_of_fits_without_each_rating():
    x, rest, weight, query = tasks(2, (5,))
    fit = ridge(*tensors(x, rest, weight, query))
    for out in range(5):
        kept = np.arange(5) != out
        mean, _ = as_kernel(x[0, :5][kept], rest[0, :5][kept], weight[0, :5][kept], x[0, out : out + 1])
        np.testing.assert_allclose(fit.left_out[0, out], rest[0, out] - mean[0], atol=1e-10)
    assert fit.left_out[0, 5] == 0


def test_gradients_through_the_solve_are_those_of_finite_differences():
    x, rest, weight, query = (tensor.requires_grad_(True) for tensor in tensors(*tasks(3, (4, 4), wide=4)))

    def both(*inputs):
        fit = ridge(*inputs)
        return fit.mean, fit.variance, fit.left_out

    assert torch.autograd.gradcheck(both, (x, rest, weight, query), eps=1e-6, atol=1e-7)
