"""Scores and rules become lists: the whole catalogue for a block of users at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import RecpipeError

GRID_BITS = 20
"""Scores are told apart down to 2**-20 of a user's greatest: finer differences are rounding, and count as ties."""
BARRED = -(2**62)
"""Below every key, and still a number whose opposite can be sorted."""
NOTHING = -1


def rank(
    scores: NDArray[np.floating], barred: NDArray[np.bool_], k: int, category: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each user's best items in a total order: greater score first, of equal scores the smaller item row.

    Parameters
    ----------
    scores
        (users, items), finite.
    barred
        (users, items): items that must not stand in the user's list.
    k
        Longest list.
    category
        (items,) code of the category whose items are limited, −1 for none.
    most
        Most items of one category in a list; 0: no limit.

    Returns
    -------
    NDArray
        (users, k) item rows, best first; −1 where nothing more is eligible.
    NDArray
        (users, k) the scores of those items, as far as they are told apart.

    Raises
    ------
    RecpipeError
        If a score is no number.
    """
    level, step = _levels(scores)
    items = scores.shape[1]
    key = level * items + (items - 1 - np.arange(items))  # one number holds both parts of the order
    key[barred] = BARRED
    if most:
        _limit(key, category, most)
    width = min(k, items)
    best = np.argpartition(key, items - width, axis=1)[:, items - width :] if items > width else _all(key)
    value = np.take_along_axis(key, best, axis=1)
    order = np.argsort(-value, axis=1)
    best, value = np.take_along_axis(best, order, axis=1), np.take_along_axis(value, order, axis=1)
    found = np.full((len(key), k), NOTHING, np.int64)
    found[:, :width] = np.where(value == BARRED, NOTHING, best)
    points = np.zeros((len(key), k))
    points[:, :width] = np.take_along_axis(level, best, axis=1) * step
    return found, points


def category_codes(categories: Sequence[tuple[str, ...]], level: int) -> NDArray[np.int64]:
    """Return (items,) code of each item's path down to a level; −1 for items without category.

    Paths that end above the level count as they are. Categories of one name below different parents are different.
    """
    paths = [path[: level + 1] for path in categories]
    codes = {path: code for code, path in enumerate(sorted({path for path in paths if path}))}
    return np.array([codes.get(path, NOTHING) for path in paths], np.int64)


def _levels(scores: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Put scores on a grid; return whole numbers and the width of a step, (users, 1)."""
    if not np.isfinite(scores).all():
        raise RecpipeError(
            "The model gave scores that are no numbers: nothing was ranked. Promote another version, or train again."
        )
    greatest = np.abs(scores).max(axis=1, initial=0.0, keepdims=True).astype(np.float64)
    exponent = np.where(greatest > 0, np.frexp(greatest)[1], 0)
    step = np.ldexp(1.0, exponent - GRID_BITS)
    return np.rint(scores / step).astype(np.int64), step


def _all(key: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(key.shape[1]), key.shape)


def _limit(key: NDArray[np.int64], category: NDArray[np.int64], most: int) -> None:
    """Bar all but the best few of each category.

    A list takes items from best to worst and passes over full categories, so of each category it can only ever hold
    the best few that are not barred: barring the others first leaves the same list.
    """
    codes, counts = np.unique(category[category >= 0], return_counts=True)
    for code in codes[counts > most]:
        members = np.flatnonzero(category == code)
        some = key[:, members]
        worst = np.argpartition(some, len(members) - most, axis=1)[:, : len(members) - most]
        np.put_along_axis(some, worst, BARRED, axis=1)
        key[:, members] = some
