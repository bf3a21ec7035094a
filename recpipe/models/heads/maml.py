r"""Learners that take gradient steps: MAML, ANIL, and prototypes refined by steps.

A head h scores :math:`s_i = x_i h`. It starts from h₀, and takes some steps down the inner loss of the support,

.. math:: L(h) = Σ_j w_j \log\left(1 + e^{m - s_j} Σ_n e^{s_n} / (N q_n)\right)

the cross-entropy of each item of the support against the catalogue, whose sum is estimated from N items drawn evenly
from the distribution of sales q (the same ones for everybody); m is learned. What the user has beyond h₀ is his vector,
so everybody starts from the item bias and nobody moves without a support.

Step t moves every parameter with a rate of its own (Meta-SGD, Li et al. 2017; one set a step as in MAML++, Antoniou et
al. 2019). ANIL (Raghu et al. 2020) moves h. MAML (Finn et al. 2017) moves the projection of the text places too, in few
dimensions: :math:`z → z(I + P Q_u)`, P learned, Q_u adapted. As :math:`z(I + P Q)u = z(u + P Q u)`, its result folds
into the user vector. The prototype version starts from h₀ and the support's mean (Triantafillou et al. 2020, section 3).

The gradient of the inner loss stands here in closed form, :math:`g(h, θ)` for the learned numbers θ. Serving takes it as it
is; training takes it too, and the outer gradient goes through it, :math:`∂h'/∂h = I - R ∂g/∂h`: one of the second order
(Finn et al. 2017, section 2.2). ``maml_first_order`` takes g for constant, so that :math:`∂h'/∂h = I` (their section 5.2,
FOMAML): the margin, which only g depends on, is then not learned, and a step costs about half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recpipe.models.arrays import Array, Arrays, Entries, normal_numbers
from recpipe.models.heads.headed import Headed
from recpipe.models.representation import Numbers, scale_of

SETTINGS: Mapping[str, Any] = {
    "steps": 3,  # of the inner loop
    "negatives": 128,  # N
    "order": 2,  # of the outer gradient: 1 takes the inner one for constant
    "start": "shared",  # or "prototype"
    "rank": 0,  # of the adapted projection; 0 leaves it alone
}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "anil": {},
    "maml": {"rank": 4},
    "maml_first_order": {"rank": 4, "order": 1},
    "proto_maml": {"start": "prototype"},
}


class MAML(Headed):
    """MAML, ANIL or refined prototypes, by their settings."""

    MATRICES: ClassVar[tuple[str, ...]] = (*Headed.MATRICES, "down", "layer")

    @classmethod
    def own_settings(cls, head: str) -> Mapping[str, Any]:
        """Return the settings of the inner loop."""
        return {**SETTINGS, **KINDS[head]}

    @classmethod
    def own_start(cls, head: str, width: int, features: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return rates and margin, and what else the kind adapts."""
        settings = cls.own_settings(head)
        steps, rank, prototype = settings["steps"], settings["rank"], settings["start"] == "prototype"
        rates = np.full((steps, width + 1 + features), 0.3 if prototype else 1.5, np.float32)
        rates[:, width + 1 :] = 0.01
        own = {"rates": rates, "margin": np.array([-4.0], np.float32), "temperature": np.zeros(2, np.float32)}
        if prototype:
            own["prototype"] = np.array([1.0, 0.0], np.float32)
        if rank:
            own["down"] = normal_numbers(seed)(width, rank) / np.float32(width**0.5)
            own["layer"] = np.zeros((rank, width), np.float32)
            own["layer_rates"] = np.full((steps, rank, width), 0.1, np.float32)
        return own

    @staticmethod
    def adapted(
        numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Take the inner steps, for all users at once."""
        start, features = shared_start(numbers, x.shape[1], xp), numbers["trend"].shape[1]
        head = start[None, :] + xp.zeros(len(entries), x.shape[1], x)
        if settings["start"] == "prototype":
            mean = xp.unit(xp.mixed(x[:, :-features], entries.weight, entries))
            moved = xp.cast(scale_of(numbers["prototype"], entries.size, xp), x)[:, None] * mean
            head = xp.concat([head[:, :-features] + moved, head[:, -features:]])
        head = descended(numbers, settings, x, entries, head, xp)
        moved = xp.cast(scale_of(numbers["temperature"], entries.size, xp), x)[:, None] * (head - start)
        return moved[:, :-features], moved[:, -features:], entries.weight


def shared_start(numbers: Numbers, width: int, xp: Arrays) -> Array:
    """Return (D,) h₀: the learned start, and 0 on the factors."""
    factors = xp.zeros(1, width - len(numbers["start"]) - len(numbers["bias"]), numbers["start"])[0]
    return xp.stacked([numbers["start"], factors, numbers["bias"]])


def rates_of(numbers: Numbers, width: int, xp: Arrays) -> Array:
    """Return (steps, D): the inner rates; all factors have one."""
    text, features, rates = numbers["own"].shape[1], numbers["trend"].shape[1], numbers["rates"]
    factors = rates[:, text : text + 1] + xp.zeros(len(rates), width - text - features, rates)
    return xp.concat([rates[:, :text], factors, rates[:, text + 1 :]])


def negatives_of(x: Array, features: int, count: int, xp: Arrays) -> tuple[Array, Array]:
    """Return (N,) rows of items, evenly spaced over the distribution of sales, and −log(N q) of each.

    Systematic sampling: the n-th item is where the cumulative distribution passes (n + ½) / N, the same ones for everybody.
    Sales are those of the slowest half-life among the features; to the power ¾, and of unsold items a little.
    """
    sold = xp.expm1(xp.double(xp.constant(x[:, -2]))) * (features > 1)
    mass = (sold + 0.1) ** 0.75
    mass = mass / mass.sum()
    rows = xp.quantiles(mass, count)
    return rows, xp.cast(-xp.log(count * mass[rows]), x)


def descended(numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, head: Array, xp: Arrays) -> Array:
    """Return (users, D) heads after the inner steps, an adapted projection folded into them."""
    rows, correction = negatives_of(x, numbers["trend"].shape[1], settings["negatives"], xp)
    negatives, rates, layer = x[rows], rates_of(numbers, x.shape[1], xp), None
    if settings["rank"]:
        layer = numbers["layer"][None] + xp.zeros(len(head), 1, x)[:, :, None]
    for step in range(settings["steps"]):
        folded = fold(numbers, head, layer, xp)
        gradient = inner_gradient(x, entries, negatives, correction, numbers["margin"][0], folded, xp)
        if settings["order"] == 1:
            gradient = xp.constant(gradient)
        if layer is None:
            head = head - rates[step] * gradient
        else:
            head, layer = _both(numbers, step, rates[step], head, layer, gradient, xp)
    return fold(numbers, head, layer, xp)


def inner_gradient(
    x: Array, entries: Entries, negatives: Array, correction: Array, margin: Array, head: Array, xp: Arrays
) -> Array:
    """Return (users, D): the gradient of the inner loss at the heads (users, D)."""
    scores = head @ negatives.T + correction
    top = xp.highest(scores)
    mass = xp.exp(scores - top)
    whole = mass.sum(1)[:, None]
    against = (xp.log(whole) + top)[:, 0] + margin
    own = xp.einsum("ed,ed->e", x[entries.item], head[entries.owner])
    pull = entries.weight * xp.sigmoid(against[entries.owner] - own)
    total = xp.cast(xp.sums(pull, entries), x)[:, None]
    return total * ((mass / whole) @ negatives) - xp.mixed(x, pull, entries)


def fold(numbers: Numbers, head: Array, layer: Array | None, xp: Arrays) -> Array:
    """Return (users, D) u + P Q u on the text places: the vector that scores as the adapted projection does."""
    if layer is None:
        return head
    text = layer.shape[2]
    moved = (layer @ head[:, :text, None])[:, :, 0]
    return xp.concat([head[:, :text] + moved @ numbers["down"].T, head[:, text:]])


def _both(
    numbers: Numbers, step: int, rates: Array, head: Array, layer: Array, gradient: Array, xp: Arrays
) -> tuple[Array, Array]:
    """Move head and projection, given the gradient at the folded head."""
    text = layer.shape[2]
    inside = gradient[:, :text] @ numbers["down"]
    back = (inside[:, None, :] @ layer)[:, 0]
    of_head = xp.concat([gradient[:, :text] + back, gradient[:, text:]])
    of_layer = inside[:, :, None] * head[:, None, :text]
    return head - rates * of_head, layer - numbers["layer_rates"][step] * of_layer
