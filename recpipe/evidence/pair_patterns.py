"""Sparse matrices of items by items: the greatest of each row, the pairs of several, and values at given pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.evidence.knn import CELLS_A_BLOCK, greatest

Vectors = NDArray[np.float32] | sp.csr_matrix


def greatest_of(
    dense: NDArray[np.float32], row: NDArray[np.intp], column: NDArray[np.intp], items: int, keep: int
) -> sp.csr_matrix:
    """Return (items, items) with the greatest positive values of each row of a dense part."""
    place, value, count = greatest(np.asarray(dense, np.float32), keep)
    shape = (items, items)
    return sp.csr_matrix((value, (np.repeat(row, count), column[place])), shape=shape, dtype=np.float32)


def in_blocks(product: Any, rows: NDArray[np.intp], column: NDArray[np.intp], items: int, keep: int) -> sp.csr_matrix:
    """Do as `greatest_of`, for a product that is computed some rows at a time; no item speaks for itself."""
    size = max(1, CELLS_A_BLOCK // max(items, 1))
    parts = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        dense = np.asarray(product(some), np.float32)
        dense[some[:, None] == column[None, :]] = 0
        place, value, count = greatest(dense, keep)
        indptr = np.r_[0, np.cumsum(count)]
        parts.append(sp.csr_matrix((value, column[place], indptr), shape=(len(some), items)))
    return sp.csr_matrix(sp.vstack(parts, format="csr")) if parts else sp.csr_matrix(np.zeros((0, items), np.float32))


def alike(vectors: Vectors, keep: int) -> sp.csr_matrix:
    """Return the greatest inner products of each row, above what any two rows have in common on average."""
    items = vectors.shape[0]
    mean = vectors @ np.asarray(vectors.mean(0)).ravel()

    def product(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        found = vectors[rows] @ vectors.T
        dense = found.toarray() if sp.issparse(found) else found
        return np.asarray(dense - mean[rows][:, None], np.float32)

    return in_blocks(product, np.arange(items), np.arange(items), items, keep)


def union(kinds: Sequence[sp.csr_matrix], items: int) -> sp.csr_matrix:
    """Return the pairs of which any kind of evidence speaks, in order."""
    key = np.sort(np.concatenate([_keys(kind) for kind in kinds])) if kinds else np.zeros(0, np.int64)
    row, column = np.divmod(key[np.r_[True, key[1:] != key[:-1]][: len(key)]], items)
    return sp.csr_matrix(
        (np.ones(len(row), np.float32), column, np.searchsorted(row, np.arange(items + 1))), shape=(items, items)
    )


def values_at(kind: sp.csr_matrix, pattern: sp.csr_matrix) -> NDArray[np.float32]:
    """Return (pairs,) the values of one kind at the pairs of all."""
    kind.sort_indices()
    wanted, known = _keys(pattern), _keys(kind)
    place = np.searchsorted(known, wanted)
    hit = (
        (place < len(known)) & (known[np.minimum(place, len(known) - 1)] == wanted) if len(known) else np.zeros(len(wanted), bool)
    )
    out = np.zeros(len(wanted), np.float32)
    out[hit] = kind.data[place[hit]]
    return out


def rows_of(pattern: sp.csr_matrix) -> NDArray[np.intp]:
    """Return (pairs,) the row of each pair."""
    return np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))


def _keys(matrix: sp.csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr)) * matrix.shape[1] + matrix.indices
