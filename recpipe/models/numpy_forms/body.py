r"""The body that learners with heads share: items placed by text, sales and factors, and the plain evidence beside a head.

An item is the row :math:`x_i = [z_i, f_i]`. Its place :math:`z_i = unit([t_i A + g_i m_i B,\; h_i c_i])` joins its own
text vector t and the mean text vector m of the items it is bought with (as in `recpipe.models.numpy_forms.prototypical`) to its
factors c, a truncated decomposition of who met what; both sorts of sales count the more the more is known of the item:
:math:`g_i = σ(a + b \log(1 + n_i))`, and h likewise, times a scale. An item that nobody met lives on its text alone.
Features f are logarithms of sales (`recpipe.models.numpy_forms.prototypical.item_features`).

Factors are computed anew at every instant, free to turn; so nothing that is learned tells one factor from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.knn import interactions
from recpipe.models.numpy_forms import prototypical

Numbers = Mapping[str, NDArray[np.float32]]
"""What a learner learned, by name."""

SETTINGS: Mapping[str, Any] = {
    **prototypical.SETTINGS,
    "factors": 64,  # of the decomposition
    "factor_user_power": 0.5,  # how much less a user of many items says about each
    "factor_item_power": 0.4,  # how much less an item of many users weighs
}
LEARNED = ("own", "met", "gate", "factor", "start", "bias", "temperature", "neighbour", "trend")
"""Numbers of every learner with a head.

own, met
    A and B, (text dimensions, p).
gate, factor
    (2,) a and b; (3,) those of the factors and the logarithm of their scale.
start, bias
    (p,); (features,): what everybody starts from, on the text places and on the features; it makes the item bias.
temperature, neighbour
    (2,) each: the head's scale, and that of item-kNN similarities, :math:`\\exp(τ_0 + τ_1 \\log(1 + k))`.
trend
    (2, features) δ: weights of the features where there is a support, beside those of ``bias``.
"""


@dataclass(frozen=True)
class View:
    """What a learner sees of the items at an instant; nothing in it is learned.

    Attributes
    ----------
    own, met, log_count, features, similar
        As in `recpipe.models.numpy_forms.prototypical.View`.
    factors
        (items, factors) float32 rows of unit length, or zeros where nobody met the item.
    """

    own: NDArray[np.float32]
    met: NDArray[np.float32]
    log_count: NDArray[np.float32]
    features: NDArray[np.float32]
    similar: sp.csr_matrix
    factors: NDArray[np.float32]


def look(evidence: Evidence, settings: Mapping[str, Any]) -> View:
    """Compute what a learner sees of the items at an instant; the same for training and for use."""
    view = prototypical.look(evidence, settings)
    met = interactions(evidence.history, len(evidence.catalogue))
    factors = item_factors(
        met, settings["factors"], user_power=settings["factor_user_power"], item_power=settings["factor_item_power"]
    )
    return View(view.own, view.met, view.log_count, view.features, view.similar, factors)


def item_factors(
    matrix: sp.csr_matrix, count: int, *, user_power: float, item_power: float, turns: int = 8
) -> NDArray[np.float32]:
    r"""Return (items, count) unit rows: right singular vectors times the root of their singular values.

    Of the matrix scaled by :math:`n_u^{-p/2}` and :math:`n_i^{-a}`; by subspace iteration from a fixed start (Halko et al.
    2011, algorithm 4.4), so that the same matrix gives the same factors.

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
    back = sp.csr_matrix(scaled.T)
    kept = min(count, items)
    basis = np.random.default_rng(0).standard_normal((items, min(kept + 16, items)))
    for _ in range(turns):
        basis = np.linalg.qr(back @ (scaled @ basis))[0]
    image = scaled @ basis
    values, turned = np.linalg.eigh(image.T @ image)
    singular = np.sqrt(np.maximum(values[::-1][:kept], 0))
    strength = np.where(singular > 1e-6 * max(float(singular.max(initial=0.0)), 1e-12), np.sqrt(singular), 0.0)
    rows = (basis @ turned[:, ::-1][:, :kept]) * strength
    rows[np.bincount(matrix.indices, minlength=items) == 0] = 0
    out = np.zeros((items, count), np.float32)
    out[:, :kept] = _unit(rows)
    return out


def place(numbers: Numbers, view: View) -> NDArray[np.float32]:
    """Return (items, p + factors) z, in single precision from sums in double precision."""
    gate, scale = _gates(numbers, view.log_count.astype(np.float64))
    text = _double(view.own) @ _double(numbers["own"]) + gate[:, None] * (_double(view.met) @ _double(numbers["met"]))
    return _unit(np.hstack([text, scale[:, None] * view.factors])).astype(np.float32)


def item_bias(numbers: Numbers, z: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (items,): the score for everybody who is not known, from text places and features."""
    text = _double(z[:, : len(numbers["start"])]) @ _double(numbers["start"])
    return np.asarray(text + _double(features) @ _double(numbers["bias"]), dtype=np.float32)


def counting(support: Support, power: float) -> Support:
    """Return the entries that count, positive ones, with weights to a power and of sum 1 a user; users stay."""
    counts = (support.weight > 0) & (support.label > 0)
    sums = np.r_[0, np.cumsum(counts)]
    weight = np.power(np.maximum(support.weight[counts], 1e-6), power, dtype=np.float32)
    ones = np.ones(int(sums[-1]), np.float32)
    indptr = sums[support.indptr].astype(np.int64)
    some = Support(indptr, support.item[counts], ones, weight, support.age_days[counts])
    items = int(some.item.max(initial=0)) + 1
    return Support(some.indptr, some.item, some.label, support_weights(some, items).data, some.age_days)


def scale_of(numbers: NDArray[np.float32], size: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (users,) exp(n0 + n1 log(1 + k)) for the logarithms ``size``; 0 where there is no support."""
    return np.asarray(np.exp(numbers[0] + numbers[1] * size) * (size > 0), dtype=np.float32)


def _gates(numbers: Numbers, log_count: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    gate, factor = _double(numbers["gate"]), _double(numbers["factor"])
    met = 1 / (1 + np.exp(-(gate[0] + gate[1] * log_count)))
    return met, np.exp(factor[2]) / (1 + np.exp(-(factor[0] + factor[1] * log_count)))


def _double(array: NDArray[np.float32]) -> NDArray[np.float64]:
    return array.astype(np.float64)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))
