"""The mean of the support's texts, and the items closest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.trends import log_popularity
from recpipe.models.arrays import unit_rows
from recpipe.models.base import ItemSpace, Matrix


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
