r"""Items as the learners with heads place them, and the plain evidence beside a head.

An item is the row :math:`x_i = [z_i, f_i]`. Its place :math:`z_i = unit([t_i A + g_i m_i B,\; h_i c_i])` joins its own
text vector t and the mean text vector m of the items it is bought with to its factors c, a truncated decomposition of who
met what; both sorts of sales count the more the more is known of the item: :math:`g_i = σ(a + b \log(1 + n_i))`, and h
likewise, times a scale. An item that nobody met lives on its text alone. Features f are logarithms of sales.

Factors are computed anew at every instant, free to turn; so nothing that is learned tells one factor from another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.knn import interactions, similar_items
from recpipe.evidence.trends import faded_counts, season_counts
from recpipe.models.arrays import NUMPY, Array, Arrays, Entries, unit_rows
from recpipe.models.base import ItemSpace
from recpipe.text.subspace import leading_axes

Numbers = Mapping[str, Array]
"""What a learner learned, by name."""

SETTINGS: Mapping[str, Any] = {
    "half_lives_days": (7.0, 30.0, 90.0),  # of the popularities among the features
    "neighbours": 100,  # these four as in `similar_items`
    "shrinkage": 5.0,
    "user_power": 0.5,
    "candidate_power": 0.7,
    "weight_power": 0.5,  # of the support's weights: 0 takes every item alike, 1 as type and age weigh it
}
FACTOR_SETTINGS: Mapping[str, Any] = {
    "factors": 64,  # of the decomposition
    "factor_user_power": 0.5,  # how much less a user of many items says about each
    "factor_item_power": 0.4,  # how much less an item of many users weighs
}


@dataclass(frozen=True)
class View:
    """What a learner sees of the items at an instant; nothing in it is learned.

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
    factors
        (items, factors) float32 rows of unit length, or zeros where nobody met the item.
    """

    own: Array
    met: Array
    log_count: Array
    features: Array
    similar: Any
    factors: Array

    def with_each(self, change: Callable[[Array], Array]) -> View:
        """Return the view with each of its arrays changed, the similarities apart."""
        names = ("own", "met", "log_count", "features", "factors")
        return replace(self, **{name: change(getattr(self, name)) for name in names})


def look(evidence: Evidence, settings: Mapping[str, Any]) -> View:
    """Compute what a learner sees of the items at an instant; the same for training and for use.

    Where ``settings`` withhold the sales, their counts are zeros; who met what with what stays.
    """
    items = len(evidence.catalogue)
    names = ("neighbours", "shrinkage", "user_power", "candidate_power")
    met = interactions(evidence.history, items)
    similar = similar_items(met, **{name: settings[name] for name in names})
    own = evidence.catalogue.vectors
    log_count = np.log1p(np.bincount(evidence.history.item, minlength=items)).astype(np.float32)
    features = item_features(evidence, settings["half_lives_days"])
    if "sales" in settings.get("withhold", ()):
        log_count, features = np.zeros_like(log_count), np.zeros_like(features)
    factors = np.zeros((items, 0), np.float32)
    if "factors" in settings:
        powers = {"user_power": settings["factor_user_power"], "item_power": settings["factor_item_power"]}
        factors = item_factors(met, settings["factors"], **powers)
    return View(own, unit_rows(similar @ own), log_count, features, similar, factors)


def item_features(evidence: Evidence, half_lives_days: Sequence[float]) -> NDArray[np.float32]:
    """Return (items, half-lives + 1): log(1 + faded count) for each half-life, and of the same season a year ago."""
    counts = [faded_counts(evidence, half_life) for half_life in half_lives_days]
    return np.log1p(np.stack([*counts, season_counts(evidence)], axis=1)).astype(np.float32)


def item_factors(
    matrix: sp.csr_matrix, count: int, *, user_power: float, item_power: float, turns: int = 8
) -> NDArray[np.float32]:
    r"""Return (items, count) unit rows: right singular vectors times the root of their singular values.

    Of the matrix scaled by :math:`n_u^{-p/2}` and :math:`n_i^{-a}`; by `recpipe.text.subspace`, so that the same matrix gives
    the same factors.

    Parameters
    ----------
    matrix
        (users, items), as `recpipe.evidence.knn.interactions` gives it.
    count
        Factors; of those beyond the rank all entries are 0.
    user_power, item_power
        p and a.
    turns
        Multiplications with the matrix and its transpose.
    """
    items = matrix.shape[1]
    users_count = np.maximum(np.diff(matrix.indptr), 1.0)
    items_count = np.maximum(np.bincount(matrix.indices, minlength=items), 1.0)
    scaled = sp.csr_matrix(sp.diags(users_count ** (-user_power / 2)) @ matrix.astype(np.float64))
    scaled = sp.csr_matrix(scaled @ sp.diags(items_count**-item_power))
    kept = min(count, items)
    axes, singular = leading_axes(scaled, kept, extra=16, rounds=turns)
    strength = np.where(singular > 1e-6 * max(float(singular.max(initial=0.0)), 1e-12), np.sqrt(singular), 0.0)
    rows = axes * strength
    rows[np.bincount(matrix.indices, minlength=items) == 0] = 0
    out = np.zeros((items, count), np.float32)
    out[:, :kept] = NUMPY.unit(rows)
    return out


def counting(support: Support, power: float) -> Entries:
    """Return the entries that count, positive ones, with weights to a power and of sum 1 a user; users stay."""
    counts = (support.weight > 0) & (support.label > 0)
    sums = np.r_[0, np.cumsum(counts)]
    weight = np.power(np.maximum(support.weight[counts], 1e-6), power, dtype=np.float32)
    indptr, item = sums[support.indptr].astype(np.int64), support.item[counts]
    some = Support(indptr, item, np.ones(len(item), np.float32), weight, support.age_days[counts])
    weight = support_weights(some, int(item.max(initial=0)) + 1).data
    owner = np.repeat(np.arange(len(some)), some.k)
    return Entries(indptr, item, owner, weight, some.age_days, np.log1p(some.k))


# --- formulas


def text_places(numbers: Numbers, view: View, xp: Arrays) -> Array:
    """Return (items, p) t A + g m B, of no particular length."""
    gate = 1 / (1 + xp.exp(-(numbers["gate"][0] + numbers["gate"][1] * view.log_count)))
    return xp.product(view.own, numbers["own"]) + gate[:, None] * xp.product(view.met, numbers["met"])


def places(numbers: Numbers, view: View, xp: Arrays) -> Array:
    """Return (items, p + factors) z."""
    factor = numbers["factor"]
    scale = xp.exp(factor[2]) / (1 + xp.exp(-(factor[0] + factor[1] * view.log_count)))
    return xp.unit(xp.concat([text_places(numbers, view, xp), scale[:, None] * view.factors]))


def item_bias(numbers: Numbers, z: Array, features: Array, xp: Arrays) -> Array:
    """Return (items,): the score for everybody who is not known, from text places and features."""
    return xp.product(z[:, : len(numbers["start"])], numbers["start"]) + xp.product(features, numbers["bias"])


def scale_of(numbers: Array, size: Array, xp: Arrays) -> Array:
    """Return (users,) exp(n0 + n1 log(1 + k)) for the logarithms ``size``; 0 where there is no support."""
    return xp.exp(numbers[0] + numbers[1] * size) * (size > 0)


def trend_of(numbers: Numbers, size: Array) -> Array:
    """Return (users, features): weights of the features where there is a support, beside those of ``bias``."""
    return (numbers["trend"][0] + size[:, None] * numbers["trend"][1]) * (size > 0)[:, None]


# --- learners


class Represented(ABC):
    """A learner whose score is a product of a user's vector and an item's row, both of them formulas that training goes through."""

    MATRICES: ClassVar[tuple[str, ...]] = ("own", "met")
    """Names of the numbers that learn slowly and decay; all others are few."""

    settings: Mapping[str, Any]

    @classmethod
    @abstractmethod
    def made(cls, name: str, numbers: Numbers, settings: Mapping[str, Any]) -> Represented:
        """Return the learner of a name with these numbers."""

    @classmethod
    @abstractmethod
    def usual_settings(cls, name: str) -> Mapping[str, Any]:
        """Return what is not learned of the learner of a name."""

    @classmethod
    @abstractmethod
    def start(cls, name: str, view: View, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the numbers before training; the same seed gives the same.

        Parameters
        ----------
        name
            Of the learner.
        view
            What it sees of the items.
        width
            Dimensions of the text places, at most those of the texts.
        seed
            Of what is drawn.
        """

    @classmethod
    @abstractmethod
    def represented(cls, numbers: Numbers, view: View, xp: Arrays) -> tuple[Array, Array]:
        """Return (items, D) rows x and (items,) bias."""

    @classmethod
    @abstractmethod
    def vectors(
        cls, numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Return (users, D) vectors for the rows x, (entries,) weights of item-kNN similarities, and (users,) κ, their scale."""

    @abstractmethod
    def place(self, view: View) -> ItemSpace:
        """Place items that were looked at before."""

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, D + items) sparse; the first D columns are full."""
        return self.place(self.look(evidence))

    def look(self, evidence: Evidence) -> View:
        """Compute what the learner sees of the items; nothing in it is learned."""
        return look(evidence, self.settings)


def start_of(view: View, width: int) -> dict[str, NDArray[np.float32]]:
    """Return what every learner with a head starts from: texts in their principal directions, popularity, item kNN.

    Only inner products of projected vectors are used, so the signs and rotations that a decomposition is free in have no
    effect. Nothing is drawn.
    """
    texts = view.own.astype(np.float64)
    _, directions = np.linalg.eigh(texts.T @ texts)
    start = np.ascontiguousarray(directions[:, ::-1][:, :width], np.float32)
    features = view.features.shape[1]
    return {
        "own": start,
        "met": start.copy(),
        "gate": np.array([-1.0, 0.3], np.float32),
        "factor": np.array([-1.0, 0.3, 0.0], np.float32),
        "start": np.zeros(start.shape[1], np.float32),
        "bias": np.eye(1, features, dtype=np.float32)[0],
        "temperature": np.array([1.0, 0.0], np.float32),
        "neighbour": np.array([4.0, 0.0], np.float32),
        "trend": np.zeros((2, features), np.float32),
    }
