"""EASE: a linear model of items from items, in closed form (Steck 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.learn.closed_forms import support_weights
from recpipe.learn.data import Evidence, ItemSpace, Matrix, Support
from recpipe.learn.sales import interactions, log_popularity

MOST_ITEMS = 8192
"""Items that take part, those that most users met: the inverse of 8,192 rows takes 256 MB and some seconds."""


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder over the items that users met.

    Parameters
    ----------
    strength
        λ of the ridge, in users.
    popularity_weight, half_life_days
        Weight of popularity (0 to 1) beside the products, to break ties, and the age at which a sale counts half.
    """

    name: ClassVar[str] = "ease"
    strength: float = 500.0
    popularity_weight: float = 0.01
    half_life_days: float = 60.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: row i holds what each item j says for i, (items, items) sparse."""
        taken, weights = ease_weights(interactions(evidence.history, len(evidence.catalogue)), self.strength)
        items = len(evidence.catalogue)
        row, column = np.nonzero(weights)
        says = sp.csr_matrix((weights[row, column], (taken[column], taken[row])), shape=(items, items))
        return ItemSpace(says, np.float32(self.popularity_weight) * log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items) sparse weights of the supports, each row of sum 1 or empty."""
        return support_weights(support, len(space.bias))


def ease_weights(matrix: sp.csr_matrix, strength: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    r"""Return the items that take part, and how much row j says for column i among them.

    .. math:: B = I - P \, diag(P)^{-1}, \quad P = (X^T X + λ I)^{-1}, \quad B_{ii} = 0

    (Steck 2019, section 3.1, equation 8), with X binary.

    Parameters
    ----------
    matrix
        (users, items); whatever is not zero counts one.
    strength
        λ.
    """
    met = sp.csr_matrix((np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
    users = np.asarray(met.sum(0)).ravel()
    taken = np.sort(np.argsort(-users, kind="stable")[: min(MOST_ITEMS, int((users > 0).sum()))])
    if not len(taken):
        return taken, np.zeros((0, 0), np.float32)
    gram = (met[:, taken].T @ met[:, taken]).toarray().astype(np.float32)
    gram[np.diag_indices(len(taken))] += np.float32(strength)
    factor, info = scipy.linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, info = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if info:
        raise np.linalg.LinAlgError(f"the Gram matrix of {len(taken)} items could not be inverted")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0)
    return taken, np.asarray(weights, dtype=np.float32)
