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

from recpipe.models.arrays import Array, Arrays, Entries
from recpipe.models.heads.headed import Headed
from recpipe.models.representation import Numbers, scale_of

SIZES = (4, 8, 12, 16, 32, 64, 128, 256, 1024, 1 << 20)
"""Supports are filled up to the next of these sizes: the system a user has depends on his own support alone."""


class RidgeHead(Headed):
    """Ridge regression from a support to what fits it."""

    @classmethod
    def own_settings(cls, head: str) -> Mapping[str, Any]:
        """Return nothing: all strengths are learned."""
        return {}

    @classmethod
    def own_start(cls, head: str, width: int, features: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the logarithms of ρ, λ and c."""
        return {"strengths": np.array([0.0, -2.0, 0.0], np.float32), "temperature": np.array([1.5, 0.0], np.float32)}

    @staticmethod
    def turned(numbers: Numbers, z: Array, xp: Arrays) -> Array:
        """Return (items, d) z L^{-T}."""
        catalogue, ridge = xp.exp(numbers["strengths"][:2])
        moment = catalogue * (z.T @ z) / len(z) + ridge * _identity(z.shape[1], z, xp)
        return xp.solve(xp.cholesky(moment), z.T).T

    @staticmethod
    def adapted(
        numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Solve each user's ridge regression."""
        features = numbers["trend"].shape[1]
        z = x[:, :-features]
        # weights sum to k: more is surer
        strength = xp.exp(numbers["strengths"][2]) * xp.double(xp.here(entries.k, entries.weight))
        dual = _duals(z, entries, xp.sqrt(strength[entries.owner] * entries.weight), xp)
        scale = xp.cast(scale_of(numbers["temperature"], entries.size, xp), x)
        full = scale[:, None] * xp.mixed(z, dual, entries)
        return full, xp.zeros(len(entries), features, x), entries.weight


def _duals(z: Array, entries: Entries, root: Array, xp: Arrays) -> Array:
    """Return (entries,) D½ (I + D½ Z Zᵀ D½)⁻¹ D½ 1: what each item of a support weighs in the solution."""
    k, dual = entries.k, 0 * entries.weight
    widths = np.array(SIZES)[np.searchsorted(SIZES, k)]
    for width in np.unique(widths[k > 0]):
        users = np.flatnonzero((widths == width) & (k > 0))
        inside = np.arange(width)[None, :] < k[users, None]
        entry = np.where(inside, entries.indptr[users, None] + np.arange(width), 0)
        some, filled = xp.here(entry, z), xp.here(inside, z)
        found = _solved(z, entries.item[some], root[some] * filled, xp)[filled]
        dual = dual + xp.scattered(found, some[filled], len(dual))
    return dual


def _solved(z: Array, item: Array, root: Array, xp: Arrays) -> Array:
    """Return (users, width) solutions of systems of one size, sums in single and solves in double precision."""
    rows = z[item] * xp.cast(root, z)[:, :, None]
    system = xp.double(rows @ rows.swapaxes(1, 2)) + _identity(item.shape[1], root, xp)
    return xp.cast(root * xp.solve(system, root[:, :, None])[:, :, 0], z)


def _identity(size: int, like: Array, xp: Arrays) -> Array:
    return xp.cast(xp.here(np.eye(size), like), like)
