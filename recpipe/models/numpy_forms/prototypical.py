"""The prototypical network as it is used: arrays and closed formulas, no torch.

A user is the weighted mean of what he met, in a space that training has shaped (Snell et al. 2017, section 2.2, with
one class a user and cosine in place of the distance); the training itself is `recpipe.models.torch_forms.prototypical`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.knn import interactions, similar_items
from recpipe.evidence.trends import faded_counts, season_counts
from recpipe.models.base import ItemSpace, Matrix, unit_rows

SETTINGS: Mapping[str, Any] = {
    "half_lives_days": (7.0, 30.0, 90.0),  # of the popularities among the features
    "neighbours": 100,  # these four as in `recpipe.evidence.knn.similar_items`
    "shrinkage": 5.0,
    "user_power": 0.5,
    "candidate_power": 0.7,
    "weight_power": 0.5,  # of the support's weights: 0 takes every item alike, 1 as type and age weigh it
}


@dataclass(frozen=True, eq=False)
class Prototypical:
    r"""Prototypes over projected texts, beside similarities of items and trends of sales.

    An item lies at :math:`z_i = unit(t_i A + g_i m_i B)`: its own text vector, and the mean text vector of the items
    it is bought with, which counts the more the more is known of the item: :math:`g_i = σ(a + b \log(1 + n_i))`. A user
    with k items has the prototype :math:`p_u = unit(Σ_j w_j z_j)` and the score

    .. math:: τ(k) p_u z_i + κ(k) Σ_j w_j s_{ji} + f_i (β + [k > 0] (δ_0 + δ_1 \log(1 + k)))

    with weights w of the support (to a power, sum 1), similarities s as in item kNN, item features f
    (`item_features`), and :math:`τ(k) = \exp(τ_0 + τ_1 \log(1 + k))`, κ likewise. Without support only :math:`f_i β`,
    the bias, is left.

    Parameters
    ----------
    own, met
        A and B, (text dimensions, p) float32.
    gate, temperature, neighbour
        (2,) a and b; τ0 and τ1; κ0 and κ1.
    bias, trend
        (features,) β; (2, features) δ.
    settings
        What is not learned; see `SETTINGS`.
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

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, p + features + items) sparse; the first p + features columns are full."""
        return self.place(self.look(evidence))

    def look(self, evidence: Evidence) -> View:
        """Compute what the network sees of the items; nothing in it is learned."""
        return look(evidence, self.settings)

    def place(self, view: View) -> ItemSpace:
        """Place items that were looked at before."""
        gate = 1 / (1 + np.exp(-(self.gate[0] + self.gate[1] * view.log_count)))
        z = unit_rows(_double_product(view.own, self.own) + gate[:, None] * _double_product(view.met, self.met))
        full = sp.csr_matrix(np.hstack([z, view.features]).astype(np.float32))
        bias = view.features.astype(np.float64) @ self.bias.astype(np.float64)
        return ItemSpace(sp.csr_matrix(sp.hstack([full, view.similar], format="csr")), bias.astype(np.float32))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, p + features + items) sparse user vectors; zeros for an empty support."""
        width = self.own.shape[1]
        weights = powered_weights(support, len(space.bias), self.settings["weight_power"])
        counted = np.diff(weights.indptr)
        size = np.log1p(counted)
        placed = sp.csr_matrix(space.vectors)[:, :width]
        prototype = unit_rows((weights @ placed).toarray())
        temperature = np.exp(self.temperature[0] + self.temperature[1] * size)
        trend = (self.trend[0] + size[:, None] * self.trend[1]) * (counted > 0)[:, None]
        full = sp.csr_matrix(np.hstack([temperature[:, None] * prototype, trend]).astype(np.float32))
        neighbour = sp.diags(np.exp(self.neighbour[0] + self.neighbour[1] * size).astype(np.float32)) @ weights
        return sp.csr_matrix(sp.hstack([full, neighbour], format="csr"), dtype=np.float32)


@dataclass(frozen=True)
class View:
    """What the network sees of the items at an instant.

    Attributes
    ----------
    own, met
        (items, text dimensions) float32: own text vector; unit mean of the text vectors of similar items, or zeros.
    log_count
        (items,) log(1 + named users' events with the item).
    features
        (items, features) float32, as `item_features` gives them.
    similar
        (items, items) sparse similarities.
    """

    own: NDArray[np.float32]
    met: NDArray[np.float32]
    log_count: NDArray[np.float32]
    features: NDArray[np.float32]
    similar: sp.csr_matrix


def look(evidence: Evidence, settings: Mapping[str, Any]) -> View:
    """Compute what the network sees of the items at an instant; the same for training and for use.

    Where ``settings`` withhold the sales, their counts are zeros; who met what with what stays.
    """
    items = len(evidence.catalogue)
    names = ("neighbours", "shrinkage", "user_power", "candidate_power")
    similar = similar_items(interactions(evidence.history, items), **{name: settings[name] for name in names})
    own = evidence.catalogue.vectors
    counts = np.bincount(evidence.history.item, minlength=items)
    log_count = np.log1p(counts).astype(np.float32)
    features = item_features(evidence, settings["half_lives_days"])
    if "sales" in settings.get("withhold", ()):
        log_count, features = np.zeros_like(log_count), np.zeros_like(features)
    return View(own, unit_rows(similar @ own), log_count, features, similar)


def item_features(evidence: Evidence, half_lives_days: Sequence[float]) -> NDArray[np.float32]:
    """Return (items, half-lives + 1): log(1 + faded count) for each half-life, and of the same season a year ago."""
    counts = [faded_counts(evidence, half_life) for half_life in half_lives_days]
    return np.log1p(np.stack([*counts, season_counts(evidence)], axis=1)).astype(np.float32)


def powered_weights(support: Support, items: int, power: float) -> sp.csr_matrix:
    """Return (users, items): weights of the supports to a power, each row of sum 1, or empty where nothing counts."""
    faded = np.power(np.maximum(support.weight, 1e-6), power, dtype=np.float32) * (support.weight > 0)
    return support_weights(
        Support(support.indptr, support.item, support.label, faded.astype(np.float32), support.age_days), items
    )


def _double_product(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows @ matrix, in double precision: float32 in the end, whatever the order of the sums was."""
    return np.asarray(rows.astype(np.float64) @ matrix.astype(np.float64)).astype(np.float32)
