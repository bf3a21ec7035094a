# ruff: noqa: ANN001, ANN201, ANN202  (numba infers the types of what it compiles)
"""A sparse night: the support times item-item evidence in one fused loop a user, with nothing dense over users × items.

Candidates are gathered into a scratch row, features fused, scored, put on the grid and cut to k; what nothing speaks for is
appended in the order of sales, and rarely any is. `Sparse.lists` gives item rows in recpipe's own total order.
Needs numba (``requirements.txt`` beside this file).
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.evidence.item_features import RECENT
from recpipe.evidence.layout import SETTLED

F32, F64 = np.float32, np.float64
Scratch = tuple[NDArray[Any], ...]


@nb.njit(nogil=True, cache=True)
def _gather(u, indptr, entry_item, entry_weight, p_indptr, p_item, p_value, popular, total, stamp, slot, candidates):
    """Add up what each item of the support brings to others, a row a candidate; return how many candidates there are."""
    found = 0
    for e in range(indptr[u], indptr[u + 1]):
        j = entry_item[e]
        for p in range(p_indptr[j], p_indptr[j + 1]):
            i = p_item[p]
            if stamp[i] != u:
                stamp[i] = u
                slot[i] = found
                candidates[found] = i
                total[found] = F32(0)
                found += 1
            for c in range(p_value.shape[1]):
                total[slot[i], c] += p_value[p, c] * entry_weight[e]
    for i in popular:
        if stamp[i] != u:
            stamp[i] = u
            slot[i] = found
            candidates[found] = i
            total[found] = F32(0)
            found += 1
    return found


@nb.njit(nogil=True, cache=True)
def _spread(total, found, n_items, scale):
    """Write by what each channel is divided: its deviation over the whole catalogue, in which most items have nothing."""
    for c in range(len(scale)):
        mean, square = 0.0, 0.0
        for s in range(found):
            v = F64(total[s, c])
            mean += v
            square += v * v
        deviation = math.sqrt(max(square / n_items - (mean / n_items) ** 2, 0.0))
        scale[c] = 1.0 / deviation if deviation > 1e-9 else 0.0


@nb.njit(nogil=True, cache=True)
def _score(total, found, candidates, scale, kappa, w0, w1, slot_mean, slot_log, trend, sold, out):
    """Write the scores of the candidates; return the lowest, at most 0, and the greatest by size."""
    lowest, greatest = F32(0), 0.0
    for s in range(found):
        x = 0.0
        for c in range(len(scale)):
            v = F32(F64(total[s, c]) * scale[c])
            if v != 0:
                v = min(max(v, F32(-30)), F32(30))
                linear = F64(v / F32(5)) * (w0[slot_mean[c]] + kappa * w1[slot_mean[c]])
                log = F64(F32(math.copysign(math.log1p(abs(v)), v))) * (w0[slot_log[c]] + kappa * w1[slot_log[c]])
                x += linear + log
        x += F64(trend[candidates[s]]) * (w0[-1] + kappa * w1[-1])
        y = F32(x) + F32(sold[candidates[s]])
        out[s] = y
        lowest = min(lowest, y)
        greatest = max(greatest, abs(F64(y)))
    return lowest, greatest


@nb.njit(nogil=True, cache=True)
def _step(u, greatest, lowest, stamp, bias_order, bias):
    """Return the grid that scores are put on: 2^-20 of the greatest; the least of the tail counts, too."""
    q = len(bias) - 1
    while q >= 0 and stamp[bias_order[q]] == u:
        q -= 1
    if q >= 0:
        greatest = max(greatest, abs(F64(F32(bias[bias_order[q]] - bias[bias_order[0]]) + (lowest - F32(1)))))
    if greatest == 0:
        return 1.0
    return math.ldexp(1.0, math.frexp(greatest)[1] - 20)


@nb.njit(nogil=True, cache=True)
def _pick(u, work, found, candidates, step, stamp_met, available, key, item):
    """Keep the best candidates in the total order (level, then smaller item row); return how many there are."""
    n_items, kept = len(available), 0
    for s in range(found):
        i = candidates[s]
        if not available[i] or stamp_met[i] == u:
            continue
        mine = np.int64(np.rint(F64(work[s]) / step)) * n_items + (n_items - 1 - i)
        if kept < len(key):
            place = kept
            kept += 1
        elif mine > key[-1]:
            place = len(key) - 1
        else:
            continue
        while place > 0 and key[place - 1] < mine:
            key[place] = key[place - 1]
            item[place] = item[place - 1]
            place -= 1
        key[place] = mine
        item[place] = i
    return kept


@nb.njit(nogil=True, cache=True)
def _block(
    u0, u1, indptr, entry_item, entry_weight, knowledge, p_indptr, p_item, p_value, popular, trend, w0, w1, slot_mean, slot_log,
    sold, met_indptr, met_item, available, bias_order, bias, k, out, out_score, total, stamp, stamp_met, slot, candidates, work,
    counts,
):  # fmt: skip
    """Rank users u0 to u1 by the stack's rule: means of some channels, the logs of both, and the item's sales."""
    n_items = len(available)
    scale = np.zeros(p_value.shape[1])
    key, item = np.zeros(k, np.int64), np.zeros(k, np.int64)
    for u in range(u0, u1):
        found = _gather(u, indptr, entry_item, entry_weight, p_indptr, p_item, p_value, popular, total, stamp, slot, candidates)
        counts[0] += found
        _spread(total, found, n_items, scale)
        lowest, greatest = _score(total, found, candidates, scale, knowledge[u], w0, w1, slot_mean, slot_log, trend, sold, work)
        step = _step(u, greatest, lowest, stamp, bias_order, bias)
        for p in range(met_indptr[u], met_indptr[u + 1]):
            stamp_met[met_item[p]] = u
        kept = _pick(u, work, found, candidates, step, stamp_met, available, key, item)
        for r in range(kept):
            out[u - u0, r] = item[r]
            out_score[u - u0, r] = ((key[r] - (n_items - 1 - item[r])) // n_items) * step
        q = 0  # the tail, as far as it is needed
        while kept < k and q < n_items:
            i = bias_order[q]
            if stamp[i] != u and stamp_met[i] != u and available[i]:
                out[u - u0, kept] = i
                out_score[u - u0, kept] = F64(F32(bias[i] - bias[bias_order[0]]) + (lowest - F32(1)))
                kept += 1
            q += 1


class Sparse:
    """What a night keeps: pairs in the channels that the stack reads, and its bias in order.

    Parameters
    ----------
    learner
        The stack.
    pairs
        Item-item evidence, as the learner's items hold it.
    bias
        (items,) score of each item for a user of whom nothing is known.
    """

    def __init__(self, learner: Any, pairs: Any, bias: NDArray[np.floating[Any]]) -> None:
        self.pairs = pairs
        channels = np.flatnonzero(pairs.used[: pairs.value.shape[1]]).astype(np.int64)
        self.value = np.ascontiguousarray(pairs.value[:, channels])
        self.weights = learner.weights[0].astype(F64), learner.weights[1].astype(F64)
        self.slots = channels, channels + (len(pairs.used) - 2) // 2
        self.bias = bias.astype(F32)
        self.bias_order = np.lexsort((np.arange(len(bias)), -self.bias)).astype(np.int64)
        self.trend = np.ascontiguousarray(pairs.trend[:, SETTLED])
        self.sold = (pairs.trend[:, RECENT].astype(F64) @ learner.recent).astype(F32)

    def scratch(self) -> Scratch:
        """Return the scratch rows of one thread; the last holds how many candidates there were."""
        n = len(self.bias)
        stamps = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        return (
            np.zeros((n, self.value.shape[1]), F32), *stamps, np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, F32),
            np.zeros(2, np.int64),
        )  # fmt: skip

    def lists(
        self, weights: sp.csr_matrix, knowledge: NDArray[np.float64], met: tuple[NDArray[np.int64], NDArray[np.int32]],
        available: NDArray[np.bool_], k: int, users: tuple[int, int], scratch: Scratch,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
        """Return items and scores, (users, k) each, of the users from the first up to the second, without it.

        Parameters
        ----------
        weights
            Users × items: weight of each item of a support.
        knowledge
            (users,) how much is known of each, as the learner reckons it.
        met
            Starts (users + 1,) and items of what each user has met.
        available
            (items,) what may be listed.
        """
        u0, u1 = users
        out, score = np.full((u1 - u0, k), -1, np.int64), np.zeros((u1 - u0, k))
        pairs = self.pairs
        _block(
            u0, u1, weights.indptr.astype(np.int64), weights.indices, weights.data, knowledge, pairs.indptr, pairs.item, self.value,
            pairs.popular, self.trend, *self.weights, *self.slots, self.sold, *met, available, self.bias_order, self.bias, k, out,
            score, *scratch,
        )  # fmt: skip
        return out, score


@nb.njit(nogil=True, cache=True)
def causes(u0, u1, lists, s_ptr, s_item, share, v_ptr, v_column, v_value, alike, stamp, place, out):
    """Write the two items of the support that bring each listed item the most, from sparse rows of what items bring each other."""
    for u in range(u0, u1):
        most = 1e-30
        for e in range(s_ptr[u], s_ptr[u + 1]):
            stamp[s_item[e]] = u
            place[s_item[e]] = e
            if share[e] > most:
                most = share[e]
        for r in range(lists.shape[1]):
            i = lists[u - u0, r]
            if i < 0:
                break
            v1, v2, e1, e2 = -1e300, -1e300, -1, -1
            for p in range(v_ptr[i], v_ptr[i + 1]):
                j = v_column[p]
                if j < len(stamp) and stamp[j] == u:
                    e = place[j]
                    v = (F64(v_value[p]) - alike[i]) * F64(F32(share[e] / most))
                    if v > v1 or (v == v1 and e > e1):
                        v2, e2 = v1, e1
                        v1, e1 = v, e
                    elif v > v2 or (v == v2 and e > e2):
                        v2, e2 = v, e
            if e1 >= 0 and v1 > 1e-6:
                out[u - u0, r, 0] = s_item[e1]
                if e2 >= 0 and v2 > 1e-6 and v2 >= 0.5 * v1:
                    out[u - u0, r, 1] = s_item[e2]
