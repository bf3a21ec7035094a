"""The data of a predictor of ratings: known ratings, columns of items and users, and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = Mapping[str, Sequence[Any]]
"""Columns of a table of items or users by name, all in one row order; a value is a number, a text or None."""


@dataclass(frozen=True)
class Ratings:
    """Ratings of known users, sorted by (user, item), each pair once.

    Attributes
    ----------
    user, item
        (ratings,) positions among the ``users`` and ``items``.
    value
        (ratings,) on the scale of the data.
    users, items
        How many there are; an item or a user may have no rating here.
    time
        (ratings,) when each was given, in any unit; None where that is not known.
    """

    user: Ints
    item: Ints
    value: Floats
    users: int
    items: int
    time: Floats | None = None

    def kept(self, rows: NDArray[np.bool_]) -> Ratings:
        """Return some of the (ratings,) rows; users and items stay as many as they are."""
        time = None if self.time is None else self.time[rows]
        return replace(self, user=self.user[rows], item=self.item[rows], value=self.value[rows], time=time)


@dataclass(frozen=True)
class Task:
    """One user: what is known of them, and what is asked.

    Attributes
    ----------
    user
        Position of the user.
    item, value
        (support,) known ratings, each item once, sorted by item; may be empty.
    query
        (queries,) items whose ratings are asked for.
    own
        (support,) which of the ratings came with the task; the others were known of the user before. None: all came
        with it.
    """

    user: int
    item: Ints
    value: Floats
    query: Ints
    own: NDArray[np.bool_] | None = None

    def given(self) -> Floats:
        """Return the ratings that came with the task."""
        return self.value if self.own is None else self.value[self.own]


def sorted_ratings(user: Ints, item: Ints, value: Floats, users: int, items: int, time: Floats | None = None) -> Ratings:
    """Sort ratings by (user, item), so that no result depends on the order of rows."""
    order = np.lexsort((item, user))
    when = None if time is None else time[order]
    return Ratings(user[order], item[order], value[order].astype(np.float64), users, items, when)


def levels_of(value: Floats, most: int = 16) -> Floats:
    """Return the levels of the scale, ascending: the values that occur, or ``most`` quantiles if there are more."""
    found = np.unique(value)
    if len(found) <= most:
        return found
    return np.unique(np.quantile(value, (np.arange(most) + 0.5) / most, method="nearest"))


def nearest_level(value: Floats, levels: Floats) -> Ints:
    """Return the position of the level next to each value; of two equally near, the lower."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, value).astype(np.int64)
