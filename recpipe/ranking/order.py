"""Lists from scores and rules: the whole catalogue for a block of users at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.ranking import BARRED, PAD, Order, first, ordered

NOTHING = PAD
HEAD_LISTS = 4
"""Lists' lengths of items that are looked at first where categories are limited."""


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
    order = ordered(scores, barred)
    best = best_of(order, k, category, most)
    found = np.full((len(best), k), NOTHING, np.int64)
    found[:, : best.shape[1]] = best
    return found, order.points(found)


def best_of(
    order: Order, k: int, category: NDArray[np.int64], most: int, among: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return (users, at most k) the best item rows of each user, best first, −1 where nothing more is eligible.

    Parameters
    ----------
    order
        Of the users.
    k, category, most
        As in `rank`.
    among
        (items,) items to choose from; None: all.
    """
    columns = None if among is None else np.flatnonzero(among)
    key = order.key if columns is None else order.key[:, columns]
    category = category if columns is None else category[columns]
    best = first(key, min(k, key.shape[1])) if not most else _best_of_each(key, k, category, most)
    eligible = (best != NOTHING) & (np.take_along_axis(key, best, axis=1) != BARRED)
    return np.where(eligible, best if columns is None else columns[best], NOTHING)


def category_codes(categories: Sequence[tuple[str, ...]], level: int) -> NDArray[np.int64]:
    """Return (items,) code of each item's path down to a level; −1 for items without category.

    Paths that end above the level count as they are. Categories of one name below different parents are different.
    """
    paths = [path[: level + 1] for path in categories]
    codes = {path: code for code, path in enumerate(sorted({path for path in paths if path}))}
    return np.array([codes.get(path, NOTHING) for path in paths], np.int64)


def _best_of_each(key: NDArray[np.int64], k: int, category: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """Return the best k columns with at most so many of a category, −1 where nothing more is eligible.

    Most lists are complete within a few times k items; only for users whose list is not, one looks further down.
    """
    items = key.shape[1]
    width = min(HEAD_LISTS * k, items)
    found = np.zeros((len(key), min(k, items)), np.intp)
    rest = np.arange(len(key))
    while len(rest):
        head = first(key[rest], width)
        value = np.take_along_axis(key[rest], head, axis=1)
        taken = _within_limit(category[head], most) & (value != BARRED)
        complete = (taken.sum(axis=1) >= found.shape[1]) | (width == items)
        # what is taken moves to the front and keeps its order
        front = np.argsort(~taken, axis=1, kind="stable")[:, : found.shape[1]]
        chosen = np.where(np.take_along_axis(taken, front, axis=1), np.take_along_axis(head, front, axis=1), NOTHING)
        found[rest[complete]] = chosen[complete]
        rest, width = rest[~complete], min(width * HEAD_LISTS, items)
    return found


def _within_limit(category: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Return (users, places) bool: whether fewer than ``most`` places before this one have its category."""
    order = np.argsort(category, axis=1, kind="stable")
    grouped = np.take_along_axis(category, order, axis=1)
    place = np.arange(grouped.shape[1])
    starts = np.ones_like(grouped, dtype=np.bool_)
    starts[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
    before = place - np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    fits = np.empty_like(starts)
    np.put_along_axis(fits, order, (before < most) | (grouped < 0), axis=1)
    return fits
