"""Ranking: scores to lists under the rules, beside sorting the whole catalogue of each user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Result, best
from recpipe.ranking.order import rank

USERS, ITEMS, K = 512, 5_000, 20


def ranking(folder: Path) -> Iterator[Result]:
    """Time lists of 20 from 5,000 items."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((USERS, ITEMS)).astype(np.float32)
    barred = rng.random((USERS, ITEMS)) < 0.1
    category = rng.integers(0, 50, ITEMS)
    ours, peer = best(lambda: rank(scores, barred, K, category, 0), lambda: sort_all(scores, barred))
    yield Result("rank, no limit", "lists", USERS, ours, "numpy: a full sort of each user's items", peer)
    ours, peer = best(lambda: rank(scores, barred, K, category, 3), lambda: sort_all(scores, barred, category, 3))
    yield Result("rank, 3 of a category", "lists", USERS, ours, "numpy: a full sort and a walk down", peer)


def sort_all(
    scores: NDArray[np.float32], barred: NDArray[np.bool_], category: NDArray[np.int64] | None = None, most: int = 0
) -> list[list[int]]:
    """Return the lists as one would write them down first."""
    lists = []
    for row, out in zip(scores, barred, strict=True):
        order = np.argsort(-row, kind="stable")
        order = order[~out[order]]
        lists.append(order[:K].tolist() if category is None else walk(order, category, most))
    return lists


def walk(order: NDArray[np.intp], category: NDArray[np.int64], most: int) -> list[int]:
    """Take items from best to worst and pass over full categories."""
    taken: list[int] = []
    counts: dict[int, int] = {}
    for item in order.tolist():
        code = int(category[item])
        if counts.get(code, 0) < most:
            counts[code] = counts.get(code, 0) + 1
            taken.append(item)
        if len(taken) == K:
            break
    return taken
