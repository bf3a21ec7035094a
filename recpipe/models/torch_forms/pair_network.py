"""The pair network and the stack as they are trained: the formulas of `recpipe.models.numpy_forms.pair_network` in torch, and their loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes, choose
from recpipe.dataset.support import newest, support_weights
from recpipe.evidence.item_features import RECENT, SETTINGS, TRENDS, Pairs, features, gather
from recpipe.evidence.item_features import used as used_features
from recpipe.models.numpy_forms import pair_network as used
from recpipe.models.numpy_forms.pair_network import PairNetwork, fresh, knowledge, week_of
from recpipe.models.torch_forms import Network, Rates

Tensors = dict[str, torch.Tensor]
START: Mapping[str, float] = {"log knn": 1.0, "log ease": 0.3, "log words": 0.3}
"""Weights before training: what every shop has in common. Only differences from them decay."""
START_SALES, START_TREND = 0.3, {"90 days": 0.5, "users of 365 days": 0.5}
FIRST, EVERY = 300, 4
"""Candidates of an episode: the first so many by the starting weights, and every so manieth of the others."""
HIDDEN = 32
DECAY, TREND_DECAY = 1e-3, 1.0
"""What a squared difference from the starting weights costs; trends hardly move, for what sold of late misleads."""


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
    seen
        (candidates, features).
    trend
        (candidates, trends), the season being that of the list's instant.
    fresh
        (candidates,) how much recent sales count.
    known
        (candidates,) κ.
    new
        (candidates,) whether the user has no support.
    user
        (candidates,) episode that a candidate belongs to.
    target
        (candidates,) 1 / √hits where the candidate is in the query: between one voice a user and one a hit.
    """

    seen: torch.Tensor
    trend: torch.Tensor
    fresh: torch.Tensor
    known: torch.Tensor
    new: torch.Tensor
    user: torch.Tensor
    target: torch.Tensor
    users: int


def initial_tensors(view: Pairs, width: int, seed: int, device: str, hidden: int = HIDDEN) -> Tensors:
    """Return the weights every shop starts from, and hidden layers that say nothing yet; ``width`` has no meaning here."""
    names, generator = features(), torch.Generator().manual_seed(seed)
    weights = torch.zeros(2, len(names))
    weights[0] = torch.from_numpy(start_weights())

    def drawn(rows: int, columns: int) -> torch.Tensor:
        scale: float = (2.0 / max(rows, 1)) ** 0.5
        return scale * torch.randn(rows, columns, generator=generator)

    tensors = {"weights": weights, "trend": start_trend(), "recent": torch.zeros(len(RECENT))}
    tensors |= {"first": drawn(len(names) + 1, hidden), "first_bias": torch.zeros(hidden)}
    tensors |= {"second": drawn(hidden, hidden), "second_bias": torch.zeros(hidden), "last": torch.zeros(hidden)}
    return {name: tensor.to(device).requires_grad_() for name, tensor in tensors.items()}


def start_weights() -> NDArray[np.float32]:
    """Return (features,) the weights before training."""
    given = {**START, features()[-1]: START_SALES}
    return np.array([given.get(name, 0.0) for name in features()], np.float32)


def start_trend() -> torch.Tensor:
    """Return (trends,) the weights of an item's sales for users without support, before training."""
    return torch.tensor([START_TREND.get(name, 0.0) for name in TRENDS])


def parameter_groups(tensors: Tensors, rates: Rates) -> list[dict[str, Any]]:
    """Return the optimiser's groups: the linear weights learn fast, the hidden layers slowly and with decay."""
    few, wide = ("weights", "trend", "recent"), ("first", "first_bias", "second", "second_bias", "last")
    fast, slow = rates.learning_rate / 2, rates.projection_learning_rate * 20
    return [
        {"params": [tensors[name] for name in few], "lr": fast, "initial_lr": fast, "weight_decay": 0.0},
        {"params": [tensors[name] for name in wide], "lr": slow, "initial_lr": slow, "weight_decay": rates.weight_decay},
    ]


def to_items(view: Pairs, available: NDArray[np.bool_], device: str) -> Items:
    """Keep the evidence where it is: candidates are gathered on the CPU and scored on the device."""
    return Items(view, available, device)


def to_batch(episodes: Episodes, items: Items, settings: Mapping[str, Any]) -> Batch:
    """Gather the candidates of some episodes."""
    count = len(items.available)
    found = gather(items.pairs, support_weights(newest(episodes.support, settings["newest"]), count))
    user = np.repeat(np.arange(len(episodes)), np.diff(found.indptr))
    key = user.astype(np.int64) * count + found.item
    seen = _keys(episodes.seen_indptr, episodes.seen_item, count)
    keep = np.flatnonzero(items.available[found.item] & ~np.isin(key, seen))
    keep = keep[_chosen(found.seen[keep], user[keep])]
    key, user, item = key[keep], user[keep], found.item[keep]
    hit = np.isin(key, _keys(episodes.query_indptr, episodes.query_item, count))
    hits = np.bincount(user, hit, minlength=len(episodes))
    trend = items.pairs.trend[item].copy()
    ahead = np.zeros(len(episodes), np.float32)
    if episodes.support.ahead_days is not None:
        ahead = episodes.support.ahead_days
        week = np.array([week_of(items.pairs, days / 7) for days in episodes.support.ahead_days], np.int64)
        trend[:, -1] = items.pairs.season[week[user], item]

    def moved(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(items.device)

    return Batch(
        seen=moved(found.seen[keep]),
        trend=moved(trend),
        fresh=moved(fresh(ahead)[user].astype(np.float32)),
        known=moved(knowledge(found.k)[user].astype(np.float32)),
        new=moved((found.k[user] == 0).astype(np.float32)),
        user=moved(user),
        target=moved((hit / np.sqrt(np.maximum(hits, 1))[user]).astype(np.float32)),
        users=len(episodes),
    )


def scores(tensors: Tensors, batch: Batch) -> torch.Tensor:
    """Return (candidates,) scores, as `PairNetwork` gives them."""
    linear = batch.seen @ tensors["weights"].T
    total = linear[:, 0] + batch.known * linear[:, 1]
    if tensors["last"].numel():
        hidden = torch.cat([batch.seen, batch.known[:, None]], 1) @ tensors["first"] + tensors["first_bias"]
        hidden = torch.relu(torch.relu(hidden) @ tensors["second"] + tensors["second_bias"])
        total = total + hidden @ tensors["last"]
    total = total + batch.fresh * (batch.trend[:, RECENT] @ tensors["recent"])
    return torch.where(batch.new > 0, batch.trend @ tensors["trend"], total)


def loss_of(tensors: Tensors, items: Items, batch: Batch, settings: Mapping[str, Any]) -> torch.Tensor:
    """Return the mean over episodes of the cross-entropy of the query under a softmax over the candidates."""
    values = scores(tensors, batch).float()
    none = torch.full((batch.users,), -1e9, device=values.device)
    highest = none.scatter_reduce(0, batch.user, values.detach(), "amax")
    shifted = values - highest[batch.user]
    sums = torch.zeros_like(highest).index_add(0, batch.user, torch.exp(shifted))
    logs = shifted - torch.log(sums.clamp(min=1e-30))[batch.user]
    start = torch.zeros_like(tensors["weights"])
    start[0] = torch.from_numpy(start_weights()).to(start.device)
    decay = ((tensors["weights"] - start) ** 2).sum() * DECAY
    decay = decay + ((tensors["trend"] - start_trend().to(start.device)) ** 2).sum() * TREND_DECAY
    return -(logs * batch.target).sum() / batch.users + decay


def to_learner(tensors: Tensors, settings: Mapping[str, Any], kind: str = used.NETWORK) -> PairNetwork:
    """Return the learner of these tensors."""
    arrays = {name: tensor.detach().cpu().float().numpy().copy() for name, tensor in tensors.items()}
    return PairNetwork(**arrays, kind=kind, settings=dict(settings))


def fit_stack(
    windows: Sequence[tuple[Episodes, Items]], settings: Mapping[str, Any], seed: int, steps: int, batch_users: int, rate: float
) -> PairNetwork:
    """Fit the stack of closed forms on evidence that was gathered for the network.

    Parameters
    ----------
    windows
        Episodes and evidence of some instants; only what the closed forms say of it is used.
    steps, batch_users, rate
        Updates, episodes each, and the learning rate at their beginning; it falls to zero in a straight line.
    """
    tensors = initial_tensors(windows[0][1].pairs, 0, seed, windows[0][1].device, hidden=0)
    settings = {**settings, **STACK.settings}
    optimiser = torch.optim.AdamW([tensors[name] for name in ("weights", "trend", "recent")], lr=rate, weight_decay=0.0)
    alone = [(episodes, replace(items, pairs=closed_forms_of(items.pairs, settings))) for episodes, items in windows]
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        episodes, items = alone[int(random.integers(len(alone)))]
        rows = random.choice(len(episodes), min(batch_users, len(episodes)), replace=False)
        loss = loss_of(tensors, items, to_batch(choose(episodes, rows), items, settings), settings)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.step()
    return to_learner(tensors, settings, used.STACK)


def closed_forms_of(pairs: Pairs, settings: Mapping[str, Any]) -> Pairs:
    """Return the same evidence, of which only what closed forms say is seen."""
    return replace(pairs, used=used_features({**settings, "closed_forms_alone": True}))


def _chosen(seen: NDArray[np.float32], user: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return rows of the first candidates of each user by the starting weights, and some of the others, in order."""
    value = seen @ start_weights()
    order = np.lexsort((np.arange(len(user)), -value, user))
    place = np.arange(len(user)) - np.searchsorted(user, user[order])
    return np.sort(order[(place < FIRST) | (place % EVERY == 0)])


def _keys(indptr: NDArray[np.int64], item: NDArray[np.int32], items: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr)) * items + item


NETWORK = Network(
    name=used.NETWORK,
    settings=SETTINGS,
    look=used.look,
    initial_tensors=initial_tensors,
    parameter_groups=parameter_groups,
    to_items=to_items,
    to_batch=to_batch,
    loss_of=loss_of,
    to_learner=to_learner,
)
STACK = Network(
    name=used.STACK,
    settings={**SETTINGS, "closed_forms_alone": True},
    look=used.look,
    initial_tensors=partial(initial_tensors, hidden=0),
    parameter_groups=parameter_groups,
    to_items=to_items,
    to_batch=to_batch,
    loss_of=loss_of,
    to_learner=partial(to_learner, kind=used.STACK),
)
