"""MAML, ANIL and refined prototypes as they are trained; the formulas are those of `recpipe.models.numpy_forms.heads.steps`.

The inner loop runs for all users of a batch at once (`torch.func.vmap` over users, `torch.func.grad` of one user's inner
loss), and the outer gradient goes through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.func import grad, vmap
from torch.nn.functional import normalize, softplus

from recpipe.models.numpy_forms.heads.steps import draw_negatives
from recpipe.models.torch_forms.body import Batch, Items, Tensors, make_network, mean_of, scale_of

Adapted = dict[str, torch.Tensor]
"""What one user adapts: ``head`` (D,), and ``layer`` (rank, p) if the projection moves too."""


def adapt(
    tensors: Tensors, settings: Mapping[str, Any], x: torch.Tensor, items: Items, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take the inner steps of all users at once."""
    places = x.shape[1] - items.features.shape[1]
    text = len(tensors["start"])
    start = torch.cat([tensors["start"], x.new_zeros(places - text), tensors["bias"]])
    rows = x[batch.item]
    adapted = {"head": start.expand(len(rows), -1)}
    if settings["start"] == "prototype":
        unit = normalize(mean_of(rows[:, :, :places], batch.weight), dim=1)
        offset = scale_of(tensors["prototype"], batch.size) * unit
        adapted["head"] = adapted["head"] + torch.nn.functional.pad(offset, (0, x.shape[1] - places))
    if settings["rank"]:
        adapted["layer"] = tensors["layer"].expand(len(rows), -1, -1)
    chosen, correction = draw_negatives(items.view.features, items.features.shape[1], settings["negatives"])
    negatives = x[torch.from_numpy(chosen).to(x.device)]
    corrected = torch.from_numpy(correction).to(x)
    rates = rates_of(tensors, x.shape[1], places)

    def loss(mine: Adapted, support: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return inner_loss(fold(tensors, mine), support, weight, negatives, corrected, tensors["margin"][0])

    gradients = vmap(grad(loss))
    for step in range(settings["steps"]):
        found = gradients(adapted, rows, batch.weight)
        if settings["order"] == 1:
            found = {name: gradient.detach() for name, gradient in found.items()}
        speed = {"head": rates[step], "layer": tensors["layer_rates"][step] if settings["rank"] else None}
        adapted = {name: value - speed[name] * found[name] for name, value in adapted.items()}
    folded = vmap(lambda mine: fold(tensors, mine))(adapted)
    return scale_of(tensors["temperature"], batch.size) * (folded - start), batch.near


def inner_loss(
    head: torch.Tensor,
    support: torch.Tensor,
    weight: torch.Tensor,
    negatives: torch.Tensor,
    correction: torch.Tensor,
    margin: torch.Tensor,
) -> torch.Tensor:
    """Return the inner loss of one user: head (D,), support (longest, D), weight (longest,), negatives (N, D)."""
    against = torch.logsumexp(negatives @ head + correction, dim=0) + margin
    return (weight * softplus(against - support @ head)).sum()


def fold(tensors: Tensors, mine: Adapted) -> torch.Tensor:
    """Return (D,): the vector that scores as head and adapted projection do."""
    if "layer" not in mine:
        return mine["head"]
    text = mine["layer"].shape[1]
    moved = tensors["down"] @ (mine["layer"] @ mine["head"][:text])
    return torch.cat([mine["head"][:text] + moved, mine["head"][text:]])


def rates_of(tensors: Tensors, width: int, places: int) -> torch.Tensor:
    """Return (steps, D): the inner rates; all factors have one."""
    text, rates = len(tensors["start"]), tensors["rates"]
    factors = rates[:, text : text + 1].expand(-1, places - text)
    return torch.cat([rates[:, :text], factors, rates[:, text + 1 :]], dim=1)


def _initial(steps: int, rate: float, rank: int, prototype: bool, shared: Tensors, seed: int) -> Tensors:
    width, features = len(shared["start"]), len(shared["bias"])
    rates = torch.full((steps, width + 1 + features), rate)
    rates[:, width + 1 :] = 0.01
    own = {"rates": rates, "margin": torch.tensor([-4.0]), "temperature": torch.zeros(2)}
    if prototype:
        own["prototype"] = torch.tensor([1.0, 0.0])
    if rank:
        random = torch.Generator().manual_seed(seed)
        own["down"] = torch.randn(width, rank, generator=random) / width**0.5
        own["layer"] = torch.zeros(rank, width)
        own["layer_rates"] = torch.full((steps, rank, width), 0.1)
    return own


ANIL = make_network("anil", adapt, lambda shared, seed: _initial(3, 1.5, 0, False, shared, seed))
MAML = make_network("maml", adapt, lambda shared, seed: _initial(3, 1.5, 4, False, shared, seed), ("down", "layer"))
PROTO_MAML = make_network("proto_maml", adapt, lambda shared, seed: _initial(3, 0.3, 0, True, shared, seed))
