"""The weights of the blend of closed forms, searched on episodes before the cut: a row for each size of the support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes, choose
from recpipe.metrics.ndcg import ndcg
from recpipe.models.base import ItemSpace, Learner, score_users
from recpipe.models.blend import SIZES, Blend, counted, part_of, place_part, size_of
from recpipe.training.quality import Window

DEPTH = 40
"""First items of each part that a mixture of them is looked for among."""
MOST = 250
"""Episodes of a window and a size of the support; of more, evenly spread ones."""
DRAWS, CONCENTRATION = 150, 0.5
"""Mixtures that are tried for all sizes, and for each, drawn from a Dirichlet distribution."""
KEPT = 10
"""The best mixtures whose mean is taken: the very best of so many is lucky besides."""
USERS_A_BLOCK = 128
NOBODY = -1e9


@dataclass(frozen=True)
class Table:
    """What the parts say of the candidates of some users.

    Attributes
    ----------
    value
        (users, candidates, parts) float32 scores in the units of the blend; one that is no candidate has `NOBODY` throughout.
    hit
        (users, candidates) whether it is in the query.
    taken
        (users,) items in the query.
    """

    value: NDArray[np.float32]
    hit: NDArray[np.bool_]
    taken: NDArray[np.int64]


def fit_blend(
    windows: Sequence[Window], learners: Sequence[Learner], seed: int, metric_k: int = 10, first: Sequence[float] = ()
) -> Blend:
    """Return the blend of some closed forms that served the users of earlier windows best.

    Parameters
    ----------
    windows
        Users at several sizes of the support, and what was known before them.
    learners
        The parts; what they say without popularity of their own.
    seed
        Of the mixtures that are tried.
    metric_k
        Cut-off of nDCG.
    first
        (parts,) weights for users without a support.
    """
    parts = [part_of(learner, windows[0].evidence.catalogue.vectors.shape[1]) for learner in learners]
    forms = Blend(parts, []).learners()
    tables: list[list[Table]] = [[] for _ in SIZES]
    for window in windows:
        spaces = [place_part(learner, window.evidence) for learner in forms]
        for size in range(1, len(SIZES)):
            some = episodes_of_size(window.episodes, size)
            if len(some):
                tables[size].append(table_of(forms, spaces, window.evidence.catalogue.available, some))
    pooled = search([table for found in tables for table in found], len(forms), seed, metric_k)
    rows = [np.asarray(first, np.float64), *(search(found, len(forms), seed, metric_k, pooled) for found in tables[1:])]
    return Blend(parts, [[round(float(weight), 6) for weight in row] for row in rows])


def episodes_of_size(episodes: Episodes, size: int) -> Episodes:
    """Return at most `MOST` episodes whose supports are of a size of `recpipe.models.blend.SIZES`."""
    rows = np.flatnonzero(size_of(counted(episodes.support)) == size)
    return choose(episodes, rows[np.unique(np.linspace(0, len(rows) - 1, MOST).astype(np.intp))] if len(rows) > MOST else rows)


def table_of(forms: Sequence[Learner], spaces: Sequence[ItemSpace], available: NDArray[np.bool_], episodes: Episodes) -> Table:
    """Return what closed forms say of the items that any of them puts first."""
    starts = range(0, len(episodes), USERS_A_BLOCK)
    some = [choose(episodes, np.arange(start, min(start + USERS_A_BLOCK, len(episodes)))) for start in starts]
    blocks = [_block(forms, spaces, available, block) for block in some]
    value, hit = (np.concatenate([block[at] for block in blocks]) for at in (0, 1))
    return Table(value.astype(np.float32), hit.astype(bool), np.diff(episodes.query_indptr))


def _block(
    forms: Sequence[Learner], spaces: Sequence[ItemSpace], available: NDArray[np.bool_], episodes: Episodes
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    scores = [score_users(learner, space, episodes.support) for learner, space in zip(forms, spaces, strict=True)]
    user = np.arange(len(episodes))
    barred, wanted = np.repeat(~available[None, :], len(user), axis=0), np.zeros(scores[0].shape, bool)
    barred[np.repeat(user, np.diff(episodes.seen_indptr)), episodes.seen_item] = True
    wanted[np.repeat(user, np.diff(episodes.query_indptr)), episodes.query_item] = True
    place = np.concatenate([_first(np.where(barred, -np.inf, one)) for one in scores], axis=1)
    place.sort(axis=1)
    none = np.take_along_axis(barred, place, axis=1)
    none[:, 1:] |= place[:, 1:] == place[:, :-1]
    value = np.stack([np.take_along_axis(one, place, axis=1) for one in scores], axis=2)
    value[none] = NOBODY
    return value, np.take_along_axis(wanted, place, axis=1) & ~none


def _first(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return (users, at most `DEPTH`) items of the greatest scores, in no order."""
    depth = min(DEPTH, scores.shape[1])
    return np.argpartition(-scores, depth - 1, axis=1)[:, :depth]


def search(
    tables: Sequence[Table], parts: int, seed: int, metric_k: int, start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return (parts,) the mean of the best mixtures, of sum 1; without episodes the start, or all parts alike.

    Without a start, the best ones of those drawn from everywhere are drawn around once more.

    Parameters
    ----------
    tables
        Windows, each of which counts alike.
    parts
        How many there are.
    seed
        Of the mixtures that are tried.
    metric_k
        Cut-off of nDCG.
    start
        (parts,) mixture of all sizes, which is tried first and drawn around.
    """
    if not tables:
        return np.full(parts, 1 / parts) if start is None else start
    found = start
    for turn in range(1 if start is not None else 2):
        tried = mixtures(parts, seed + turn, found)
        quality = np.array([np.mean([ndcg_of(table, weights, metric_k).mean() for table in tables]) for weights in tried])
        found = np.asarray(tried[np.argsort(-quality, kind="stable")[:KEPT]].mean(0))
    return np.full(parts, 1 / parts) if found is None else found


def mixtures(parts: int, seed: int, start: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return (mixtures, parts): each part alone, drawn ones, and ones drawn around a start."""
    random = np.random.default_rng(seed)
    tried = np.concatenate([np.eye(parts), random.dirichlet([CONCENTRATION] * parts, DRAWS)])
    if start is None:
        return tried
    near = start * np.exp(random.normal(0, 0.7, (DRAWS, parts)))
    return np.concatenate([start[None], near / near.sum(1, keepdims=True)])


def ndcg_of(table: Table, weights: NDArray[np.float64], metric_k: int) -> NDArray[np.float64]:
    """Return (users,) nDCG of the lists of a mixture."""
    total = -(table.value @ weights.astype(np.float32))
    some = np.argpartition(total, min(metric_k, total.shape[1]) - 1, axis=1)[:, :metric_k]
    order = np.take_along_axis(some, np.argsort(np.take_along_axis(total, some, axis=1), axis=1, kind="stable"), axis=1)
    return ndcg(np.take_along_axis(table.hit, order, axis=1), table.taken, metric_k)
