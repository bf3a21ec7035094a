# ruff: noqa: ANN001, ANN201, ANN202  (numba infers the types of what it compiles)
"""Item-item evidence without dense rows: one pass over orders for both kinds of kNN, text neighbours once for both uses.

Needs numba (``requirements.txt`` beside this file).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Best = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]
"""Items and values, (items, keep) each, best first, and how many of them count."""

POWERS: Final = np.array([0.7, 0.5], np.float32)
"""Share of the damping that falls on the item itself, by kind: knn, even_knn."""


@nb.njit(cache=True)
def _best(key, count, item, keep, out_item, out_value):
    """Keep the greatest positive keys, of equal ones the smaller item, by insertion into a short sorted list."""
    found = 0
    for slot in range(count):
        value = key[slot]
        if value <= 0:
            continue
        i = item[slot]
        if found == keep and (value < out_value[keep - 1] or (value == out_value[keep - 1] and i > out_item[keep - 1])):
            continue
        place = found if found < keep else keep - 1
        found = min(found + 1, keep)
        while place > 0 and (out_value[place - 1] < value or (out_value[place - 1] == value and out_item[place - 1] > i)):
            out_value[place] = out_value[place - 1]
            out_item[place] = out_item[place - 1]
            place -= 1
        out_value[place] = value
        out_item[place] = i
    return found


@nb.njit(parallel=True, cache=True)
def together(
    c_ptr, c_user, c_value, r_ptr, r_item, r_value, own, powers, shrinks, keep, threads
):  # fmt: skip
    """Return the best partners of each item for each kind of damping: items and values (kinds, items, keep), counts (kinds, items).

    Columns (``c_``) hold the users of an item, rows (``r_``) the items of a user; ``own`` is what an item has with itself.
    """
    n, kinds = len(own), len(powers)
    items = np.zeros((kinds, n, keep), np.int32)
    values = np.zeros((kinds, n, keep), np.float32)
    counts = np.zeros((kinds, n), np.int32)
    mine = np.zeros((kinds, n), np.float32)
    other = np.zeros((kinds, n), np.float32)
    for kind in range(kinds):  # powers once an item, not once a pair
        for j in range(n):
            mine[kind, j] = own[j] ** powers[kind]
            other[kind, j] = own[j] ** (1 - powers[kind])
    for thread in nb.prange(threads):
        total = np.zeros(n, np.float32)
        touched = np.zeros(n, np.int32)
        key = np.zeros(n, np.float32)
        for i in range(thread, n, threads):
            m = 0
            for e in range(c_ptr[i], c_ptr[i + 1]):
                user = c_user[e]
                for f in range(r_ptr[user], r_ptr[user + 1]):
                    j = r_item[f]
                    if total[j] == 0:
                        touched[m] = j
                        m += 1
                    total[j] += c_value[e] * r_value[f]
            for kind in range(kinds):
                for slot in range(m):
                    j = touched[slot]
                    key[slot] = total[j] / (mine[kind, i] * other[kind, j] + shrinks[kind]) if j != i else 0.0
                counts[kind, i] = _best(key, m, touched, keep, items[kind, i], values[kind, i])
            for slot in range(m):
                total[touched[slot]] = 0
    return items, values, counts


@nb.njit(parallel=True, cache=True)
def _alike(r_ptr, r_column, r_value, t_ptr, t_row, t_value, mean, n, keep, threads):
    """Return the greatest inner products of sparse rows, less what a row has in common with any on average."""
    items = np.zeros((n, keep), np.int32)
    values = np.zeros((n, keep), np.float32)
    counts = np.zeros(n, np.int32)
    for thread in nb.prange(threads):
        total = np.zeros(n, np.float32)
        touched = np.zeros(n, np.int32)
        key = np.zeros(n, np.float32)
        for i in range(thread, n, threads):
            m = 0
            for e in range(r_ptr[i], r_ptr[i + 1]):
                column = r_column[e]
                for f in range(t_ptr[column], t_ptr[column + 1]):
                    j = t_row[f]
                    if total[j] == 0:
                        touched[m] = j
                        m += 1
                    total[j] += r_value[e] * t_value[f]
            for slot in range(m):
                j = touched[slot]
                key[slot] = total[j] - mean[i] if j != i else 0.0
                total[j] = 0
            counts[i] = _best(key, m, touched, keep, items[i], values[i])
    return items, values, counts


def to_csr(best: Best) -> sp.csr_matrix:
    """Return best partners as a matrix of items × items."""
    item, value, count = best
    kept = np.arange(item.shape[1])[None, :] < count[:, None]
    found = sp.csr_matrix((value[kept], item[kept], np.r_[0, np.cumsum(count)]), shape=(len(item), len(item)))
    found.sort_indices()
    return found


def sold_together(met: sp.csr_matrix, settings: Mapping[str, Any], threads: int = 2) -> dict[str, sp.csr_matrix]:
    """Return both kinds of item kNN of the pair network.

    Parameters
    ----------
    met
        Users × items, as `interactions` gives them.
    settings
        Those of the learner.
    threads
        Threads of the pass.
    """
    length = np.maximum(np.diff(met.indptr), 1).astype(np.float32)
    plain = np.asarray((sp.diags(length ** -settings["user_power"]) @ met.multiply(met)).sum(0)).ravel()
    unit = float(plain[plain > 0].mean())
    scaled = sp.csr_matrix(sp.diags(length ** (-settings["user_power"] / 2)) @ met).astype(np.float32)
    columns = sp.csr_matrix(scaled.T)
    own = np.asarray(scaled.multiply(scaled).sum(0), np.float32).ravel()
    shrinks = np.array([settings[name] * unit + 1e-9 for name in ("knn_shrinkage", "even_shrinkage")], np.float32)
    sides = (columns.indptr, columns.indices, columns.data, scaled.indptr, scaled.indices, scaled.data)
    found = together(*sides, own, POWERS, shrinks, settings["neighbours"], threads)
    knn, even = ((found[0][kind], found[1][kind], found[2][kind]) for kind in range(2))
    return {"knn": to_csr(knn), "even_knn": to_csr(even)}


def like_words(texts: Sequence[str], keep: int, threads: int = 2) -> sp.csr_matrix:
    """Return the items whose texts share the weightiest words."""
    from recpipe.evidence.text_neighbours import weigh_words

    rows = weigh_words(texts)
    turned = sp.csr_matrix(rows.T)
    mean = (rows @ np.asarray(rows.mean(0)).ravel()).astype(np.float32)
    sides = (rows.indptr, rows.indices, rows.data, turned.indptr, turned.indices, turned.data)
    return to_csr(_alike(*sides, mean, rows.shape[0], keep, threads))


def like_meaning(vectors: NDArray[np.float32], keep: int, block: int = 1024) -> sp.csr_matrix:
    """Return the items whose vectors are closest, by dense products in blocks of rows."""
    import torch

    given = torch.from_numpy(np.ascontiguousarray(vectors))
    count = len(given)
    mean = given @ given.mean(0)
    item, value = np.zeros((count, keep), np.int32), np.zeros((count, keep), np.float32)
    for start in range(0, count, block):
        dense = given[start : start + block] @ given.T
        dense[torch.arange(len(dense)), torch.arange(start, start + len(dense))] = -9
        best, place = torch.topk(dense, min(keep, count - 1))
        item[start : start + block] = place.numpy()
        value[start : start + block] = (best - mean[start : start + block, None]).numpy()
    value = np.maximum(value, 0)
    return to_csr((item, value, (value > 0).sum(1).astype(np.int32)))
