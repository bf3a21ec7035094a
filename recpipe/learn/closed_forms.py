"""Learners without training: popularity, damped item kNN, and the text prototype.

They are the bar for what is trained, and the best of them is the first champion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.learn.data import Evidence, ItemSpace, Matrix, Support
from recpipe.learn.sales import interactions, log_popularity, similar_items


@dataclass(frozen=True)
class Popularity:
    """Everybody gets what sells now.

    Parameters
    ----------
    half_life_days
        Age at which a sale counts half.
    """

    name: ClassVar[str] = "popularity"
    half_life_days: float = 14.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: no vector to speak of, popularity as the bias."""
        return ItemSpace(np.zeros((len(evidence.catalogue), 1), np.float32), log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return zeros, (users, 1): nobody is anything of his own here."""
        return np.zeros((len(support), 1), np.float32)


@dataclass(frozen=True)
class ItemKNN:
    """Items that are met by those who met the support's items, and a little popularity to break ties.

    The item vector is its row of similarities, the user vector the support's weights, scaled to sum 1.

    Parameters
    ----------
    neighbours, shrinkage, user_power, candidate_power
        As in `recpipe.learn.sales.similar_items`.
    popularity_weight, half_life_days
        Weight of popularity (0 to 1) beside similarities, and the age at which a sale counts half.
    """

    name: ClassVar[str] = "item_knn"
    neighbours: int = 50
    shrinkage: float = 5.0
    user_power: float = 0.5
    candidate_power: float = 0.7
    popularity_weight: float = 0.1
    half_life_days: float = 14.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, items) sparse similarities."""
        similar = similar_items(
            interactions(evidence.history, len(evidence.catalogue)),
            neighbours=self.neighbours,
            shrinkage=self.shrinkage,
            user_power=self.user_power,
            candidate_power=self.candidate_power,
        )
        return ItemSpace(similar, np.float32(self.popularity_weight) * log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items) sparse weights of the supports, each row of sum 1 or empty."""
        return support_weights(support, len(space.bias))


@dataclass(frozen=True)
class TextPrototype:
    """Items whose text is like the support's (Snell et al. 2017, section 2.2, with one class a user).

    Parameters
    ----------
    popularity_weight, half_life_days
        Weight of popularity (0 to 1) beside cosines (−1 to 1), and the age at which a sale counts half.
    """

    name: ClassVar[str] = "text_prototype"
    popularity_weight: float = 0.5
    half_life_days: float = 14.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: their text vectors."""
        bias = np.float32(self.popularity_weight) * log_popularity(evidence, self.half_life_days)
        return ItemSpace(evidence.catalogue.vectors, bias)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, d): the unit vector towards the weighted mean of the support."""
        return unit_rows(np.asarray(support_weights(support, len(space.bias)) @ space.vectors))


def support_weights(support: Support, items: int) -> sp.csr_matrix:
    """Return (users, items): weight × label of the supports, each row of sum 1, or empty where nothing counts.

    Sparse products go row by row, so that a user's vector never depends on who else stands in the batch.
    """
    matrix = support.matrix(items)
    sums = np.asarray(matrix.sum(1), dtype=np.float64).ravel()
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    matrix.data = np.asarray(matrix.data * np.repeat(scale, np.diff(matrix.indptr)), dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0), dtype=np.float32)
