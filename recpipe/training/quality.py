"""The quality of a learner's lists, a number a user, on training's own window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes
from recpipe.dataset.history import Evidence
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import PAD, recall, top_k
from recpipe.models.base import ItemSpace, Learner, score_users

USERS_A_BLOCK = 512


@dataclass(frozen=True)
class Window:
    """Users of one instant, and what was known before it."""

    evidence: Evidence
    episodes: Episodes


@dataclass(frozen=True)
class Quality:
    """Quality of the lists of some users.

    Attributes
    ----------
    ndcg, recall
        (users,) of the first k; see `recpipe.metrics.ranking`.
    """

    ndcg: NDArray[np.float64]
    recall: NDArray[np.float64]


def measure(learner: Learner, evidence: Evidence, episodes: Episodes, k: int = 10) -> Quality:
    """Rank the catalogue for the users of some episodes and look at the first k."""
    return measure_in(learner, learner.items(evidence), evidence.catalogue.available, episodes, k)


def measure_in(learner: Learner, space: ItemSpace, available: NDArray[np.bool_], episodes: Episodes, k: int = 10) -> Quality:
    """Do as `measure`, in a space that was made before; ``available`` (items,) says what may be ranked."""
    hit = np.concatenate(
        [np.zeros((0, k), bool)]
        + [_hits(learner, space, available, episodes, start, k) for start in range(0, len(episodes), USERS_A_BLOCK)]
    )
    taken = np.diff(episodes.query_indptr)
    return Quality(ndcg(hit, taken, k), recall(hit, taken, k))


def _hits(
    learner: Learner, space: ItemSpace, available: NDArray[np.bool_], episodes: Episodes, start: int, k: int
) -> NDArray[np.bool_]:
    """Return (users of a block, k): whether the item at each rank is one of the query."""
    stop = min(start + USERS_A_BLOCK, len(episodes))
    return hits_of(score_users(learner, space, episodes.support.users(start, stop)), available, episodes, start, k)


def hits_of(
    scores: NDArray[np.float32], available: NDArray[np.bool_], episodes: Episodes, start: int, k: int
) -> NDArray[np.bool_]:
    """Return (users, k) whether the item at each rank is one of the query, from the scores of the episodes from ``start`` on."""
    stop, hit = start + len(scores), np.zeros((len(scores), k), bool)
    if not np.isfinite(scores).all():  # the nights would rank nothing: no list hits anything, and training goes on to say why
        return hit
    barred = np.repeat(~available[None, :], len(scores), axis=0)
    barred[_pairs(episodes.seen_indptr, episodes.seen_item, start, stop)] = True
    wanted = np.zeros(scores.shape, bool)
    wanted[_pairs(episodes.query_indptr, episodes.query_item, start, stop)] = True
    ranked = top_k(scores, barred, k)
    hit[:, : ranked.shape[1]] = np.take_along_axis(wanted, np.maximum(ranked, 0), axis=1) & (ranked != PAD)
    return hit


def _pairs(
    indptr: NDArray[np.int64], item: NDArray[np.int32], start: int, stop: int
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return rows (from 0) and items of the users start to stop, for indexing a block of scores."""
    users = np.repeat(np.arange(stop - start), np.diff(indptr[start : stop + 1]))
    return users, item[indptr[start] : indptr[stop]]
