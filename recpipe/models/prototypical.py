"""The prototypical network: a user is the weighted mean of what he met, in a space that training has shaped.

Snell et al. 2017, section 2.2, with one class a user and cosine in place of the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.arrays import NUMPY, Array, Arrays, Entries
from recpipe.models.base import ItemSpace, Matrix
from recpipe.models.representation import (
    SETTINGS,
    Numbers,
    Represented,
    View,
    counting,
    scale_of,
    start_of,
    text_places,
    trend_of,
)


@dataclass(frozen=True, eq=False)
class Prototypical(Represented):
    r"""Prototypes over projected texts, beside similarities of items and trends of sales.

    An item lies at :math:`z_i = unit(t_i A + g_i m_i B)`: its own text vector, and the mean text vector of the items
    it is bought with, which counts the more the more is known of the item: :math:`g_i = σ(a + b \log(1 + n_i))`. A user
    with k items has the prototype :math:`p_u = unit(Σ_j w_j z_j)` and the score

    .. math:: τ(k) p_u z_i + κ(k) Σ_j w_j s_{ji} + f_i (β + [k > 0] (δ_0 + δ_1 \log(1 + k)))

    with weights w of the support (to a power, sum 1), similarities s as in item kNN, item features f
    (`recpipe.models.representation.item_features`), and :math:`τ(k) = \exp(τ_0 + τ_1 \log(1 + k))`, κ likewise. Without
    support only :math:`f_i β`, the bias, is left.

    Parameters
    ----------
    own, met
        A and B, (text dimensions, p) float32.
    gate, temperature, neighbour
        (2,) a and b; τ0 and τ1; κ0 and κ1.
    bias, trend
        (features,) β; (2, features) δ.
    settings
        What is not learned; see `recpipe.models.representation.SETTINGS`.
    """

    name: ClassVar[str] = "prototypical"
    own: NDArray[np.float32]
    met: NDArray[np.float32]
    gate: NDArray[np.float32]
    temperature: NDArray[np.float32]
    neighbour: NDArray[np.float32]
    bias: NDArray[np.float32]
    trend: NDArray[np.float32]
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(SETTINGS))

    @property
    def numbers(self) -> Numbers:
        """What was learned, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "settings"}

    @classmethod
    def made(cls, name: str, numbers: Numbers, settings: Mapping[str, Any]) -> Prototypical:
        """Return the network with these numbers."""
        return cls(**numbers, settings=settings)

    @classmethod
    def usual_settings(cls, name: str) -> Mapping[str, Any]:
        """Return what is not learned."""
        return SETTINGS

    @classmethod
    def start(cls, name: str, view: View, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return cosines of texts, kept as well as ``width`` dimensions can, and item kNN. Nothing is drawn."""
        known = start_of(view, width)
        return {one.name: known[one.name] for one in fields(cls) if one.name != "settings"}

    @classmethod
    def represented(cls, numbers: Numbers, view: View, xp: Arrays) -> tuple[Array, Array]:
        """Return (items, p + features) rows and (items,) bias."""
        z = xp.unit(text_places(numbers, view, xp))
        return xp.concat([z, view.features]), xp.product(view.features, numbers["bias"])

    @classmethod
    def vectors(
        cls, numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Return (users, p + features) vectors, (entries,) weights of similarities, and (users,) their scale."""
        features = numbers["trend"].shape[1]
        prototype = xp.unit(xp.mixed(x[:, :-features], entries.weight, entries))
        placed = scale_of(numbers["temperature"], entries.size, xp)[:, None] * prototype
        full = xp.cast(xp.concat([placed, trend_of(numbers, entries.size)]), x)
        return full, entries.weight, xp.cast(scale_of(numbers["neighbour"], entries.size, xp), x)

    def place(self, view: View) -> ItemSpace:
        """Place items that were looked at before."""
        rows, bias = self.represented(self.numbers, view, NUMPY)
        return ItemSpace(sp.csr_matrix(sp.hstack([sp.csr_matrix(rows), view.similar], format="csr")), bias)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, p + features + items) sparse user vectors; zeros for an empty support."""
        known, items = counting(support, self.settings["weight_power"]), len(space.bias)
        placed = sp.csr_matrix(space.vectors)
        x = placed[:, : placed.shape[1] - items].toarray()
        full, weight, scale = self.vectors(self.numbers, self.settings, x, known, NUMPY)
        beside = sp.diags(scale) @ replace(known, weight=weight).matrix(items)
        return sp.csr_matrix(sp.hstack([sp.csr_matrix(full), beside], format="csr"), dtype=np.float32)
