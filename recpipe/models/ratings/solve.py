"""A user in closed form: ridge regression of a task's ratings on item features, batched, with gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fit:
    """What the solve says of a batch of tasks.

    Attributes
    ----------
    mean, variance
        (tasks, queries) of a query's expected rating, without the noise of a rating.
    left_out
        (tasks, support) each support rating minus what the others would have said, 0 where padded.
    """

    mean: Tensor
    variance: Tensor
    left_out: Tensor


def ridge(x: Tensor, rest: Tensor, weight: Tensor, query: Tensor) -> Fit:
    """Fit w ~ N(0, I) to rest = x · w + noise of variance 1 / weight, and answer the queries.

    Bayesian linear regression (Bishop 2006, section 3.3); the leave-one-out residuals are those of the hat matrix.
    R2-D2 (Bertinetto et al. 2019, section 3) learns features through the same solve.

    Parameters
    ----------
    x
        (tasks, support, d) features, zeros where padded.
    rest
        (tasks, support) ratings minus their prior mean.
    weight
        (tasks, support) 1 / noise variance, 0 where padded.
    query
        (tasks, queries, d).
    """
    heavy = x * weight[..., None]
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    lower = torch.linalg.cholesky(heavy.mT @ x + eye)
    user = torch.cholesky_solve(heavy.mT @ rest[..., None], lower)
    spread = torch.linalg.solve_triangular(lower, query.mT, upper=False)
    hat = (torch.linalg.solve_triangular(lower, x.mT, upper=False) ** 2).sum(-2) * weight
    residual = torch.where(weight > 0, rest - (x @ user)[..., 0], 0.0)
    return Fit((query @ user)[..., 0], (spread**2).sum(-2), residual / (1 - hat).clamp(min=1e-6))
