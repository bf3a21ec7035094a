"""The prototypical network as it is trained: the formulas of `recpipe.models.numpy_forms.prototypical` in torch, and their loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from recpipe.dataset.episodes import Episodes
from recpipe.models.numpy_forms.prototypical import SETTINGS, Prototypical, View, look, powered_weights
from recpipe.models.torch_forms import Network, Rates

Tensors = dict[str, torch.Tensor]
LEARNED = ("own", "met", "gate", "temperature", "neighbour", "bias", "trend")


@dataclass(frozen=True)
class Items:
    """A `View` on the device, and what could be recommended at its instant."""

    own: torch.Tensor
    met: torch.Tensor
    log_count: torch.Tensor
    features: torch.Tensor
    view: View
    available: NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Episodes of one instant, on the device of its items.

    Attributes
    ----------
    weight
        (users, items) weights of the supports, each row of sum 1 or zeros.
    k
        (users, 1) items that count in the support.
    near
        (users, items) weighted similarity of the support to every item: nothing in it is learned.
    allowed
        (users, items) bool: on sale at the cut, and new to the user.
    target
        (users, items) the query, each row of sum 1.
    """

    weight: torch.Tensor
    k: torch.Tensor
    near: torch.Tensor
    allowed: torch.Tensor
    target: torch.Tensor


def initial_tensors(view: View, width: int, seed: int, device: str) -> Tensors:
    """Return the network before training: cosine of texts, kept as well as ``width`` dimensions can, and item kNN.

    The projections start at the principal directions of the text vectors; only inner products of projected vectors are
    used, so the signs and rotations that a decomposition is free in have no effect. Nothing is drawn: the seed changes
    nothing.
    """
    vectors, features = view.own.astype(np.float64), view.features.shape[1]
    moment = vectors.T @ vectors
    _, directions = np.linalg.eigh(moment)
    start = torch.tensor(np.ascontiguousarray(directions[:, ::-1][:, :width]), dtype=torch.float32)
    popular = torch.zeros(features)
    popular[0] = 1.0
    tensors = {
        "own": start,
        "met": start.clone(),
        "gate": torch.tensor([-1.0, 0.3]),
        "temperature": torch.tensor([1.0, 0.0]),
        "neighbour": torch.tensor([4.0, 0.0]),
        "bias": popular,
        "trend": torch.zeros(2, features),
    }
    return {name: tensor.to(device).requires_grad_() for name, tensor in tensors.items()}


def parameter_groups(tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
    """Return the optimiser's groups; only the projections decay."""
    wide = [tensors["own"], tensors["met"]]
    few = [tensor for name, tensor in tensors.items() if name not in ("own", "met")]
    slow, fast = rates.projection_learning_rate, rates.learning_rate
    return [
        {"params": wide, "lr": slow, "initial_lr": slow, "weight_decay": rates.weight_decay},
        {"params": few, "lr": fast, "initial_lr": fast, "weight_decay": 0.0},
    ]


def to_learner(tensors: Tensors, settings: Mapping[str, Any]) -> Prototypical:
    """Return the network as a learner."""
    return Prototypical(
        **{name: tensors[name].detach().cpu().float().numpy().copy() for name in LEARNED}, settings=dict(settings)
    )


def to_items(view: View, available: NDArray[np.bool_], device: str) -> Items:
    """Move what the network sees of the items to a device."""

    def moved(array: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Items(moved(view.own), moved(view.met), moved(view.log_count), moved(view.features), view, available)


def to_batch(episodes: Episodes, items: Items, settings: Mapping[str, Any]) -> Batch:
    """Lay out episodes as matrices on the device of the items."""
    users, count = len(episodes), len(items.available)
    weights = powered_weights(episodes.support, count, settings["weight_power"])
    allowed = np.repeat(items.available[None, :], users, axis=0)
    allowed[np.repeat(np.arange(users), np.diff(episodes.seen_indptr)), episodes.seen_item] = False
    target = np.zeros(allowed.shape, np.float32)
    target[np.repeat(np.arange(users), np.diff(episodes.query_indptr)), episodes.query_item] = 1
    target *= allowed  # what was not delivered by the cut could not have been recommended
    target /= np.maximum(target.sum(1, keepdims=True), 1)
    arrays: list[NDArray[Any]] = [
        weights.toarray(),
        np.diff(weights.indptr).astype(np.float32)[:, None],
        (weights @ items.view.similar.T).toarray(),
        allowed,
        target,
    ]
    return Batch(*(torch.from_numpy(np.ascontiguousarray(array)).to(items.own.device) for array in arrays))


def scores(tensors: Tensors, items: Items, batch: Batch) -> torch.Tensor:
    """Return (users, items), as `Prototypical` scores them."""
    gate = torch.sigmoid(tensors["gate"][0] + tensors["gate"][1] * items.log_count)
    z = normalize(items.own @ tensors["own"] + gate[:, None] * (items.met @ tensors["met"]), dim=1)
    size = torch.log1p(batch.k)
    prototype = normalize(batch.weight @ z, dim=1)
    temperature = torch.exp(tensors["temperature"][0] + tensors["temperature"][1] * size)
    neighbour = torch.exp(tensors["neighbour"][0] + tensors["neighbour"][1] * size)
    trend = (tensors["trend"][0] + size * tensors["trend"][1]) * (batch.k > 0)
    return temperature * (prototype @ z.T) + neighbour * batch.near + (trend + tensors["bias"]) @ items.features.T


def loss_of(tensors: Tensors, items: Items, batch: Batch, settings: Mapping[str, Any]) -> torch.Tensor:
    """Return the mean over episodes of the cross-entropy between the query and a softmax over what could be recommended."""
    logits = scores(tensors, items, batch).float().masked_fill(~batch.allowed, -torch.inf)
    logs = torch.log_softmax(logits, dim=1).masked_fill(~batch.allowed, 0.0)
    counted = batch.target.sum(1) > 0
    return -(batch.target * logs).sum() / counted.sum().clamp(min=1)


NETWORK = Network(
    name=Prototypical.name,
    settings=SETTINGS,
    look=look,
    initial_tensors=initial_tensors,
    parameter_groups=parameter_groups,
    to_items=to_items,
    to_batch=to_batch,
    loss_of=loss_of,
    to_learner=to_learner,
)
