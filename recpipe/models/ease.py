"""EASE: a linear model of items from items, in closed form (Steck 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.knn import interactions
from recpipe.evidence.trends import log_popularity
from recpipe.models.base import ItemSpace, Matrix


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder over the items that users met.

    Parameters
    ----------
    strength
        λ of the ridge, in users.
    popularity_weight, half_life_days
        Weight of popularity (0 to 1) beside the products, to break ties, and the age at which a sale counts half.
    """

    name: ClassVar[str] = "ease"
    strength: float = 500.0
    popularity_weight: float = 0.01
    half_life_days: float = 60.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: row i holds what each item j says for i, (items, items) sparse."""
        taken, weights = ease_weights(interactions(evidence.history, len(evidence.catalogue)), self.strength)
        items = len(evidence.catalogue)
        row, column = np.nonzero(weights)
        says = sp.csr_matrix((weights[row, column], (taken[column], taken[row])), shape=(items, items))
        return ItemSpace(says, np.float32(self.popularity_weight) * log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items) sparse weights of the supports, each row of sum 1 or empty."""
        return support_weights(support, len(space.bias))
