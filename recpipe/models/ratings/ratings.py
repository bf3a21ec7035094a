"""The data of a predictor of ratings: known ratings, columns of items and users, and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """

    user: Ints
    item: Ints
    value: Floats
    users: int
    items: int


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
    """

    user: int
    item: Ints
    value: Floats
    query: Ints


def sorted_ratings(user: Ints, item: Ints, value: Floats, users: int, items: int) -> Ratings:
    """Sort ratings by (user, item), so that no result depends on the order of rows."""
    order = np.lexsort((item, user))
    return Ratings(user[order], item[order], value[order].astype(np.float64), users, items)


def levels_of(value: Floats, most: int = 16) -> Floats:
    """Return the levels of the scale, ascending: the values that occur, or ``most`` quantiles if there are more."""
    found = np.unique(value)
    if len(found) <= most:
        return found
    return np.unique(np.quantile(value, (np.arange(most) + 0.5) / most, method="nearest"))


def nearest_level(value: Floats, levels: Floats) -> Ints:
    """Return the position of the level next to each value; of two equally near, the lower."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, value).astype(np.int64)
