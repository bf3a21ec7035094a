"""EASE: a linear model of items from items, in closed form (Steck 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.knn import interactions
from recpipe.evidence.pair_patterns import greatest
from recpipe.evidence.trends import log_popularity
from recpipe.models.base import ItemSpace, Matrix


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder over the items that users met.

    A user's scores are the mean over the support of what its items say; the mean orders items as the sum does, as long as
    popularity only breaks ties. Products of one item are some hundredths on a shop of rare items, and a mean of ten supports
    a tenth of their sum, so that its weight is small.

    Parameters
    ----------
    strength
        λ of the ridge, in users.
    popularity_weight, half_life_days
        Weight of popularity (0 to 1) beside the products, to break ties, and the age at which a sale counts half.
    """

    name: ClassVar[str] = "ease"
    strength: float = 500.0
    popularity_weight: float = 1e-5
    half_life_days: float = 60.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: row i holds what each item j says for i, (items, items) sparse."""
        taken, weights = self._weights(evidence)
        count, items = len(taken), len(evidence.catalogue)
        held = np.zeros(items, np.int64)
        held[taken] = count
        column = np.tile(taken.astype(np.int32), count)
        says = sp.csr_matrix((weights.T.ravel(), column, np.r_[0, np.cumsum(held)]), shape=(items, items))
        return ItemSpace(says, self._bias(evidence))

    def brief(self, evidence: Evidence, most: int) -> ItemSpace:
        """Place the items of a day, each of which speaks for, or against, the ``most`` items of its greatest products alone."""
        taken, weights = self._weights(evidence)
        items = len(evidence.catalogue)
        place, _, count = greatest(np.abs(weights), most)
        row = np.repeat(np.arange(len(taken)), count)
        says = sp.csr_matrix((weights[row, place], (taken[place], taken[row])), shape=(items, items))
        return ItemSpace(says, self._bias(evidence))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items) sparse weights of the supports, each row of sum 1 or empty."""
        return support_weights(support, len(space.bias))

    def _weights(self, evidence: Evidence) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        return ease_weights(interactions(evidence.history, len(evidence.catalogue)), self.strength)

    def _bias(self, evidence: Evidence) -> NDArray[np.float32]:
        return np.float32(self.popularity_weight) * log_popularity(evidence, self.half_life_days)
