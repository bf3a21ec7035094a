"""Normalised discounted cumulative gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ndcg(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return (users,) the normalised discounted cumulative gain of the first k ranks.

    DCG@k = Σ_{r ≤ k} hit_r / log2(r + 1); the ideal list has min(k, taken) hits in front; nDCG = DCG / ideal DCG
    (Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", section 2.2, binary gain, and the
    base-2 discount of Burges et al. 2005).

    Parameters
    ----------
    hit
        (users, K) whether the item at each rank is one that the user took.
    taken
        (users,) items that each user took; NaN comes back for 0.
    k
        Cut-off.
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    width = min(k, hit.shape[1])
    gain = hit[:, :width] @ discount[:width]
    ideal = np.concatenate([[np.nan], np.cumsum(discount)])[np.minimum(taken, k)]
    return np.asarray(gain / ideal)
