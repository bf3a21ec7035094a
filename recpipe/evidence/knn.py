"""Items that are met by the same users."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import History
from recpipe.evidence.pair_patterns import CELLS_A_BLOCK, greatest


def interactions(history: History, items: int) -> sp.csr_matrix:
    """Return (users, items): the greatest event weight of each pair that met."""
    shape = (len(history.user_ids), items)
    pair = history.user.astype(np.int64) * items + history.item
    order = np.lexsort((-history.weight, pair))
    keep = order[np.r_[True, np.diff(pair[order]) != 0]] if len(pair) else order
    return sp.csr_matrix((history.weight[keep], (history.user[keep], history.item[keep])), shape=shape, dtype=np.float32)


def similar_items(
    matrix: sp.csr_matrix, *, neighbours: int, shrinkage: float, user_power: float = 0.0, candidate_power: float = 0.5
) -> sp.csr_matrix:
    r"""Return (items, items): row i holds how much each of its best neighbours j speaks for item i.

    .. math:: s_{ij} = \frac{c_{ij}}{c_{ii}^{a} c_{jj}^{1-a} + \lambda}, \quad c = X^T D X, \quad D_{uu} = n_u^{-p}

    Damped cosine similarity (Sarwar et al. 2001, section 3.1; shrinkage after Bell and Koren 2007, section 2.2).

    Parameters
    ----------
    matrix
        (users, items), as `interactions` gives it.
    neighbours
        Items j kept for each item i, the most similar first.
    shrinkage
        Lambda: pairs seen together this often count about half.
    user_power
        p: how much less a user of many items says about each pair.
    candidate_power
        a: 0.5 is the cosine; less favours popular candidates i, more favours rare ones.
    """
    items = matrix.shape[1]
    if not items:  # of no blocks there is no stack
        return sp.csr_matrix(matrix.T @ matrix, dtype=np.float32)
    lengths = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)
    scaled = sp.csr_matrix(sp.diags(lengths ** (-user_power / 2)) @ matrix).astype(np.float32)
    columns = sp.csr_matrix(scaled.T)
    own = np.asarray(scaled.multiply(scaled).sum(0), dtype=np.float32).ravel()
    rows = max(1, CELLS_A_BLOCK // max(items, 1))
    blocks = [
        _best(columns[start : start + rows] @ scaled, own, start, neighbours, shrinkage, candidate_power)
        for start in range(0, items, rows)
    ]
    return sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32)


def _best(
    together: sp.csr_matrix, own: NDArray[np.float32], start: int, neighbours: int, shrinkage: float, power: float
) -> sp.csr_matrix:
    """Turn rows of co-occurrence into damped similarities and keep the greatest of each row."""
    dense = together.toarray()
    count, items = dense.shape
    mine = np.arange(start, start + count)
    dense[np.arange(count), mine] = 0
    dense /= (own[mine] ** power)[:, None] * (own ** (1 - power))[None, :] + np.float32(shrinkage + 1e-9)
    column, value, kept = greatest(dense, neighbours)
    return sp.csr_matrix((value, column, np.r_[0, np.cumsum(kept)]), shape=(count, items))
