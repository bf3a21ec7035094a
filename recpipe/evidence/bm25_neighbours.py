"""Items that are met by the same users, users and items weighed as BM25 weighs words and texts."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.evidence.pair_patterns import in_blocks

SATURATION, LENGTH_SHARE = 1.2, 0.75
"""K1 and B."""


def bm25_weights(met: sp.csr_matrix) -> sp.csr_matrix:
    r"""Return (users, items) weights of who met what.

    .. math:: w_{ui} = \frac{K_1 + 1}{K_1 (1 - B + B\, n_i / \bar n) + 1} \log \frac{N}{1 + n_u}

    An item is a text, and users are its words (Robertson and Zaragoza 2009, section 3.4): who met much says little. It is the
    weighting of ``BM25Recommender`` of the package implicit, with its usual K1 and B, of who met what at all.

    Parameters
    ----------
    met
        (users, items); whatever is not zero counts one.
    """
    items = max(met.shape[1], 1)
    users_of = np.bincount(met.indices, minlength=met.shape[1]).astype(np.float64)
    items_of = np.diff(met.indptr)
    long = 1 - LENGTH_SHARE + LENGTH_SHARE * users_of / max(float(users_of.mean()) if len(users_of) else 1.0, 1e-9)
    rare = np.maximum(np.log(items) - np.log1p(items_of), 0.0)
    value = (SATURATION + 1) / (SATURATION * long[met.indices] + 1) * np.repeat(rare, items_of)
    return sp.csr_matrix((value.astype(np.float32), met.indices, met.indptr), shape=met.shape)


def bm25_neighbours(met: sp.csr_matrix, keep: int) -> sp.csr_matrix:
    """Return (items, items): the greatest inner products of the columns of `bm25_weights`, those of an item with itself left out."""
    weights = bm25_weights(met)
    columns = sp.csr_matrix(weights.T)

    def product(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.asarray((columns[rows] @ weights).toarray(), np.float32)

    every = np.arange(met.shape[1])
    return in_blocks(product, every, every, met.shape[1], keep)
