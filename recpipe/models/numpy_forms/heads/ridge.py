r"""A ridge regression a user, solved in closed form, with features and strengths that were learned through the solve.

After Bertinetto et al. (2019), section 3.2 (R2D2), for sets without negatives: the support should score 1, and the
catalogue 0, as in implicit feedback (Hu et al. 2008):

.. math:: u = \arg\min Σ_j c w_j (1 - z_j u)^2 + u^T M u, \quad M = ρ \overline{z^T z} + λ I

Items are placed at :math:`z L^{-T}` with :math:`M = L L^T`, where M is the identity; then (Woodbury)
:math:`u = Z^T (D^{-1} + Z Z^T)^{-1} 1` needs a solve of as many dimensions as the support has items.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.numpy_forms import body
from recpipe.models.numpy_forms.body import Numbers
from recpipe.models.numpy_forms.heads.head import Head, weighted_mean

SIZES = (4, 8, 12, 16, 32, 64, 128, 256, 1024, 1 << 20)
"""Supports are filled up to the next of these sizes: the system a user has depends on his own support alone."""


def whiten(numbers: Numbers, z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (items, d) z L^{-T}."""
    places = z.astype(np.float64)
    catalogue, ridge = np.exp(numbers["strengths"][:2].astype(np.float64))
    moment = catalogue * (places.T @ places) / len(places) + ridge * np.eye(z.shape[1])
    return np.asarray(np.linalg.solve(np.linalg.cholesky(moment), places.T).T, dtype=np.float32)


def adapt(
    numbers: Numbers, settings: Mapping[str, Any], items: NDArray[np.float32], supports: Support
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solve each user's ridge regression; see `recpipe.models.numpy_forms.heads.head.Head`."""
    places = items.shape[1] - numbers["trend"].shape[1]
    size = np.log1p(supports.k)
    strength = np.repeat(np.exp(numbers["strengths"][2]) * supports.k, supports.k)  # weights sum to k: more is surer
    root = np.sqrt(strength * supports.weight).astype(np.float64)
    dual = np.zeros(len(supports.item), np.float32)
    widths = np.array(SIZES)[np.searchsorted(SIZES, supports.k)]
    for width in np.unique(widths[supports.k > 0]):
        users = np.flatnonzero((widths == width) & (supports.k > 0))
        inside = np.arange(width)[None, :] < supports.k[users, None]
        entry = np.where(inside, supports.indptr[users, None] + np.arange(width), 0)
        dual[entry[inside]] = _solve(items[:, :places], supports.item[entry], root[entry] * inside)[inside]
    full = np.zeros((len(supports), items.shape[1]), np.float32)
    full[:, :places] = body.scale_of(numbers["temperature"], size)[:, None] * weighted_mean(items[:, :places], supports, dual)
    return full, supports.weight


def _solve(z: NDArray[np.float32], item: NDArray[np.int32], root: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (users, width) D½ (I + D½ Z Zᵀ D½)⁻¹ D½ 1: what each item of the support weighs in the solution."""
    rows = z[item] * root[:, :, None].astype(np.float32)
    system = np.matmul(rows, rows.transpose(0, 2, 1)).astype(np.float64) + np.eye(item.shape[1])
    return np.asarray(root * np.linalg.solve(system, root[:, :, None])[:, :, 0], dtype=np.float32)


RIDGE = Head(body.SETTINGS, ("strengths",), adapt, whiten)
