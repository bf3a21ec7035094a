"""Batches of episodes for an encoder: whose texts stand for the user, which item came next, which did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes, as_of, choose, cut_episodes, shorten
from recpipe.dataset.history import Evidence
from recpipe.training.quality import Window


@dataclass(frozen=True)
class Batch:
    """Some users, and items to tell apart; texts stand once each.

    Attributes
    ----------
    item
        (texts,) rows of the catalogue, sorted.
    support
        (users, texts) float32 weights, each row of sum 1.
    candidate
        (candidates,) rows of ``item``: the users' query items, then hard negatives.
    target
        (users,) position in ``candidate`` of the item that the user took.
    blocked
        (users, candidates) bool: items of the user's support, history or other queries, which are no negatives.
    """

    item: NDArray[np.int64]
    support: NDArray[np.float32]
    candidate: NDArray[np.int64]
    target: NDArray[np.int64]
    blocked: NDArray[np.bool_]


def windows_back(evidence: Evidence, facts: Mapping[str, Any], days: int, numbers: Sequence[int]) -> list[Window]:
    """Cut the past at so many times ``days`` before its end; the query of each window ends where the next one begins.

    Windows with fewer than 2 users, or nothing known before them, are left out.
    """
    last = np.datetime64(str(facts["fitted_until"]), "D")
    found = []
    for number in numbers:
        cutoff = evidence.until - np.timedelta64(days * number, "D")
        episodes = cut_episodes(
            evidence.history,
            cutoff,
            horizon_days=days,
            half_life_days=float(facts.get("half_life_days", 90)),
            last_events=int(facts.get("last_events", 200)),
        )
        known = as_of(evidence, cutoff, last - days * number)
        usable = np.flatnonzero(episodes.support.k > 0)
        if len(usable) >= 2:
            found.append(Window(known, choose(episodes, usable)))
    return found


def draw_batch(
    window: Window, users: int, support_items: int, hard_negatives: int, random: np.random.Generator
) -> tuple[Batch, Episodes]:
    """Draw users of a window, cut each to at most ``support_items`` newest items, and one item that each took next.

    Parameters
    ----------
    hard_negatives
        For each user so many items that look most like the item taken (vectors of the catalogue), and that the user
        did not take.
    """
    rows = random.choice(len(window.episodes), min(users, len(window.episodes)), replace=False)
    whole = choose(window.episodes, rows)
    some = shorten(whole, random.integers(1, support_items + 1, len(rows)))
    start, stop = whole.query_indptr[:-1], whole.query_indptr[1:]
    taken = whole.query_item[start + random.integers(0, 1 << 30, len(rows)) % (stop - start)].astype(np.int64)
    extra = hard_ones(window, whole, taken, hard_negatives)
    candidates = np.unique(np.r_[taken, extra])
    items = np.unique(np.r_[some.support.item, candidates])
    return Batch(
        item=items,
        support=_weights(some, items),
        candidate=np.searchsorted(items, candidates),
        target=np.searchsorted(candidates, taken),
        blocked=_blocked(whole, candidates, taken),
    ), some


def hard_ones(window: Window, whole: Episodes, taken: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """Return (users × each,) items like the ones taken: near in the catalogue's vectors, neither seen nor taken."""
    if not each:
        return np.zeros(0, np.int64)
    vectors = window.evidence.catalogue.vectors
    near = vectors[taken] @ vectors.T
    near[:, ~window.evidence.catalogue.available] = -np.inf
    users = np.arange(len(whole))
    near[np.repeat(users, np.diff(whole.seen_indptr)), whole.seen_item] = -np.inf
    near[np.repeat(users, np.diff(whole.query_indptr)), whole.query_item] = -np.inf
    return np.argsort(-near, axis=1, kind="stable")[:, :each].ravel()


def _weights(episodes: Episodes, items: NDArray[np.int64]) -> NDArray[np.float32]:
    support = episodes.support
    out = np.zeros((len(episodes), len(items)), np.float32)
    out[np.repeat(np.arange(len(episodes)), support.k), np.searchsorted(items, support.item)] = support.weight * support.label
    sums = out.sum(1, keepdims=True)
    return np.asarray(np.divide(out, sums, out=np.zeros_like(out), where=sums > 0), dtype=np.float32)


def _blocked(whole: Episodes, candidates: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.bool_]:
    blocked = np.zeros((len(whole), len(candidates)), bool)
    for indptr, item in ((whole.seen_indptr, whole.seen_item), (whole.query_indptr, whole.query_item)):
        user = np.repeat(np.arange(len(whole)), np.diff(indptr))
        place = np.searchsorted(candidates, item).clip(max=len(candidates) - 1)
        there = candidates[place] == item
        blocked[user[there], place[there]] = True
    blocked[np.arange(len(whole)), np.searchsorted(candidates, taken)] = False
    return blocked
