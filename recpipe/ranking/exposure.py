"""The shop's least share of each list for groups of items: new ones, a brand, the tail.

The rule is one on prefixes, as in FA*IR (Zehlike et al. 2017: ranked group fairness, without its test of significance) and in the
lower bounds of Geyik, Ambler & Kenthapadi (2019, "Fairness-aware ranking in search & recommendation systems"): among the first p
places of a list, for every p, at least ⌊p · share⌋ belong to the group, or there is no item of the group left that the user may be
shown. A share of one list as a whole could be met at its end, where few look; a rule on prefixes spreads the places over the list.

Each place goes to the greatest score that leaves all later places within reach. The greedy rule of Geyik et al. (DetGreedy)
looks at the place at hand alone and can miss bounds that fall due together; here a place is given away only as far as the places
that follow are enough for whatever falls due by then (earliest deadline first). Where categories are limited, room is kept for the
groups that need it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence
from recpipe.dataset.item_groups import item_groups
from recpipe.lake.reader import Reader
from recpipe.metrics.ranking import ordered
from recpipe.ranking.order import NOTHING, best_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quotas:
    """The groups that have a least share.

    Attributes
    ----------
    members
        (groups, items) whether an item is in a group.
    least
        (places, groups) least number of items of a group among the first 1, 2, … places.
    """

    members: NDArray[np.bool_]
    least: NDArray[np.int64]


@dataclass
class _Open:
    """Lists that are being filled, from pools of items, best first.

    Attributes
    ----------
    member
        (users, pool, groups) whether an item is in a group.
    shelf
        (users, pool) first place in the pool of an item of the same category; the own place of items that nothing limits.
    room
        (users, pool) items of the category that may still be taken.
    free
        (users, pool) not taken yet.
    count
        (users, groups) items taken.
    goal
        (users, groups) items that the list is to have in the end.
    limited
        Whether any category is.
    """

    member: NDArray[np.bool_]
    shelf: NDArray[np.intp]
    room: NDArray[np.int64]
    free: NDArray[np.bool_]
    count: NDArray[np.int64]
    goal: NDArray[np.int64]
    limited: bool

    @property
    def fit(self) -> NDArray[np.bool_]:
        """(users, pool) what may come next."""
        return self.free & (self.room > 0)

    def on_shelves(self) -> NDArray[np.integer]:
        """Return (users, pool, groups) items of each group that are left on the shelf that begins at a place."""
        users, pool, groups = self.member.shape
        if not self.limited:
            return (self.fit[:, :, None] & self.member).view(np.uint8)
        cell = np.arange(users)[:, None] * pool + self.shelf
        left = [np.bincount(cell[self.fit & self.member[:, :, g]], minlength=users * pool) for g in range(groups)]
        return np.stack(left, axis=1).reshape(self.member.shape)

    def left(self, shelves: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return (users, groups) how many items of each group can still be taken from the shelves."""
        takable = np.minimum(shelves, self.room[:, :, None]) if self.limited else shelves
        return np.asarray(takable.sum(axis=1), np.int64)


def read_quotas(
    settings: Settings, evidence: Evidence, categories: Sequence[tuple[str, ...]], reader: Reader, day: date
) -> Quotas | None:
    """Return the groups of ``settings.fairness.least_exposure`` as of a day; None where there is no such rule.

    A group without items (a brand that the catalogue does not have) asks for nothing; the log names it. The other parameters
    are those of `recpipe.dataset.item_groups.item_groups`.
    """
    if not settings.fairness.least_exposure:
        return None
    split = {
        kind: item_groups(kind, evidence, categories, settings, reader, day) for kind in _kinds(settings.fairness.least_exposure)
    }
    members = []
    for group in settings.fairness.least_exposure:
        kind, _, name = group.partition("=")
        members.append(split[kind].members(name))
        if not members[-1].any():
            log.warning(
                "RECPIPE_LEAST_EXPOSURE names the group '%s', and no item of %s is in it: see the items' %s.", group, day, kind
            )
    return Quotas(np.stack(members), least_counts(list(settings.fairness.least_exposure.values()), settings.lists.top_k))


def _kinds(groups: Mapping[str, float]) -> list[str]:
    return sorted({group.partition("=")[0] for group in groups})


def least_counts(shares: list[float], places: int) -> NDArray[np.int64]:
    """Return (places, groups) ⌊p · share⌋ for p = 1, 2, …, exactly as the shares are written in decimals."""
    return np.array([[int(p * Fraction(str(share))) for share in shares] for p in range(1, places + 1)], np.int64)


def expose(
    plain: NDArray[np.int64],
    scores: NDArray[np.floating],
    barred: NDArray[np.bool_],
    category: NDArray[np.int64],
    most: int,
    quotas: Quotas,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give every group its places in lists.

    Parameters
    ----------
    plain
        (users, k) lists as `recpipe.ranking.order.rank` made them. One that has what the rule asks for stays as it is.
    scores, barred, category, most
        What they were made from. Nothing that is barred, and no more of a category, stands in a list.
    quotas
        The groups.

    Returns
    -------
    NDArray
        (users, k) item rows, −1 where nothing more is eligible.
    NDArray
        (users, k) the scores of those items: they may rise from one place to the next.
    """
    order, k = ordered(scores, barred), plain.shape[1]
    if not len(category):
        return plain, order.points(plain)
    quotas = Quotas(quotas.members, quotas.least[:k])
    # what a group lacks is in its first few; where categories are limited, others may take their room
    widths = np.maximum(quotas.least[-1], 1 if not most else k).tolist()
    of_groups = [
        _wide(best_of(order, width, category, most, among), width) for among, width in zip(quotas.members, widths, strict=True)
    ]
    found = plain.copy()
    users = np.flatnonzero(~_satisfied(plain, of_groups, quotas))
    pool = np.concatenate([plain[users], *(part[users] for part in of_groups)], axis=1)
    found[users] = _fill(_sorted_pool(pool, order.key[users]), category, most, quotas, k)
    return found, order.points(found)


def raised(item: NDArray[np.int64], plain: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (users, k) whether an item stands in a list that is not among those of the plain list."""
    return np.asarray((item != NOTHING) & ~(item[:, :, None] == plain[:, None, :]).any(axis=2))


def _wide(lists: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return np.pad(lists, ((0, 0), (0, k - lists.shape[1])), constant_values=NOTHING)


def _satisfied(plain: NDArray[np.int64], of_groups: list[NDArray[np.int64]], quotas: Quotas) -> NDArray[np.bool_]:
    """Return (users,) whether each prefix has what the rule asks for, or all that there is."""
    there = np.stack([(part != NOTHING).sum(axis=1) for part in of_groups], axis=1)
    count = ((plain != NOTHING)[:, :, None] & quotas.members.T[plain]).cumsum(axis=1)
    wanted = np.minimum(quotas.least[None], there[:, None, :])
    return np.asarray((count >= wanted).all(axis=(1, 2)))


def _sorted_pool(pool: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pools with the best first and each item once; −1 for the others."""
    # keys of a user are all different: equal ones are one item
    value = np.where(pool != NOTHING, np.take_along_axis(key, np.maximum(pool, 0), axis=1), np.iinfo(np.int64).min + 1)
    place = np.argsort(-value, axis=1, kind="stable")
    pool, value = np.take_along_axis(pool, place, axis=1), np.take_along_axis(value, place, axis=1)
    again = np.zeros(pool.shape, np.bool_)
    again[:, 1:] = value[:, 1:] == value[:, :-1]
    return np.where(again, NOTHING, pool)


def _fill(pool: NDArray[np.int64], category: NDArray[np.int64], most: int, quotas: Quotas, k: int) -> NDArray[np.int64]:
    """Give one place after the other, for all users at once."""
    users, lists = np.arange(len(pool)), _open(pool, category, most, quotas)
    found = np.full((len(pool), k), NOTHING, np.int64)
    for place in range(k):
        fit, shelves = lists.fit, lists.on_shelves()
        left = lists.left(shelves)
        due = fit & _due(lists, left, quotas.least[place:])
        kind = due & ~_spoils(lists, left, shelves) if most else due
        choice = np.argmax(np.where(kind.any(axis=1, keepdims=True), kind, due), axis=1)
        taken = fit[users, choice]  # else nothing more is eligible
        found[taken, place] = pool[users, choice][taken]
        lists.free[users, choice] = False
        lists.count += lists.member[users, choice] & taken[:, None]
        lists.room -= (lists.shelf == lists.shelf[users, choice][:, None]) & taken[:, None]
    return found


def _open(pool: NDArray[np.int64], category: NDArray[np.int64], most: int, quotas: Quotas) -> _Open:
    code, place = np.where(pool != NOTHING, category[pool], NOTHING), np.arange(pool.shape[1])
    alone = (code == NOTHING) | (most == 0)
    shelf = np.where(alone, place, np.argmax(code[:, :, None] == code[:, None, :], axis=1))
    room = np.where(alone, 1, most).astype(np.int64)
    nobody = np.zeros((len(pool), len(quotas.members)), np.int64)
    lists = _Open(quotas.members.T[pool], shelf, room, pool != NOTHING, nobody, nobody, most > 0)
    return replace(lists, count=nobody.copy(), goal=np.minimum(quotas.least[-1], lists.left(lists.on_shelves())))


def _due(lists: _Open, left: NDArray[np.int64], least: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (users, pool) whether an item can have the place: all, where no later place is spoken for already.

    What is due by a later place are the items that the groups lack until then, or have at all. Where they fill all places until
    then, the first such place says whose turn it is.
    """
    there = lists.count + left
    lack = np.maximum(np.minimum(least[None], there[:, None, :]) - lists.count[:, None, :], 0)
    full = lack.sum(axis=2) >= np.arange(1, len(least) + 1)
    turn = lack[np.arange(len(lack)), np.argmax(full, axis=1)] > 0
    return np.asarray((lists.member & turn[:, None, :]).any(axis=2) | ~full.any(axis=1)[:, None])


def _spoils(lists: _Open, left: NDArray[np.int64], shelves: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return (users, pool) whether an item takes the room in its category that a group needs to have its places in the end."""
    own = np.take_along_axis(shelves, lists.shelf[:, :, None], axis=1)
    tight = ~lists.member & (own >= lists.room[:, :, None])
    needed = left <= lists.goal - lists.count
    return np.asarray((tight & needed[:, None, :] & (own > 0)).any(axis=2))
