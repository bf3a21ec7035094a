"""Names and colours of those whose lists are compared."""

from __future__ import annotations

from typing import Final

LABELS: Final = {
    "lists": "published lists",
    "pair_network": "pair network",
    "stack": "stack of closed forms",
    "item_knn": "item kNN",
    "popularity": "popularity",
}
COLOURS: Final = {"lists": "green", "pair_network": "green", "stack": "blue", "item_knn": "knn", "popularity": "popularity"}
"""Names of colours in ``page.css``."""
BASELINES: Final = ("item_knn", "popularity")
BESIDE_BASELINES: Final = ("lists", *BASELINES)
"""What an evaluated night compares."""
TOGETHER: Final = "k>=1"
"""The group of all newcomers of whom 1 to 10 items are known."""


def label(name: str) -> str:
    """Return whose lists they are, for people.

    >>> label("item_knn"), label("own_learner")
    ('item kNN', 'own learner')
    """
    return LABELS.get(name, name.replace("_", " "))


def colour(name: str) -> str:
    """Return the name of the colour in which somebody's lists are drawn; learners without one share one."""
    return COLOURS.get(name, "other")
