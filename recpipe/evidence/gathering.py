"""The evidence of supports for their candidates: that of pairs, aggregated over the items of a support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import ranges
from recpipe.evidence.item_features import Pairs
from recpipe.evidence.layout import SETTLED

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """Items that something speaks for, user by user.

    Attributes
    ----------
    indptr, item
        (users + 1,) int64, (candidates,) int32, sorted by item within a user.
    seen
        (candidates, features) float32, as `recpipe.evidence.layout.Layout.features` names them.
    k
        (users,) items that count in the support.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]
    seen: NDArray[np.float32]
    k: NDArray[np.int64]


def gather(pairs: Pairs, weights: sp.csr_matrix, latest: sp.csr_matrix | None = None) -> Candidates:
    """Collect what supports say for the items they speak for, and what sells.

    A value is the weighted mean, or the greatest, over the support; it is divided by its standard deviation over the
    catalogue, so that kinds of evidence can be compared between users.

    Parameters
    ----------
    weights
        (users, items): weights of the supports, rows of sum 1 or empty.
    latest
        The same entries in the same order, with the weights of the means in which the newest items count most; None: those
        of ``weights``.
    """
    users, items = weights.shape
    entry_user = np.repeat(np.arange(users), np.diff(weights.indptr))
    rows, bounds = ranges(pairs.indptr, weights.indices)
    spoken = np.repeat(entry_user, np.diff(bounds)) * items + pairs.item[rows]
    everybody = (np.arange(users)[:, None] * items + pairs.popular[None, :]).ravel()
    key = np.concatenate([spoken, everybody])
    # sorting numbers is several times as fast as sorting places: place and key share a number
    key, order = np.divmod(np.sort(key * max(len(key), 1) + np.arange(len(key))), max(len(key), 1))
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.intp)
    shares = [
        np.repeat(held.data, np.diff(bounds)).astype(np.float32) for held in (weights, weights if latest is None else latest)
    ]
    values = _aggregated(pairs, rows, shares, order, start, len(everybody))
    found, item = key[start] // items, (key[start] % items).astype(np.int32)
    indptr = np.searchsorted(found, np.arange(users + 1)).astype(np.int64)
    k = np.diff(weights.indptr).astype(np.int64)
    scaled = _scaled(values, indptr, items)
    own = np.asarray(weights @ pairs.log_price)
    beside = np.column_stack([-np.abs(pairs.log_price[item] - own[found]) * (k[found] > 0), pairs.trend[item, SETTLED]])
    seen = np.column_stack([scaled / 5, np.sign(scaled) * np.log1p(np.abs(scaled)), beside]).astype(np.float32)
    seen *= pairs.used
    return Candidates(indptr, item, seen, k)


def _aggregated(
    pairs: Pairs, rows: NDArray[np.int64], shares: list[Floats], order: NDArray[np.int64], start: NDArray[np.intp], silent: int
) -> Floats:
    """Return (candidates, columns of evidence): means, the strongest voices, and means in which the newest count most.

    Parameters
    ----------
    rows, shares
        Pairs that supports speak of, and the weights of the items that speak: of the means, and of those of the newest.
    order, start
        Pairs, and after them ``silent`` candidates for everybody, in the order of candidates; where each candidate begins.
    """
    said = pairs.value[rows]

    def over(values: Floats, how: np.ufunc) -> Floats:
        none = np.zeros((silent, values.shape[1]), np.float32)
        return np.asarray(how.reduceat(np.concatenate([values, none])[order], start, axis=0), np.float32)

    parts = [over(said * shares[0][:, None], np.add), over(said[:, pairs.strongest], np.maximum)]
    if len(pairs.recent):
        parts.append(over(said[:, pairs.recent] * shares[1][:, None], np.add))
    return np.column_stack(parts)


def _scaled(values: Floats, indptr: NDArray[np.int64], items: int) -> Floats:
    """Divide by the standard deviation over the catalogue, in which all but the candidates are zero; at most 30."""
    filled = np.flatnonzero(np.diff(indptr))
    total, squares = np.zeros((2, len(indptr) - 1, values.shape[1]))
    total[filled] = np.add.reduceat(values, indptr[filled], axis=0, dtype=np.float64)
    squares[filled] = np.add.reduceat(values.astype(np.float64) ** 2, indptr[filled], axis=0)
    spread = np.sqrt(np.maximum(squares / items - (total / items) ** 2, 0))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    scaled: Floats = np.clip(values * np.repeat(scale, np.diff(indptr), axis=0), -30, 30).astype(np.float32)
    return scaled
