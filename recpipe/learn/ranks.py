"""What a list is worth by the ranks at which it hits: the one definition for training, the gate and the nights."""

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


def recall(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return (users,) hits@k / min(k, taken): 1 is always within reach; NaN where nothing was taken.

    The denominator is that of Netflix's evaluation of variational autoencoders (Liang et al. 2018, section 4.2).
    """
    best = np.minimum(taken, k).astype(np.float64)
    best[best == 0] = np.nan
    return np.asarray(hit[:, :k].sum(axis=1) / best)


def hit_rate(hit: NDArray[np.bool_], taken: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return (users,) 1 if any of the first k is a hit, else 0; NaN where nothing was taken.

    (Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms", section 6.1.)
    """
    return np.where(taken > 0, hit[:, :k].any(axis=1).astype(np.float64), np.nan)
