"""The weights of EASE: a closed form of items by items."""

from __future__ import annotations

import numpy as np
import scipy
import scipy.sparse as sp
from numpy.typing import NDArray

MOST_ITEMS = 8192
"""Items that take part, those that most users met: the inverse of 8,192 rows takes 256 MB and some seconds."""


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
