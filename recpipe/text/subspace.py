"""The leading axes of a matrix that is known by its products alone: subspace iteration from a fixed start.

The way of Halko, Martinsson and Tropp (2011, algorithm 4.4), which scikit-learn's `randomized_svd` goes, too. Here it takes no
second to import, and a basis that every process draws alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4


def leading_axes(
    matrix: Any, axes: int, extra: int = 10, rounds: int = ROUNDS, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (columns, axes) orthonormal right singular vectors, and (axes,) their singular values, greatest first.

    Parameters
    ----------
    matrix
        (rows, columns), dense or sparse.
    axes
        At most the columns.
    extra
        Columns of the basis beyond those that are kept.
    rounds
        Multiplications with the matrix and its transpose.
    """
    columns = matrix.shape[1]
    basis = np.random.default_rng(seed).standard_normal((columns, axes + min(extra, columns - axes)))
    for _ in range(rounds):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    value, turn = np.linalg.eigh((small := matrix @ basis).T @ small)
    order = np.argsort(-value, kind="stable")[:axes]
    return basis @ turn[:, order], np.sqrt(np.maximum(value[order], 0.0))
