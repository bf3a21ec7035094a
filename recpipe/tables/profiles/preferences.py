r"""The excess of a tag in one user over the others: weights of tags, and the evidence under them.

A user has seen :math:`n_t` of evidence under tag t, of :math:`N` in all; the other users have the share :math:`q_t` of theirs
under it, so :math:`E_t = q_t N` is what an average other user would have. The weight of the tag is

.. math:: w_t = \max\left(0, \frac{n_t - E_t}{n_t + \alpha}\right) = \max\left(0, 1 - \frac{1}{\lambda_t}\right),
          \quad \lambda_t = \frac{n_t + \alpha}{E_t + \alpha},

where :math:`\lambda_t` is the ratio of seen and expected, shrunken by a gamma prior of mean 1 and shape :math:`\alpha` (DuMouchel
1999, "Bayesian data mining in large frequency tables", section 2, with one component). So a weight is the part of the evidence
that the average does not explain, as if :math:`\alpha` more had been seen of which it explains all: one event under a rare tag
weighs .2, five weigh .56, fifty .93, and fifty where fifty were to be expected 0.

No number of a tag depends on what else the user has, but through N; and q is of the other users alone, so that what is taken from a
user's evidence changes the user's own weights as the formula says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PRIOR: Final = 4.0
"""Evidence that is imagined beside what was seen (alpha), in events that weigh 1."""
NAMED_ITEMS: Final = 3
DECIMALS: Final = 9

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Keys:
    """Which tags a piece of evidence stands for: sparse rows, one a key.

    Attributes
    ----------
    indptr, code
        Tags of key k are ``code[indptr[k]:indptr[k + 1]]``, each once.
    share
        How far the evidence counts for each, above 0 and up to 1.
    """

    indptr: Ints
    code: Ints
    share: Floats

    @classmethod
    def of(cls, rows: list[dict[int, float]]) -> Keys:
        """Lay out one mapping of tags to shares a key."""
        indptr = np.r_[0, np.cumsum([len(row) for row in rows])].astype(np.int64)
        code = np.array([tag for row in rows for tag in sorted(row)], np.int64)
        return cls(indptr, code, np.array([row[tag] for row in rows for tag in sorted(row)], np.float64))

    @property
    def tagged(self) -> Floats:
        """(keys,) greatest share of each; 0 for a key without tags."""
        found = np.zeros(len(self.indptr) - 1)
        np.maximum.at(found, np.repeat(np.arange(len(found)), np.diff(self.indptr)), self.share)
        return found


@dataclass(frozen=True)
class Evidence:
    """What users were seen to do, one row a piece, by user, and then in a total order.

    Attributes
    ----------
    user
        (rows,) place of the user, not falling.
    key
        (rows,) what it stands for, in `Keys`.
    item
        (rows,) place of the item; −1 where it is of none.
    date
        (rows,) day as an ordinal.
    amount
        (rows,) how much it counts.
    """

    user: Ints
    key: Ints
    item: Ints
    date: Ints
    amount: Floats

    def take(self, rows: NDArray[Any]) -> Evidence:
        """Return some rows: places, in an order that keeps users together, or whether each is kept."""
        return Evidence(self.user[rows], self.key[rows], self.item[rows], self.date[rows], self.amount[rows])


@dataclass(frozen=True)
class Family:
    """Tags that share one whole: each tag's part of it is compared with that of other users.

    Attributes
    ----------
    kind, says
        Kind of the tags, and which sentence speaks of them.
    tags
        Text of each, sorted.
    keys, evidence
        What stands for what, and what was seen.
    total
        (tags,) evidence of all users under each tag.
    own
        (users,) all evidence of each user that has tags.
    """

    kind: str
    says: str
    tags: list[str]
    keys: Keys
    evidence: Evidence
    total: Floats
    own: Floats


@dataclass(frozen=True)
class Tagged:
    """Tags of some users, by user, then weight, then tag.

    Attributes
    ----------
    user, code
        Place of the user, and of the tag in its family.
    weight, seen, expected
        w, n and E of the module's formula.
    pieces, whole
        Pieces of evidence under the tag, and of the user in the family.
    first, last
        Days of the oldest and newest piece, as ordinals.
    items
        Places of the items without which the weight would fall the most, most first.
    """

    user: Ints
    code: Ints
    weight: Floats
    seen: Floats
    expected: Floats
    pieces: Ints
    whole: Ints
    first: Ints
    last: Ints
    items: list[list[int]]


def family_of(kind: str, says: str, tags: list[str], keys: Keys, evidence: Evidence, users: int) -> Family:
    """Sum up the evidence of all users; pieces without a tag are left out."""
    evidence = evidence.take(keys.tagged[evidence.key] > 0)
    of_key = _sums(evidence.key, evidence.amount, len(keys.indptr) - 1)
    total = _sums(keys.code, np.repeat(of_key, np.diff(keys.indptr)) * keys.share, len(tags))
    own = _sums(evidence.user, evidence.amount * keys.tagged[evidence.key], users)
    return Family(kind, says, tags, keys, evidence, total, own)


def _sums(place: Ints, amount: Floats, size: int) -> Floats:
    return np.bincount(place, amount, minlength=size).astype(np.float64)


def weight_of(seen: Floats, expected: Floats) -> Floats:
    """Return the weights of tags (see the module).

    Examples
    --------
    >>> weight_of(np.array([1.0, 50.0, 50.0]), np.array([0.0, 0.0, 50.0])).round(2)
    array([0.2 , 0.93, 0.  ])
    """
    return np.round(np.maximum(seen - expected, 0.0) / (seen + PRIOR), DECIMALS)


def weigh(family: Family, first: int, last: int, most: int) -> Tagged:
    """Return the tags of the users from ``first`` on and before ``last`` whose weight is above 0, at most ``most`` a user."""
    evidence, keys, width = family.evidence, family.keys, len(family.tags)
    begin, end = np.searchsorted(evidence.user, [first, last])
    sizes = np.diff(keys.indptr)[evidence.key[begin:end]]
    row = np.repeat(np.arange(begin, end), sizes)
    at = np.arange(len(row)) + np.repeat(keys.indptr[evidence.key[begin:end]] - (np.cumsum(sizes) - sizes), sizes)
    pairs, place = np.unique(evidence.user[row] * width + keys.code[at], return_inverse=True)
    user, code = pairs // max(width, 1), pairs % max(width, 1)
    seen = _sums(place, evidence.amount[row] * keys.share[at], len(pairs))
    rest = family.own.sum() - family.own[user]
    others = np.divide(np.maximum(family.total[code] - seen, 0.0), rest, out=np.zeros(len(pairs)), where=rest > 1e-9)
    expected = np.minimum(others, 1.0) * family.own[user]
    weight = weight_of(seen, expected)
    kept = _greatest(user, weight, code, most)
    number = np.full(len(pairs), -1, np.int64)
    number[kept] = np.arange(len(kept))
    mine = number[place] >= 0
    spread = number[place[mine]], row[mine], evidence.amount[row[mine]] * keys.share[at[mine]]
    low, high = _days(spread[0], evidence.date[spread[1]], len(kept))
    whole = np.bincount(evidence.user[begin:end] - first, minlength=max(last - first, 0))
    items = _telling(family, spread, seen[kept], others[kept])
    pieces = np.bincount(spread[0], minlength=len(kept)).astype(np.int64)
    of_user = whole[user[kept] - first].astype(np.int64)
    return Tagged(user[kept], code[kept], weight[kept], seen[kept], expected[kept], pieces, of_user, low, high, items)


def _greatest(user: Ints, weight: Floats, code: Ints, most: int) -> Ints:
    """Return the places of each user's greatest weights above 0, by user, weight and tag."""
    order = np.lexsort((code, -weight, user))
    order = order[weight[order] > 0]
    begins = np.searchsorted(user[order], user[order])  # order keeps users together and rising
    return np.asarray(order[np.arange(len(order)) - begins < most], np.int64)


def _days(number: Ints, date: Ints, tags: int) -> tuple[Ints, Ints]:
    low, high = np.full(tags, np.iinfo(np.int64).max), np.zeros(tags, np.int64)
    np.minimum.at(low, number, date)
    np.maximum.at(high, number, date)
    return low, high


def _telling(family: Family, spread: tuple[Ints, Ints, Floats], seen: Floats, others: Floats) -> list[list[int]]:
    """Return, for each tag, the items without which its weight would fall the most; of equals the newest.

    Without an item both what was seen under the tag and the whole that the expectation is a part of are smaller; an item
    may have evidence in the family that is not under the tag.
    """
    number, row, part = spread
    evidence = family.evidence
    named = evidence.item[row] >= 0
    number, row, part = number[named], row[named], part[named]
    size = int(evidence.item.max(initial=0)) + 1
    pairs, place = np.unique(number * size + evidence.item[row], return_inverse=True)
    tag, item = pairs // size, pairs % size
    under = _sums(place, part, len(pairs))
    newest = np.zeros(len(pairs), np.int64)
    np.maximum.at(newest, place, evidence.date[row])
    user = np.zeros(len(pairs), np.int64)
    user[place] = evidence.user[row]
    whole = _own_of(family, user, item, size)
    now = weight_of(seen, others * family.own[_of_tag(number, evidence.user[row], len(seen))])
    left, own = np.maximum(seen[tag] - under, 0.0), np.maximum(family.own[user] - whole, 0.0)
    loss = np.round(now[tag] - weight_of(left, others[tag] * own), DECIMALS)
    order = np.lexsort((item, -newest, -loss, tag))
    order = order[loss[order] > 0]
    order = order[np.arange(len(order)) - np.searchsorted(tag[order], tag[order]) < NAMED_ITEMS]
    found: list[list[int]] = [[] for _ in seen]
    for one, what in zip(tag[order].tolist(), item[order].tolist(), strict=True):
        found[one].append(what)
    return found


def _of_tag(number: Ints, user: Ints, tags: int) -> Ints:
    found = np.zeros(tags, np.int64)
    found[number] = user
    return found


def _own_of(family: Family, user: Ints, item: Ints, size: int) -> Floats:
    """Return all that each user has in the family of each item."""
    if not len(user):
        return np.zeros(0)
    evidence = family.evidence
    begin, end = np.searchsorted(evidence.user, [user.min(), user.max() + 1])
    pair = evidence.user[begin:end] * size + np.where(evidence.item[begin:end] >= 0, evidence.item[begin:end], 0)
    amount = np.where(evidence.item[begin:end] >= 0, evidence.amount[begin:end], 0.0)
    amount = amount * family.keys.tagged[evidence.key[begin:end]]
    known, place = np.unique(pair, return_inverse=True)
    sums = _sums(place, amount, len(known))
    return np.asarray(sums[np.searchsorted(known, user * size + item)])
