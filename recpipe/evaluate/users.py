"""Some users of a day, in the layout of all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.learn.data import Support


def rows_of(support: Support, keep: NDArray[np.bool_]) -> Support:
    """Return the supports of the users for whom ``keep`` (users,) is true."""
    entry = np.repeat(keep, support.k)
    indptr = np.concatenate([[0], np.cumsum(support.k[keep])]).astype(np.int64)
    return Support(indptr, support.item[entry], support.label[entry], support.weight[entry], support.age_days[entry])
