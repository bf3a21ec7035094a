"""Lists of a learner under the rules of a night, for comparisons: nothing here is published."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.evaluate.metrics import PAD, Truth
from recpipe.learn.data import Evidence, Learner, Support, score

USERS_AT_ONCE: Final = 512


def rank_lists(learner: Learner, evidence: Evidence, support: Support, seen: Truth, settings: Settings) -> NDArray[np.int32]:
    """Return (users, top_k) item codes, best first: available, unseen where the rule says so, few of one category.

    Parameters
    ----------
    learner
        Places the items and adapts to the users.
    evidence
        As of the lists' day.
    support, seen
        Of the same users in the same order.
    settings
        ``top_k``, ``seen_items``, ``max_per_category``, ``category_level``.
    """
    space = learner.items(evidence)
    category = category_codes(evidence, settings) if settings.max_per_category else None
    parts = []
    for start in range(0, len(support), USERS_AT_ONCE):
        stop = min(start + USERS_AT_ONCE, len(support))
        scores = score(space, learner.adapt(space, support.users(start, stop)))
        scores[:, ~evidence.catalogue.available] = -np.inf
        if settings.seen_items == "exclude":
            scores[_places(seen, start, stop)] = -np.inf
        parts.append(top_items(scores, settings.top_k, category, settings.max_per_category))
    return np.concatenate(parts) if parts else np.empty((0, settings.top_k), np.int32)


def top_items(scores: NDArray[np.float32], k: int, category: NDArray[np.int64] | None = None, most: int = 0) -> NDArray[np.int32]:
    """Return (users, k) codes of the greatest scores, of equals the lowest code; −inf is never listed.

    Parameters
    ----------
    scores
        (users, items).
    k
        Length of a list; shorter ones are padded.
    category
        (items,) code of the category that is limited, −1 for none.
    most
        Most items of one category in a list.
    """
    lists = np.full((len(scores), k), PAD, np.int32)
    if category is not None:
        for row, values in enumerate(scores):
            best = _limited(values, k, category, most)
            lists[row, : len(best)] = best
        return lists
    width = min(k, scores.shape[1])
    if width == 0:
        return lists
    least = -np.partition(-scores, width - 1, axis=1)[:, width - 1]
    user, item = np.nonzero((scores >= least[:, None]) & np.isfinite(scores))
    order = np.lexsort((item, -scores[user, item], user))
    user, item = user[order], item[order]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    keep = place < width
    lists[user[keep], place[keep]] = item[keep]
    return lists


def category_codes(evidence: Evidence, settings: Settings) -> NDArray[np.int64]:
    """Return (items,) code of each item's category at the level that is limited, −1 where it has none."""
    level = settings.category_level
    names = [path[min(level, len(path) - 1)] if path else "" for path in evidence.catalogue.categories]
    _, codes = np.unique(np.array(names, object), return_inverse=True)
    return np.where(np.array([bool(name) for name in names]), codes, -1)


def _limited(values: NDArray[np.float32], k: int, category: NDArray[np.int64], most: int) -> list[int]:
    best: list[int] = []
    used: dict[int, int] = {}
    for code in np.argsort(-values, kind="stable"):
        if not np.isfinite(values[code]) or len(best) == k:
            break
        kind = int(category[code])
        if kind >= 0 and used.get(kind, 0) >= most:
            continue
        used[kind] = used.get(kind, 0) + 1
        best.append(int(code))
    return best


def _places(seen: Truth, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    a, b = int(seen.indptr[start]), int(seen.indptr[stop])
    return np.repeat(np.arange(stop - start), seen.size[start:stop]), seen.item[a:b]
