r"""Heads that take gradient steps: MAML, ANIL, and prototypes refined by steps.

A head h scores :math:`s_i = x_i h`. It starts from h₀, and takes some steps down the inner loss of the support,

.. math:: L(h) = Σ_j w_j \log\left(1 + e^{m - s_j} Σ_n e^{s_n} / (N q_n)\right)

the cross-entropy of each item of the support against the catalogue, whose sum is estimated from N items drawn evenly
from the distribution of sales q (the same ones for everybody); m is learned. What the user has beyond h₀ is his vector,
so everybody starts from the item bias and nobody moves without a support.

Step t moves every parameter with a rate of its own (Meta-SGD, Li et al. 2017; one set a step as in MAML++, Antoniou et
al. 2019). ANIL (Raghu et al. 2020) moves h. MAML (Finn et al. 2017) moves the projection of the text places too, in few
dimensions: :math:`z → z(I + P Q_u)`, P learned, Q_u adapted. As :math:`z(I + P Q)u = z(u + P Q u)`, its result folds
into the user vector. The prototype version starts from h₀ and the support's mean (Triantafillou et al. 2020, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.base import unit_rows
from recpipe.models.numpy_forms import body
from recpipe.models.numpy_forms.body import Numbers
from recpipe.models.numpy_forms.heads.head import Head, weighted_mean

SETTINGS: Mapping[str, Any] = {
    **body.SETTINGS,
    "steps": 3,  # of the inner loop
    "negatives": 128,  # N
    "order": 2,  # of the outer gradient: 1 takes the inner one for constant
    "start": "shared",  # or "prototype"
    "rank": 0,  # of the adapted projection; 0 leaves it alone
}


def adapt(
    numbers: Numbers, settings: Mapping[str, Any], items: NDArray[np.float32], supports: Support
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take the inner steps in closed form; see `recpipe.models.numpy_forms.heads.head.Head`."""
    places = items.shape[1] - numbers["trend"].shape[1]
    start = start_of(numbers, items.shape[1])
    size = np.log1p(supports.k)
    head = np.repeat(start[None, :], len(supports), axis=0)
    if settings["start"] == "prototype":
        mean = weighted_mean(items[:, :places], supports, supports.weight)
        head[:, :places] += body.scale_of(numbers["prototype"], size)[:, None] * unit_rows(mean)
    head = descend(numbers, settings, items, supports, head)
    return body.scale_of(numbers["temperature"], size)[:, None] * (head - start), supports.weight


def start_of(numbers: Numbers, width: int) -> NDArray[np.float32]:
    """Return (D,) h₀: the learned start, and 0 on the factors."""
    factors = np.zeros(width - len(numbers["start"]) - len(numbers["bias"]), np.float32)
    return np.concatenate([numbers["start"], factors, numbers["bias"]])


def rates_of(numbers: Numbers, width: int) -> NDArray[np.float32]:
    """Return (steps, D): the inner rates; all factors have one."""
    text, features = numbers["own"].shape[1], numbers["trend"].shape[1]
    rates = numbers["rates"]
    factors = np.repeat(rates[:, text : text + 1], width - text - features, axis=1)
    return np.hstack([rates[:, :text], factors, rates[:, text + 1 :]])


def draw_negatives(items: NDArray[np.float32], features: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return (N,) rows of items, evenly spaced over the distribution of sales, and −log(N q) of each.

    Systematic sampling: the n-th item is where the cumulative distribution passes (n + ½) / N, the same ones for everybody.
    Sales are those of the slowest half-life among the features; to the power ¾, and of unsold items a little.
    """
    sold = np.expm1(items[:, -2].astype(np.float64)) if features > 1 else np.zeros(len(items))
    mass = (sold + 0.1) ** 0.75
    mass /= mass.sum()
    rows = np.searchsorted(np.cumsum(mass), (np.arange(count) + 0.5) / count).clip(max=len(items) - 1)
    return rows, (-np.log(count * mass[rows])).astype(np.float32)


def descend(
    numbers: Numbers,
    settings: Mapping[str, Any],
    items: NDArray[np.float32],
    supports: Support,
    head: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return (users, D) heads after the inner steps, an adapted projection folded into them."""
    rows, correction = draw_negatives(items, numbers["trend"].shape[1], settings["negatives"])
    negatives = items[rows]
    rates = rates_of(numbers, items.shape[1])
    layer = np.repeat(numbers["layer"][None], len(head), axis=0) if settings["rank"] else None
    for step in range(settings["steps"]):
        folded = fold(numbers, head, layer)
        gradient = inner_gradient(items, supports, negatives, correction, numbers["margin"][0], folded)
        if layer is None:
            head = head - rates[step] * gradient
        else:
            head, layer = _both(numbers, step, rates[step], head, layer, gradient)
    return fold(numbers, head, layer)


def inner_gradient(
    items: NDArray[np.float32],
    supports: Support,
    negatives: NDArray[np.float32],
    correction: NDArray[np.float32],
    margin: np.float32,
    head: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return (users, D): the gradient of the inner loss at the heads (users, D)."""
    scores = head @ negatives.T + correction
    top = scores.max(axis=1, keepdims=True)
    mass = np.exp(scores - top)
    whole = mass.sum(axis=1, keepdims=True)
    against = (np.log(whole) + top)[:, 0] + margin
    owner = np.repeat(np.arange(len(head)), supports.k)
    own = np.einsum("ed,ed->e", items[supports.item], head[owner])
    pull = supports.weight * _sigmoid(against[owner] - own)
    matrix = sp.csr_matrix((pull, supports.item, supports.indptr), shape=(len(head), len(items)))
    total = np.asarray(matrix.sum(axis=1), dtype=np.float32)
    return np.asarray(total * ((mass / whole) @ negatives) - matrix @ items, dtype=np.float32)


def fold(numbers: Numbers, head: NDArray[np.float32], layer: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return (users, D) u + P Q u on the text places: the vector that scores as the adapted projection does."""
    if layer is None:
        return head
    text = layer.shape[2]
    moved = np.matmul(layer, head[:, :text, None])[:, :, 0]
    return np.hstack([head[:, :text] + moved @ numbers["down"].T, head[:, text:]])


def _both(
    numbers: Numbers,
    step: int,
    rates: NDArray[np.float32],
    head: NDArray[np.float32],
    layer: NDArray[np.float32],
    gradient: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Move head and projection, given the gradient at the folded head."""
    text = layer.shape[2]
    inside = gradient[:, :text] @ numbers["down"]
    back = np.matmul(inside[:, None, :], layer)[:, 0]
    of_head = np.hstack([gradient[:, :text] + back, gradient[:, text:]])
    of_layer = inside[:, :, None] * head[:, None, :text]
    return head - rates * of_head, layer - numbers["layer_rates"][step] * of_layer


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float32)


_STEPS = ("rates", "margin")
ANIL = Head(SETTINGS, _STEPS, adapt)
MAML = Head({**SETTINGS, "rank": 4}, (*_STEPS, "down", "layer", "layer_rates"), adapt)
PROTO_MAML = Head({**SETTINGS, "start": "prototype"}, (*_STEPS, "prototype"), adapt)
