"""The head of a learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.numpy_forms.body import Numbers


def full_rows(rows: NDArray[np.float32]) -> sp.csr_matrix:
    """Return all entries of rows, zeros included, as a sparse matrix."""
    count, width = rows.shape
    indptr = np.arange(count + 1, dtype=np.int64) * width
    return sp.csr_matrix((rows.ravel(), np.tile(np.arange(width, dtype=np.int32), count), indptr), shape=rows.shape)


@dataclass(frozen=True)
class Head:
    """How one kind of learner adapts.

    Attributes
    ----------
    settings
        What is not learned, the settings of the items among it.
    learned
        Names of its numbers, beside `recpipe.models.numpy_forms.body.LEARNED`.
    adapt
        (numbers, settings, items, supports) -> (users, D) float32, and (entries,) weights for item-kNN similarities.
        ``items`` are the rows x = [z, features] of all items, (items, D) float32; the supports hold only
        entries that count, with weights of sum 1 a user, and are always of `USERS_A_BLOCK` users.
    place
        (numbers, z) -> (items, d): what the head makes of z before anybody is adapted.
    """

    settings: Mapping[str, Any]
    learned: tuple[str, ...]
    adapt: Callable[[Numbers, Mapping[str, Any], NDArray[np.float32], Support], tuple[NDArray[np.float32], NDArray[np.float32]]]
    place: Callable[[Numbers, NDArray[np.float32]], NDArray[np.float32]] = lambda numbers, z: z


def weighted_mean(items: NDArray[np.float32], supports: Support, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (users, D): Σ_j weight_j x_j of each user; row by row, so that nobody's depends on the others."""
    matrix = sp.csr_matrix((weights, supports.item, supports.indptr), shape=(len(supports), len(items)))
    return np.asarray(matrix @ items, dtype=np.float32)
