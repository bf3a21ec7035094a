"""The share that a taught learner has beside the blend, for each size of the support: all that it is clearly better at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.cluster_intervals import clustered_interval
from recpipe.metrics.ndcg import ndcg
from recpipe.models.base import Learner
from recpipe.models.blend import SIZES, Blend, counted, size_of
from recpipe.models.guarded import Guarded
from recpipe.models.pair_network import PairNetwork
from recpipe.training.quality import USERS_A_BLOCK, Window, hits_of

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the taught learner; the first leaves a size of the support to the blend."""
DRAWS = 1000
SURE = 1 / 1.96
"""Of the distance to the lower end of a 95 % interval: a standard error."""


@dataclass(frozen=True)
class Compared:
    """What lists of each share were worth to the same users.

    Attributes
    ----------
    ndcg
        (users, shares).
    size, person
        (users,) row of `recpipe.models.blend.SIZES`, and whose list it is.
    """

    ndcg: NDArray[np.float64]
    size: NDArray[np.int64]
    person: NDArray[np.int32]


def guard(
    network: Learner, blend: Blend, windows: Sequence[Window], views: Sequence[Any], k: int, seed: int
) -> tuple[Guarded, Compared]:
    """Return the learner beside the blend, with the shares that later windows justify, and what was compared.

    Parameters
    ----------
    network
        As training left it; it has not learned from ``windows``.
    blend
        Found on windows before these.
    windows, views
        Known users and simulated newcomers, and what the network saw of their items.
    k
        Cut-off of nDCG.
    seed
        Of the bootstrap.
    """
    beside = blend if isinstance(network, PairNetwork) else blend.without_countries()
    both = Guarded(network, beside, [SHARES[0]] * len(SIZES))
    found = [by_share(both, window, view, k) for window, view in zip(windows, views, strict=True)]
    sizes = [size_of(counted(window.episodes.support)) for window in windows]
    people = [window.episodes.user for window in windows]
    compared = Compared(np.concatenate(found), np.concatenate(sizes), np.concatenate(people))
    return Guarded(network, beside, choose_shares(compared, seed)), compared


def by_share(both: Guarded, window: Window, view: Any, k: int) -> NDArray[np.float64]:
    """Return (users, shares) nDCG of the lists of a window."""
    episodes, closed = window.episodes, both.blend.items(window.evidence)
    space = both.join(both.network.place(view), closed)  # type: ignore[attr-defined]  # what is taught has a place for views
    parts = []
    for start in range(0, len(episodes), USERS_A_BLOCK):
        stop = min(start + USERS_A_BLOCK, len(episodes))
        some, taken = episodes.support.users(start, stop), np.diff(episodes.query_indptr[start : stop + 1])
        scores = both.scores_of(space, some, SHARES)
        hits = [hits_of(one, window.evidence.catalogue.available, episodes, start, k) for one in scores]
        parts.append(np.stack([ndcg(hit, taken, k) for hit in hits], axis=1))
    return np.concatenate(parts) if parts else np.zeros((0, len(SHARES)))


def choose_shares(compared: Compared, seed: int) -> list[float]:
    """Return the learner's share for each size of the support, as `clear_share` finds it.

    Few users have a support of just one size, so that the gain is looked at over all supports, too: a size takes the share of all
    where its own users do not speak against it. Users without a support stand for themselves.
    """
    shares = []
    common = clear_share(compared, compared.size > 0, seed)
    for size in range(len(SIZES)):
        rows = compared.size == size
        own = clear_share(compared, rows, seed)
        if own == 0 and size and common and rows.any() and _gain(compared, rows)[common].mean() >= 0:
            own = common
        shares.append(SHARES[own])
    return shares


def clear_share(compared: Compared, rows: NDArray[np.bool_], seed: int) -> int:
    """Return the place in `SHARES` of what some users justify.

    The best share, if its gain over the blend has a 95 % interval above zero. Else a half, if its gain is above its standard error:
    two fair rankings fused are seldom worse than the better one. Else none.
    """
    if not rows.any():
        return 0
    best, half = int(np.argmax(compared.ndcg[rows].mean(0))), SHARES.index(0.5)
    for place, errors in ((best, 1.0), (half, SURE)):
        found = clustered_interval(_gain(compared, rows)[place], compared.person[rows], DRAWS, np.random.default_rng(seed), 2)
        if found.value is None or found.low is None:
            return 0
        if found.value - errors * (found.value - found.low) > 0:
            return place
    return 0


def summary_of_shares(found: Guarded, compared: Compared, known: int) -> dict[str, Any]:
    """Return what a summary says: the learner's share by size of the support, and means of nDCG on known users and newcomers.

    Parameters
    ----------
    found, compared
        As `guard` returns them.
    known
        Users of the windows of known users, which come first.
    """
    names = [f"k={low}" if low == high else f"k={low}-{high}" if high < SIZES[-1][1] else f"k>={low}" for low, high in SIZES]
    at = [SHARES.index(share) for share in found.shares]
    served = compared.ndcg[np.arange(len(compared.size)), np.array(at)[compared.size]]
    lists = {"blend": compared.ndcg[:, 0], found.name: compared.ndcg[:, -1], "served": served}
    groups = {"known": slice(0, known), "newcomers": slice(known, None)}
    means = {
        group: {name: float(values[rows].mean()) for name, values in lists.items() if len(values[rows])}
        for group, rows in groups.items()
    }
    return {"shares": dict(zip(names, found.shares, strict=True)), "guard": means}


def _gain(compared: Compared, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (shares, users) what lists of each share were worth above those of the blend."""
    return np.asarray((compared.ndcg[rows] - compared.ndcg[rows][:, :1]).T)
