"""Learners whose score is a product of vectors, as they are taught: by a softmax over all that could be recommended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes
from recpipe.dataset.history import Evidence
from recpipe.models.arrays import Array, Entries, torch_arrays
from recpipe.models.heads import HEADS
from recpipe.models.prototypical import Prototypical
from recpipe.models.representation import Represented, View, counting, look
from recpipe.training.networks.network import Network, Rates, group_of, moved

Tensors = dict[str, torch.Tensor]
KINDS: Mapping[str, type[Represented]] = {Prototypical.name: Prototypical, **HEADS}


@dataclass(frozen=True)
class Items:
    """What is seen of the items, in tensors; the similarities as they were; and what could be recommended at the instant."""

    view: View
    similar: Any
    available: NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Episodes of one instant, on the device of its items.

    Attributes
    ----------
    entries
        What counts in the supports.
    near
        (users, items) similarity of the support to every item, by the weights of its entries: nothing in it is learned.
    allowed
        (users, items) bool: on sale at the cut, and new to the user.
    target
        (users, items) the query, each row of sum 1.
    """

    entries: Entries
    near: torch.Tensor
    allowed: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True)
class CatalogueSoftmax(Network):
    """The prototypical network, or a learner with a head; ``kind`` holds its formulas."""

    kind: type[Represented]

    def look(self, evidence: Evidence) -> View:
        """Compute what the learner sees of the items."""
        return look(evidence, self.settings)

    def start(self, view: View, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return what the learner starts from."""
        return self.kind.start(self.name, view, width, seed)

    def parameter_groups(self, tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
        """Return groups: matrices learn slowly and decay."""
        matrices = [name for name in self.kind.MATRICES if name in tensors]
        few = [tensor for name, tensor in tensors.items() if name not in matrices]
        slow = group_of([tensors[name] for name in matrices], rates.projection_learning_rate, rates.weight_decay)
        return [slow, group_of(few, rates.learning_rate)]

    def to_items(self, view: View, available: NDArray[np.bool_], device: str) -> Items:
        """Move what the network sees of the items to a device."""
        whole = view.similar.tocoo()
        at = torch.from_numpy(np.stack([whole.row, whole.col]).astype(np.int64))
        similar = torch.sparse_coo_tensor(at, torch.from_numpy(whole.data), whole.shape, check_invariants=True)
        seen = replace(view.with_each(lambda array: moved(array, device)), similar=similar.coalesce().to(device))
        return Items(seen, view.similar, available)

    def to_batch(self, episodes: Episodes, items: Items) -> Batch:
        """Lay out episodes on the device of the items."""
        device = items.view.own.device
        known = counting(episodes.support, self.settings["weight_power"])
        weights = known.matrix(len(items.available))
        allowed, target = _asked(episodes, items.available)
        arrays = [(weights @ items.similar.T).toarray(), allowed, target]
        return Batch(entries_on(known, device), *(moved(array, device) for array in arrays))

    def loss(self, tensors: Tensors, items: Items, batch: Batch) -> torch.Tensor:
        """Return the mean over episodes of the cross-entropy between the query and a softmax over what could be recommended."""
        with torch.autocast(items.view.own.device.type, enabled=False):  # solves and inner steps want single precision
            logits: torch.Tensor = self.scores(tensors, items, batch).float()
            return cross_entropy(logits, batch)

    def scores(self, numbers: Mapping[str, Array], items: Items, batch: Batch) -> Array:
        """Return (users, items) scores, by the formulas that serve."""
        xp = torch_arrays()
        x, bias = self.kind.represented(numbers, items.view, xp)
        users, weight, scale = self.kind.vectors(numbers, self.settings, x, batch.entries, xp)
        near = batch.near if weight is batch.entries.weight else _spread(items.view.similar, weight, batch.entries, len(x))
        return users @ x.T + scale[:, None] * near + bias

    def learner(self, numbers: Mapping[str, NDArray[np.float32]]) -> Any:
        """Return the learner of these numbers."""
        return self.kind.made(self.name, numbers, dict(self.settings))


def network_of(name: str) -> CatalogueSoftmax:
    """Return the network of a learner, with its usual settings."""
    return CatalogueSoftmax(name, KINDS[name].usual_settings(name), KINDS[name])


def cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean over episodes that have a query; what could not be recommended is no rival."""
    logs = torch.log_softmax(logits.masked_fill(~batch.allowed, -torch.inf), dim=1).masked_fill(~batch.allowed, 0.0)
    counted = batch.target.sum(1) > 0
    return -(batch.target * logs).sum() / counted.sum().clamp(min=1)


def entries_on(known: Entries, device: str | torch.device) -> Entries:
    """Return what counts in supports as tensors on a device."""
    item, owner = (moved(array.astype(np.int64), device) for array in (known.item, known.owner))
    weight, age, size = (moved(array.astype(np.float32), device) for array in (known.weight, known.age, known.size))
    return Entries(known.indptr, item, owner, weight, age, size)


def _asked(episodes: Episodes, available: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return (users, items) what could be recommended, and what of it was taken, in rows of sum 1."""
    users = np.arange(len(episodes))
    allowed = np.repeat(available[None, :], len(episodes), axis=0)
    allowed[np.repeat(users, np.diff(episodes.seen_indptr)), episodes.seen_item] = False
    target = np.zeros(allowed.shape, np.float32)
    target[np.repeat(users, np.diff(episodes.query_indptr)), episodes.query_item] = 1
    target *= allowed  # what was not delivered by the cut could not have been recommended
    target /= np.maximum(target.sum(1, keepdims=True), 1)
    return allowed, target


def _spread(similar: torch.Tensor, weight: torch.Tensor, entries: Entries, items: int) -> torch.Tensor:
    """Return (users, items) similarities to supports whose weights are learned."""
    flat = weight.new_zeros(len(entries) * items).index_add(0, entries.owner * items + entries.item, weight)
    near: torch.Tensor = torch.sparse.mm(similar, flat.view(len(entries), items).T).T
    return near
