r"""Exploration: places of a list given to new items, by a draw whose probabilities are written down.

Nobody has bought an item that came today, so nothing but its text speaks for it, and where it is never shown nobody ever
will. `explore` gives the places of a list's end to items drawn from those that are new and eligible for the user. The
propensity :math:`\pi_i` of a row is the probability, over the draw alone, that item i stands among the explored places of
this very list; everything else about the list is certain, and such rows have 1. That is what the estimators of Horvitz and
Thompson (1952) need, whatever the number of places (`recpipe.evaluation.exploration_value`).

For one place the draw is a softmax over the pool, mixed with a blind draw, :math:`w_i = (1 - u) \exp(z_i / T) / \sum \exp(z / T)
+ u / n`, where z are the model's scores in units of their standard deviation over the pool: scores have no scale of their own.
Without the second part an item that nothing speaks for has next to no chance, and a single one of them, once drawn and taken,
would outweigh all other rows of an estimate; with it no estimate for a blind rule has more than 1 / u times the variance that
blind draws would give it. For m places a draw of one item after the other (Plackett-Luce) has inclusion probabilities that
nobody can sum up for a large pool. So the probabilities come first, :math:`\pi_i = \min(1, \lambda w_i)` with :math:`\sum \pi = m`, and a systematic sample keeps them to the letter
(Madow 1949, "On the theory of systematic sampling, II"): one random start, then every whole step along the cumulated
probabilities. Items of one category lie side by side there, so no more of a category can be drawn than it has room for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.config.list_settings import ExplorationSettings
from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence

UNITS: Final = 2**40
"""Probabilities are whole numbers of 1 / `UNITS`: sums of them are exact, and what is written down is what was drawn by."""
ENDLESS: Final = 2**31


@dataclass(frozen=True)
class Lists:
    """Lists of some users, (users, places) each.

    Attributes
    ----------
    item
        Item rows, −1 where the list ends.
    score
        Scores of those items.
    propensity
        Probability that the item stands in the list: 1 where nothing was drawn.
    explored
        Whether the place was given by the draw.
    """

    item: NDArray[np.int64]
    score: NDArray[np.float64]
    propensity: NDArray[np.float64]
    explored: NDArray[np.bool_]


def new_items(evidence: Evidence, exploration: ExplorationSettings, day: date) -> NDArray[np.bool_]:
    """Return (items,) whether an item is new on a day.

    It is for ``settings.exploration.explore_days`` days from its first delivery on, that day included, and after them while anybody's
    positive events with it, in the days that a night reads, are fewer than ``settings.exploration.explore_events``.
    """
    catalogue = evidence.catalogue
    events = np.bincount(evidence.popularity_item, minlength=len(catalogue))
    age = (np.datetime64(day) - catalogue.first_day) / np.timedelta64(1, "D")
    return np.asarray((age < exploration.explore_days) | (events < exploration.explore_events))


@dataclass(frozen=True)
class Pool:
    """What some users' places could be given to.

    Attributes
    ----------
    scores
        (users, items) of the model.
    barred
        (users, items) that must not stand in a list.
    new
        (items,) as `new_items` gives it.
    category
        (items,) code of the category whose items are limited to ``settings.lists.max_per_category``, −1 for none.
    """

    scores: NDArray[np.floating]
    barred: NDArray[np.bool_]
    new: NDArray[np.bool_]
    category: NDArray[np.int64]


def explore(
    item: NDArray[np.int64],
    score: NDArray[np.float64],
    pool: Pool,
    user_ids: NDArray[np.object_],
    day: date,
    settings: Settings,
) -> Lists:
    """Give the places that the settings name to items of a draw; the list's last items make way for them.

    What a user can draw are the new items that are not barred, not in what stays of the list, and of a category that has
    room left. Where they cannot fill all places, the list keeps more of its own. The drawn items take places side by side,
    the last ones or those from ``settings.exploration.explore_rank`` on, and stand there in an order of chance: which of them a place is
    given to has nothing to do with scores, so what a place does to an item (few people look that far) is the same for all.

    Parameters
    ----------
    item, score
        (users, places) lists as ranked, −1 where a list ends.
    pool
        Of the same users.
    user_ids
        (users,) with seed and day they are the key of the draw: no other user, shard or rerun has a part in it.
    day
        The lists' day.
    settings
        ``explore_places``, ``explore_temperature``, ``explore_uniform``, ``explore_rank``, ``max_per_category`` and ``seed``.
    """
    found = Lists(item.copy(), score.copy(), np.ones(item.shape), np.zeros(item.shape, np.bool_))
    category = pool.category if settings.lists.max_per_category else np.full(len(pool.category), -1)
    columns = np.flatnonzero(pool.new)
    for user in range(len(item)) if settings.exploration.explore_places and len(columns) else ():
        eligible = columns[~pool.barred[user, columns]]
        some, room, places = _eligible(item[user][item[user] >= 0], eligible, category, settings)
        if places:
            key = generator(settings.training.seed, day, user_ids[user])
            chance = inclusion(
                weights(pool.scores[user, some], settings.exploration.explore_temperature, settings.exploration.explore_uniform),
                category[some],
                room,
                places,
            )
            drawn, propensity = draw(chance, category[some], room, places, int(key.integers(UNITS)))
            order = key.permutation(places)
            chosen = some[drawn[order]]
            _place(found, user, chosen, pool.scores[user, chosen], propensity[order], settings.exploration.explore_rank)
    return found


def _eligible(
    row: NDArray[np.int64], eligible: NDArray[np.intp], category: NDArray[np.int64], settings: Settings
) -> tuple[NDArray[np.intp], NDArray[np.int64], int]:
    """Return the items that one user's places can go to, the room of each one's category, and how many places there are."""
    most = settings.lists.max_per_category or ENDLESS
    for places in range(min(settings.exploration.explore_places, len(row)), 0, -1):
        kept = row[: len(row) - places]
        pool = eligible[~np.isin(eligible, kept)]
        if not settings.lists.max_per_category and len(pool) >= places:
            return pool, np.full(len(pool), ENDLESS), places
        held = np.bincount(category[kept] + 1, minlength=int(category.max(initial=-1)) + 2)
        room = np.where(category[pool] < 0, ENDLESS, most - held[category[pool] + 1])
        pool, room = pool[room > 0], room[room > 0]
        code, first, size = np.unique(category[pool], return_index=True, return_counts=True)
        if np.where(code < 0, size, np.minimum(size, room[first] if len(first) else size)).sum() >= places:
            return pool, room, places
    return eligible[:0], np.zeros(0, np.int64), 0


def weights(scores: NDArray[np.floating], temperature: float, uniform: float) -> NDArray[np.float64]:
    """Return (pool,) of sum 1: a softmax of the scores in units of their spread, and a share that is the same for all."""
    value = scores.astype(np.float64)
    spread = value.std()
    odds = np.exp((value - value.max()) / (spread * temperature)) if spread > 0 else np.ones(len(value))
    return np.asarray((1 - uniform) * odds / odds.sum() + uniform / len(value))


def inclusion(
    weight: NDArray[np.float64], category: NDArray[np.int64], room: NDArray[np.int64], places: int
) -> NDArray[np.float64]:
    r"""Return (pool,) :math:`\pi_i = \min(1, \lambda w_i)` of sum ``places``, with no more in a category than it has room for.

    A full category's items share its room in the same way, with a λ of their own. Whoever exceeds a bound at some λ exceeds
    it at every greater one, and λ only grows while bounds are set: so a few rounds find them all.
    """
    chance, free, left = np.zeros(len(weight)), np.ones(len(weight), np.bool_), places
    codes, first, of_code = np.unique(category, return_index=True, return_inverse=True)
    limited = codes >= 0
    while free.any():
        chance[free] = _capped(weight[free], left)
        full = np.flatnonzero(limited & (np.bincount(of_code, chance, len(codes)) >= room[first]))
        if not len(full):
            break
        for code in full:
            mine, most = of_code == code, int(room[first[code]])
            chance[mine] = _capped(weight[mine], most)
            free &= ~mine
            left -= most
        limited[full] = False
    return chance


def _capped(weight: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Return min(1, λ w) of sum ``total``; ones where there are no more than so many."""
    chance = np.ones(len(weight))
    if total >= len(weight):
        return chance
    sure = np.zeros(len(weight), np.bool_)
    while True:
        chance[~sure] = (total - sure.sum()) * weight[~sure] / weight[~sure].sum()
        more = (chance >= 1) & ~sure
        if not more.any():
            return chance
        sure |= more
        chance[sure] = 1


def draw(
    chance: NDArray[np.float64], category: NDArray[np.int64], room: NDArray[np.int64], places: int, start: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return (places,) rows of the pool, and the probability that each had to be drawn.

    Parameters
    ----------
    chance
        As `inclusion` gives it.
    category, room
        (pool,) items of one category are laid side by side; full categories and what is certain come first, so that they
        begin and end at whole numbers.
    places
        How many are drawn.
    start
        From 0 to `UNITS` − 1, each as likely: the place of the first step.
    """
    codes, first, of_code = np.unique(category, return_index=True, return_inverse=True)
    brim = np.abs(np.bincount(of_code, chance, len(codes)) - room[first]) < 1 / UNITS
    full = (brim & (codes >= 0))[of_code]
    order = np.lexsort((chance < 1, category, np.where(category < 0, chance < 1, ~full)))
    ends = np.rint(np.cumsum(chance[order]) * UNITS).astype(np.int64)
    found = np.searchsorted(ends, start + UNITS * np.arange(places, dtype=np.int64), side="right")
    return order[found], np.diff(ends, prepend=0)[found] / UNITS


def generator(seed: int, day: date, user_id: str) -> np.random.Generator:
    """Return a counter-based generator (Philox, Salmon et al. 2011) whose key is made of seed, day and user alone."""
    key = hashlib.sha256(f"{seed}\n{day}\n{user_id}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], "<u8").astype(np.uint64)))


def _place(
    found: Lists, user: int, item: NDArray[np.intp], score: NDArray[np.floating], propensity: NDArray[np.float64], rank: int
) -> None:
    """Put items into one user's list: at its end, or from a rank on, whence its own items move down."""
    length, places = int((found.item[user] >= 0).sum()), len(item)
    kept = length - places
    first = min(rank - 1, kept) if rank else kept
    for array, values in ((found.item, item), (found.score, score), (found.propensity, propensity), (found.explored, True)):
        array[user, first + places : length] = array[user, first:kept].copy()
        array[user, first : first + places] = values
