"""The reasons for addressing a user: bought items without which the log odds would fall the most, or habits."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.tables.campaigns.responses.regression import Model, Regression
from recpipe.tables.campaigns.responses.response_features import ACTIVITY, ANSWERS, ITEMS, NAMES, Floats, Look

NAMED_ITEMS: Final = 3
DECIMALS: Final = 9


def by_affinity() -> Model:
    """Return what users are ranked by where nothing was learned: how close what they bought is to the campaign's items."""
    weights = np.zeros(len(NAMES))
    weights[list(ITEMS)] = 1.0
    regression = Regression(np.zeros(len(NAMES)), np.ones(len(NAMES)), weights, 0.0)
    return Model(regression, tuple(range(len(NAMES))), 1.0, 0.0)


def why(model: Model, seen: Look, users: NDArray[np.int64], items: NDArray[np.object_], weights: Floats) -> list[dict[str, Any]]:
    """Say what speaks most for each user: bought items, with the ones whose absence would cost the most, or habits.

    Items are named where what the user bought says more than anything else; each named one's part is what the log odds
    would lose without it.
    """
    parts, slopes = model.parts(seen.values), model.slopes()
    found = []
    for user in users:
        groups = {
            "items": parts[user, list(ITEMS)].sum(),
            "answered_before": parts[user, list(ANSWERS)].sum(),
            "buys_often": parts[user, list(ACTIVITY)].sum(),
        }
        best = max(groups, key=lambda name: (groups[name], name))
        named = _telling(seen, slopes, int(user)) if best == "items" else []
        if named:
            kind = "campaign_items" if weights[named[0]] > 0 else "similar_items"
        else:
            rest = {name: value for name, value in groups.items() if name != "items" and value > 0}
            kind = max(rest, key=lambda name: (rest[name], name)) if rest else "nothing_known"
        found.append({"kind": kind, "because_item_ids": [str(items[place]) for place in named]})
    return found


def _telling(seen: Look, slopes: Floats, user: int) -> list[int]:
    """Return the items of a user without which the log odds would fall the most, those without effect left out."""
    start, stop = seen.bought.indptr[user : user + 2]
    places, counts = seen.bought.indices[start:stop], seen.bought.data[start:stop]
    each = seen.parts[:, places] * counts  # (3, bought)
    whole = each.sum(1, keepdims=True)
    scale = seen.scales[:, None]
    loss = np.log1p(whole / scale) - np.log1p(np.maximum(whole - each, 0.0) / scale)
    total = np.round(slopes[list(ITEMS)] @ loss, DECIMALS)
    order = np.lexsort((places, -total))[:NAMED_ITEMS]
    return [int(places[at]) for at in order if total[at] > 0]
