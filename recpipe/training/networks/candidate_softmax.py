"""The pair network and the stack as they are taught: by a softmax over the candidates that something speaks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.episodes import Episodes, choose
from recpipe.dataset.history import Evidence
from recpipe.evidence.gathering import Candidates
from recpipe.evidence.item_features import SETTINGS, Pairs
from recpipe.evidence.layout import kinds_given, layout_of, used
from recpipe.models.arrays import Array, torch_arrays
from recpipe.models.pair_network import (
    HIDDEN,
    STACK,
    PairNetwork,
    candidates_of,
    fresh,
    judged_by,
    knowledge,
    look,
    popularity,
    recent_sales,
    start,
    start_trend,
    start_weights,
    weeks_of,
)
from recpipe.training.networks.network import Network, Rates, arrays_of, group_of, moved

Tensors = dict[str, torch.Tensor]
FIRST, EVERY = 300, 4
"""Candidates of an episode: the first so many by the starting weights, and every so manieth of the others."""
DECAY, TREND_DECAY = 1e-3, 1.0
"""What a squared difference from the starting weights costs; trends hardly move, for what sold of late misleads."""
LAYOUT = ("kinds", "recent", "fade", "whole")
"""Settings that say which evidence the numbers are of."""
FEW, WIDE = ("weights", "trend", "recent"), ("first", "first_bias", "second", "second_bias", "last")


@dataclass(frozen=True)
class Items:
    """The evidence of an instant, and what could be recommended then."""

    pairs: Pairs
    available: NDArray[np.bool_]
    device: str


@dataclass(frozen=True)
class Batch:
    """Candidates of some episodes, one after the other.

    Attributes
    ----------
    users
        Episodes.
    seen
        (candidates, features) evidence.
    known
        (candidates,) κ.
    trend
        (candidates, trends), the season being that of the list's instant.
    fresh
        (candidates,) how much recent sales count.
    new
        (candidates,) whether the user has no support.
    user
        (candidates,) episode that a candidate belongs to.
    target
        (candidates,) 1 / √hits where the candidate is in the query: between one voice a user and one a hit.
    """

    users: int
    seen: torch.Tensor
    known: torch.Tensor
    trend: torch.Tensor
    fresh: torch.Tensor
    new: torch.Tensor
    user: torch.Tensor
    target: torch.Tensor


class CandidateSoftmax(Network):
    """The pair network, or the stack, which has no hidden layer."""

    def look(self, evidence: Evidence) -> Pairs:
        """Let the items speak for each other."""
        return look(evidence, self.settings)

    def start(self, view: Pairs, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the numbers every shop starts from; ``width`` has no meaning here."""
        return start(0 if self.name == STACK else HIDDEN, seed, self.settings)

    def for_catalogue(self, catalogue: Catalogue) -> CandidateSoftmax:
        """Leave out the kinds of evidence that the catalogue cannot give."""
        return self.with_settings(kinds=kinds_given(layout_of(self.settings).kinds, catalogue))

    def going_on(self, settings: Mapping[str, Any]) -> CandidateSoftmax:
        """Look at the kinds of evidence that the model to go on from looks at: its numbers are those of its kinds."""
        mine = {name: held for name, held in self.settings.items() if name not in LAYOUT}
        return replace(self, settings={**mine, **{name: settings[name] for name in LAYOUT if name in settings}})

    def parameter_groups(self, tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
        """Return groups: the linear weights learn fast, the hidden layers slowly and with decay."""
        slow = rates.projection_learning_rate * 20
        return [
            group_of([tensors[name] for name in FEW], rates.learning_rate / 2),
            group_of([tensors[name] for name in WIDE], slow, rates.weight_decay),
        ]

    def to_items(self, view: Pairs, available: NDArray[np.bool_], device: str) -> Items:
        """Keep the evidence where it is: candidates are gathered on the CPU and scored on the device."""
        return Items(view, available, device)

    def to_batch(self, episodes: Episodes, items: Items) -> Batch:
        """Gather the candidates of some episodes, and keep those that teach the most."""
        count = len(items.available)
        found = candidates_of(items.pairs, episodes.support, self.settings)
        user = np.repeat(np.arange(len(episodes)), np.diff(found.indptr))
        key = user.astype(np.int64) * count + found.item
        seen = _keys(episodes.seen_indptr, episodes.seen_item, count)
        keep = np.flatnonzero(items.available[found.item] & ~np.isin(key, seen))
        keep = keep[_chosen(found.seen[keep], user[keep], start_weights(self.settings))]
        hit = np.isin(key[keep], _keys(episodes.query_indptr, episodes.query_item, count))
        return _laid_out(episodes, items, found, keep, user[keep], hit)

    def loss(self, tensors: Tensors, items: Items, batch: Batch) -> torch.Tensor:
        """Return the mean over episodes of the cross-entropy of the query under a softmax over the candidates."""
        values: torch.Tensor = scores(tensors, batch).float()
        none = torch.full((batch.users,), -1e9, device=values.device)
        highest = none.scatter_reduce(0, batch.user, values.detach(), "amax")
        shifted = values - highest[batch.user]
        sums = torch.zeros_like(highest).index_add(0, batch.user, torch.exp(shifted))
        logs = shifted - torch.log(sums.clamp(min=1e-30))[batch.user]
        return -(logs * batch.target).sum() / batch.users + self._decay(tensors)

    def _decay(self, tensors: Tensors) -> torch.Tensor:
        """Return what being away from the starting weights costs."""
        begun = torch.zeros_like(tensors["weights"])
        begun[0] = torch.from_numpy(start_weights(self.settings)).to(begun.device)
        away = ((tensors["weights"] - begun) ** 2).sum() * DECAY
        return away + ((tensors["trend"] - torch.from_numpy(start_trend()).to(begun.device)) ** 2).sum() * TREND_DECAY

    def learner(self, numbers: Mapping[str, NDArray[np.float32]]) -> PairNetwork:
        """Return the learner of these numbers."""
        return PairNetwork(**numbers, kind=self.name, settings=dict(self.settings))


def network_of(name: str) -> CandidateSoftmax:
    """Return the pair network or the stack."""
    return CandidateSoftmax(name, {**SETTINGS, "closed_forms_alone": True} if name == STACK else SETTINGS)


def scores(numbers: Mapping[str, Array], batch: Batch) -> Array:
    """Return (candidates,) scores."""
    total = judged_by(numbers, batch.seen, batch.known, torch_arrays()) + batch.fresh * recent_sales(numbers, batch.trend)
    return torch.where(batch.new > 0, popularity(numbers, batch.trend), total)


def fit_stack(
    windows: Sequence[tuple[Episodes, Items]], settings: Mapping[str, Any], seed: int, steps: int, batch_users: int, rate: float
) -> PairNetwork:
    """Fit the stack of closed forms on evidence that was gathered for the network.

    Parameters
    ----------
    windows
        Episodes and evidence of some instants; only what the closed forms say of it is used.
    settings
        Of the network.
    seed
        Of the batches.
    steps, batch_users, rate
        Updates, episodes each, and the learning rate at their beginning; it falls to zero in a straight line.
    """
    stack = network_of(STACK).with_settings(**{**settings, "closed_forms_alone": True})
    tensors = stack.initial_tensors(windows[0][1].pairs, 0, seed, windows[0][1].device)
    optimiser = torch.optim.AdamW([tensors[name] for name in FEW], lr=rate, weight_decay=0.0)
    alone = [(episodes, replace(items, pairs=closed_forms_of(items.pairs, settings))) for episodes, items in windows]
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        episodes, items = alone[int(random.integers(len(alone)))]
        rows = random.choice(len(episodes), min(batch_users, len(episodes)), replace=False)
        loss = stack.loss(tensors, items, stack.to_batch(choose(episodes, rows), items))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.step()
    return stack.learner(arrays_of(tensors))


def closed_forms_of(pairs: Pairs, settings: Mapping[str, Any]) -> Pairs:
    """Return the same evidence, of which only what closed forms say is seen."""
    return replace(pairs, used=used({**settings, "closed_forms_alone": True}))


def _laid_out(
    episodes: Episodes, items: Items, found: Candidates, keep: NDArray[np.intp], user: NDArray[np.intp], hit: NDArray[np.bool_]
) -> Batch:
    """Return the batch of some candidates, their episodes, and whether they are in the query."""
    item = found.item[keep]
    trend, ahead = items.pairs.trend[item].copy(), np.zeros(len(episodes), np.float32)
    if episodes.support.ahead_days is not None:
        ahead = episodes.support.ahead_days
        trend[:, -1] = items.pairs.season[weeks_of(items.pairs, ahead / 7)[user], item]
    hits = np.bincount(user, hit, minlength=len(episodes))
    arrays: list[NDArray[Any]] = [
        found.seen[keep],
        knowledge(found.k)[user].astype(np.float32),
        trend,
        fresh(ahead)[user].astype(np.float32),
        (found.k[user] == 0).astype(np.float32),
        user,
        (hit / np.sqrt(np.maximum(hits, 1))[user]).astype(np.float32),
    ]
    return Batch(len(episodes), *(moved(array, items.device) for array in arrays))


def _chosen(seen: NDArray[np.float32], user: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return rows of the first candidates of each user by some weights, and some of the others, in order."""
    value = seen @ weights
    order = np.lexsort((np.arange(len(user)), -value, user))
    place = np.arange(len(user)) - np.searchsorted(user, user[order])
    return np.sort(order[(place < FIRST) | (place % EVERY == 0)])


def _keys(indptr: NDArray[np.int64], item: NDArray[np.int32], items: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr)) * items + item
