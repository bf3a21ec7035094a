"""Items that are met by the users who met those of the support."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.knn import interactions, similar_items
from recpipe.evidence.trends import log_popularity
from recpipe.models.base import ItemSpace, Matrix


@dataclass(frozen=True)
class ItemKNN:
    """Items that are met by those who met the support's items, and a little popularity to break ties.

    The item vector is its row of similarities, the user vector the support's weights, scaled to sum 1.

    Parameters
    ----------
    neighbours, shrinkage, user_power, candidate_power
        As in `recpipe.evidence.knn.similar_items`.
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
