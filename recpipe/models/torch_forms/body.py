"""The learners with heads as they are trained: what they share, in torch; the formulas are those of `recpipe.models.numpy_forms.body`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from recpipe.dataset.episodes import Episodes
from recpipe.models.numpy_forms import body
from recpipe.models.numpy_forms.body import View
from recpipe.models.numpy_forms.heads.headed import Headed, heads
from recpipe.models.torch_forms import Network, Rates

Tensors = dict[str, torch.Tensor]
Adapt = Callable[[Tensors, Mapping[str, Any], torch.Tensor, "Items", "Batch"], tuple[torch.Tensor, torch.Tensor]]
"""(numbers, settings, x (items, D), items, batch) -> (users, D) and (users, items) similarity: a head, as in `heads`."""


@dataclass(frozen=True)
class Items:
    """A `View` on the device, and what could be recommended at its instant; ``similar`` is a sparse tensor."""

    own: torch.Tensor
    met: torch.Tensor
    log_count: torch.Tensor
    features: torch.Tensor
    factors: torch.Tensor
    similar: torch.Tensor
    view: View
    available: NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Episodes of one instant, on the device of its items; supports are filled up to the longest one.

    Attributes
    ----------
    item, weight, age
        (users, longest) entries that count: row of the item; weight, of sum 1 a user; days. Zeros after the last.
    inside
        (users, longest) bool: an entry, not a filler.
    size
        (users, 1) log(1 + k).
    near
        (users, items) weighted similarity of the support to every item: nothing in it is learned.
    allowed
        (users, items) bool: on sale at the cut, and new to the user.
    target
        (users, items) the query, each row of sum 1.
    """

    item: torch.Tensor
    weight: torch.Tensor
    age: torch.Tensor
    inside: torch.Tensor
    size: torch.Tensor
    near: torch.Tensor
    allowed: torch.Tensor
    target: torch.Tensor


def initial_tensors(view: View, width: int) -> Tensors:
    """Return what every learner with a head starts from: texts in their principal directions, popularity, item kNN."""
    texts = view.own.astype(np.float64)
    _, directions = np.linalg.eigh(texts.T @ texts)
    start = torch.tensor(np.ascontiguousarray(directions[:, ::-1][:, :width]), dtype=torch.float32)
    features = view.features.shape[1]
    popular = torch.zeros(features)
    popular[0] = 1.0
    return {
        "own": start,
        "met": start.clone(),
        "gate": torch.tensor([-1.0, 0.3]),
        "factor": torch.tensor([-1.0, 0.3, 0.0]),
        "start": torch.zeros(start.shape[1]),
        "bias": popular,
        "temperature": torch.tensor([1.0, 0.0]),
        "neighbour": torch.tensor([4.0, 0.0]),
        "trend": torch.zeros(2, features),
    }


def parameter_groups(tensors: Tensors, rates: Rates, wide: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the optimiser's groups: matrices, ``wide`` ones of the head among them, learn slowly and decay."""
    wide = ("own", "met", "start", *wide)
    matrices = [tensors[name] for name in wide]
    few = [tensor for name, tensor in tensors.items() if name not in wide]
    slow, fast = rates.projection_learning_rate, rates.learning_rate
    return [
        {"params": matrices, "lr": slow, "initial_lr": slow, "weight_decay": rates.weight_decay},
        {"params": few, "lr": fast, "initial_lr": fast, "weight_decay": 0.0},
    ]


def to_items(view: View, available: NDArray[np.bool_], device: str) -> Items:
    """Move what the network sees of the items to a device."""

    def moved(array: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    whole = view.similar.tocoo()
    places = torch.from_numpy(np.stack([whole.row, whole.col]).astype(np.int64))
    similar = torch.sparse_coo_tensor(places, torch.from_numpy(whole.data), whole.shape, check_invariants=True)
    return Items(
        own=moved(view.own),
        met=moved(view.met),
        log_count=moved(view.log_count),
        features=moved(view.features),
        factors=moved(view.factors),
        similar=similar.coalesce().to(device),
        view=view,
        available=available,
    )


def to_batch(episodes: Episodes, items: Items, settings: Mapping[str, Any]) -> Batch:
    """Lay out episodes as matrices on the device of the items."""
    users, count = len(episodes), len(items.available)
    known = body.counting(episodes.support, settings["weight_power"])
    inside = np.arange(max(int(known.k.max(initial=0)), 1))[None, :] < known.k[:, None]

    def padded(values: NDArray[Any], kind: type) -> NDArray[Any]:
        out: NDArray[Any] = np.zeros(inside.shape, kind)
        out[inside] = values
        return out

    allowed = np.repeat(items.available[None, :], users, axis=0)
    allowed[np.repeat(np.arange(users), np.diff(episodes.seen_indptr)), episodes.seen_item] = False
    target = np.zeros(allowed.shape, np.float32)
    target[np.repeat(np.arange(users), np.diff(episodes.query_indptr)), episodes.query_item] = 1
    target *= allowed  # what was not delivered by the cut could not have been recommended
    target /= np.maximum(target.sum(1, keepdims=True), 1)
    arrays: list[NDArray[Any]] = [
        padded(known.item, np.int64),
        padded(known.weight, np.float32),
        padded(known.age_days, np.float32),
        inside,
        np.log1p(known.k).astype(np.float32)[:, None],
        (known.matrix(count) @ items.view.similar.T).toarray(),
        allowed,
        target,
    ]
    return Batch(*(torch.from_numpy(np.ascontiguousarray(array)).to(items.own.device) for array in arrays))


def place(tensors: Tensors, items: Items) -> torch.Tensor:
    """Return (items, p + factors) z."""
    gate = torch.sigmoid(tensors["gate"][0] + tensors["gate"][1] * items.log_count)
    factor = tensors["factor"]
    scale = torch.exp(factor[2]) * torch.sigmoid(factor[0] + factor[1] * items.log_count)
    text = items.own @ tensors["own"] + gate[:, None] * (items.met @ tensors["met"])
    return normalize(torch.cat([text, scale[:, None] * items.factors], dim=1), dim=1)


def scale_of(numbers: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Return (users, 1) exp(n0 + n1 log(1 + k)); 0 where there is no support."""
    return torch.exp(numbers[0] + numbers[1] * size) * (size > 0)


def scores(tensors: Tensors, items: Items, batch: Batch, settings: Mapping[str, Any], adapt: Adapt) -> torch.Tensor:
    """Return (users, items), as `recpipe.models.numpy_forms.heads.headed.Headed` scores them."""
    z = place(tensors, items)
    bias = z[:, : len(tensors["start"])] @ tensors["start"] + items.features @ tensors["bias"]
    x = torch.cat([z, items.features], dim=1)
    users, near = adapt(tensors, settings, x, items, batch)
    trend = (tensors["trend"][0] + batch.size * tensors["trend"][1]) * (batch.size > 0)
    return users @ x.T + trend @ items.features.T + scale_of(tensors["neighbour"], batch.size) * near + bias


def mean_of(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return (users, D): Σ_j weight_j x_j, from (users, longest, D) and (users, longest)."""
    return torch.einsum("ukd,uk->ud", rows, weight)


def loss_of(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean over episodes of the cross-entropy between the query and a softmax over what could be recommended."""
    logs = torch.log_softmax(logits.float().masked_fill(~batch.allowed, -torch.inf), dim=1).masked_fill(~batch.allowed, 0.0)
    counted = batch.target.sum(1) > 0
    return -(batch.target * logs).sum() / counted.sum().clamp(min=1)


def make_network(name: str, adapt: Adapt, initial: Callable[[Tensors, int], Tensors], wide: tuple[str, ...] = ()) -> Network:
    """Return what the training loop asks of a learner with a head.

    Parameters
    ----------
    name
        Of the learner, in `recpipe.models.numpy_forms.heads.headed.heads`.
    adapt
        The head in torch.
    initial
        (shared tensors, seed) -> the head's own tensors, or shared ones anew.
    wide
        Names of the head's matrices.
    """
    head = heads()[name]

    def initial_of(view: View, width: int, seed: int, device: str) -> Tensors:
        shared = initial_tensors(view, width)
        tensors = {**shared, **initial(shared, seed)}
        return {held: tensor.to(device).requires_grad_() for held, tensor in tensors.items()}

    def loss(tensors: Tensors, items: Items, batch: Batch, settings: Mapping[str, Any]) -> torch.Tensor:
        with torch.autocast(items.own.device.type, enabled=False):  # solves and inner steps want single precision
            return loss_of(scores(tensors, items, batch, settings, adapt), batch)

    def learner(tensors: Tensors, settings: Mapping[str, Any]) -> Headed:
        arrays = {held: tensors[held].detach().cpu().float().numpy().copy() for held in (*body.LEARNED, *head.learned)}
        return Headed(name, arrays, dict(settings))

    def groups(tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
        return parameter_groups(tensors, rates, wide)

    return Network(name, head.settings, body.look, initial_of, groups, to_items, to_batch, loss, learner)
