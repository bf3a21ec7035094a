"""The worth of inner steps when a user is served: the same users ranked without and with them, on a window that taught nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from recpipe.dataset.episodes import Episodes, choose, shorten
from recpipe.metrics.intervals import ends, mean_draws
from recpipe.training.encoder.augmentation import tokens_of
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.meta.head_steps import stepped_users
from recpipe.training.encoder.meta.inner_steps import Task, copies, go_down, put_back, support_loss
from recpipe.training.encoder.objectives import unit_vectors
from recpipe.training.encoder.pair_batches import Batch
from recpipe.training.encoder.state import Course
from recpipe.training.encoder.updates.looks import vectors_of
from recpipe.training.model_selection import Window

EPISODES, CANDIDATES, NEGATIVES = 300, 50, 16
"""Users that are measured; items that each one's is ranked among; items that the inner steps tell the support from, which are
not among them."""
DRAWS = 1000


@dataclass(frozen=True)
class Served:
    """A user who is served: the texts' rows in the catalogue, and their places in `Task`.

    Attributes
    ----------
    rows
        (support + negatives + candidates,) rows of the catalogue; the first candidate is the item that was taken.
    task
        Support and negatives of the inner steps; its target is the first candidate.
    """

    rows: NDArray[np.int64]
    task: Task

    @property
    def candidates(self) -> NDArray[np.int64]:
        """Places of the candidates in ``rows``."""
        return np.arange(self.task.target, len(self.rows))


def measure_inner_steps(course: Course, window: Window, titles: Sequence[str], config: Config) -> dict[str, Any]:
    """Return nDCG@10 of users served without and with inner steps, and the difference with its 95 % interval over users.

    Each user's item is ranked among `CANDIDATES` that nobody says the user knows. The steps are those that the run learned for: on
    the head, or on the parameters that its method teaches.
    """
    course.network.eval()
    users = served_users(window, config)
    rows = np.unique(np.concatenate([user.rows for user in users])) if users else np.zeros(0, np.int64)
    known = torch.from_numpy(vectors_of(course.network, course.tokenizer, [titles[int(row)] for row in rows], course.place))
    places = [torch.from_numpy(np.searchsorted(rows, user.rows)) for user in users]
    found = [_both(course, user, known[place], titles, config) for user, place in zip(users, places, strict=True)]
    pairs = np.array(found).reshape(-1, 2)
    low, high = ends(mean_draws(pairs[:, 1] - pairs[:, 0], DRAWS, np.random.default_rng(0))) if len(pairs) else (0.0, 0.0)
    without, with_steps = pairs.mean(0) if len(pairs) else (0.0, 0.0)
    gain = {"mean": float(with_steps - without), "low": low, "high": high}
    said = {"order": config.maml_order, "steps": config.inner_steps, "rate": config.rate_of_inner_steps}
    return {**said, "users": len(pairs), "without": float(without), "with": float(with_steps), "gain": gain}


def in_words(found: Mapping[str, Any]) -> str:
    """Return what was measured as a line."""
    gain = found["gain"]
    return (
        f"{found['steps']} inner steps when a user is served: nDCG@10 {found['without']:.4f} to {found['with']:.4f} among "
        f"{CANDIDATES} items, gain {gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}), {found['users']} users"
    )


def served_users(window: Window, config: Config) -> list[Served]:
    """Return users of a window, the same for every encoder, with items drawn for them."""
    random = np.random.default_rng([config.seed, 1 << 21])
    rows = np.sort(random.choice(len(window.episodes), min(EPISODES, len(window.episodes)), replace=False))
    whole = choose(window.episodes, rows)
    some = shorten(whole, random.integers(1, config.support_items + 1, len(rows)))
    found = [_one(window, some, user, random) for user in range(len(some))]
    return [user for user in found if user is not None]


def _one(window: Window, episodes: Episodes, user: int, random: np.random.Generator) -> Served | None:
    one = choose(episodes, np.array([user]))
    counts = one.support.weight * one.support.label
    query = one.query_item[window.evidence.catalogue.available[one.query_item]]
    free = np.setdiff1d(np.flatnonzero(window.evidence.catalogue.available), np.r_[one.seen_item, one.query_item])
    if not counts.sum() > 0 or not len(query) or len(free) < 2:
        return None
    support = one.support.item[counts > 0].astype(np.int64)
    drawn = random.permutation(free)[: NEGATIVES + CANDIDATES - 1]
    negatives, others = np.split(drawn, [min(NEGATIVES, len(drawn) // 2)])
    first = len(support) + len(negatives)
    weight = (counts[counts > 0] / counts.sum()).astype(np.float32)
    task = Task(np.arange(len(support)), weight, first, np.arange(len(support), first))
    return Served(np.r_[support, negatives, query[:1], others].astype(np.int64), task)


def _both(course: Course, user: Served, vectors: torch.Tensor, titles: Sequence[str], config: Config) -> tuple[float, float]:
    """Return nDCG@10 of a user without and with inner steps, by the vectors of ``user.rows``."""
    without = _ndcg(_prototype(vectors, user), vectors, user)
    if config.maml_order != "second-on-head":
        return without, _after_steps(course, user, titles, config)
    steps = (config.temperature, config.inner_steps, config.rate_of_inner_steps)
    return without, _ndcg(stepped_users(vectors, _batch(user), *steps, learns=False)[0].detach(), vectors, user)


def _after_steps(course: Course, user: Served, titles: Sequence[str], config: Config) -> float:
    """Return nDCG@10 by parameters that went down the user's support; they are put back."""
    tokens = tokens_of(course.tokenizer, [titles[row] for row in user.rows], config).to(course.place.device)

    def encode(rows: NDArray[np.int64]) -> torch.Tensor:
        some = {name: value[torch.from_numpy(rows).to(value.device)] for name, value in tokens.items()}
        with course.place.autocast():
            return unit_vectors(course.network, some)

    start = copies(course.parameters)
    go_down(
        course.parameters,
        lambda: support_loss(encode, user.task, config.temperature),
        config.inner_steps,
        config.rate_of_inner_steps,
    )
    with torch.no_grad():
        vectors = encode(np.arange(len(user.rows)))
    put_back(course.parameters, start)
    return _ndcg(_prototype(vectors, user), vectors, user)


def _prototype(vectors: torch.Tensor, user: Served) -> torch.Tensor:
    weight = torch.from_numpy(user.task.weight).to(vectors.device)
    return functional.normalize(weight @ vectors[: len(weight)], dim=0)


def _batch(user: Served) -> Batch:
    """Return the user as a batch of one, whose candidates are the negatives and the item that was taken."""
    task = user.task
    support = np.zeros((1, len(user.rows)), np.float32)
    support[0, task.support] = task.weight
    candidate = np.r_[task.wrong, task.target]
    return Batch(user.rows, support, candidate, np.array([len(task.wrong)]), np.zeros((1, len(candidate)), bool))


def _ndcg(person: torch.Tensor, vectors: torch.Tensor, user: Served) -> float:
    """Return nDCG@10 of the one item that was taken among the candidates; of equal scores it comes last."""
    scores = vectors[torch.from_numpy(user.candidates).to(vectors.device)] @ person
    rank = int((scores[1:] >= scores[0]).sum())
    return float(1 / np.log2(rank + 2)) if rank < 10 else 0.0
