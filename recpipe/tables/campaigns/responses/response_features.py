"""The evidence of a user's history on a campaign's items, as of the day on which the audience is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECENCY, FREQUENCY, VALUE, RESPONSES, RATE, ADDRESSED, OWN, CLOSE, CATEGORY, RECENT_RESPONSE, BREADTH = range(11)
NAMES: Final = (
    "recency", "frequency", "value", "responses", "response_rate", "addressed", "own_items", "close_items", "categories",
    "recent_response", "breadth",
)  # fmt: skip
ACTIVITY: Final = (RECENCY, FREQUENCY, VALUE)
ANSWERS: Final = (RESPONSES, RATE, ADDRESSED, RECENT_RESPONSE)
ITEMS: Final = (OWN, CLOSE, CATEGORY)
BASELINE: Final = (RECENCY, FREQUENCY, VALUE, RESPONSES)
"""What the logistic regression sees that a campaign is compared with."""

MONTH: Final = 30.0
DOUBT: Final = 4.0
"""Campaigns that a user's own rate of answers is averaged with the mean rate of all users by."""


@dataclass(frozen=True)
class Purchases:
    """What was bought: one entry a line, in any order.

    Attributes
    ----------
    users, items
        (lines,) places of the user and of the item.
    days
        (lines,) days, as ordinals.
    values
        (lines,) what was paid, in the shop's currency.
    shape
        Number of users and of items.
    categories
        (items,) place of the item's category; -1 where it has none.
    """

    users: Ints
    items: Ints
    days: Ints
    values: Floats
    shape: tuple[int, int]
    categories: Ints


@dataclass(frozen=True)
class Answers:
    """Who was addressed by earlier campaigns, and when each answered.

    Attributes
    ----------
    users, since
        (pairs,) place of the user, and first day of the campaign, as an ordinal.
    until
        (pairs,) last day of the campaign.
    days
        (pairs,) day of the first answer; 0 where there was none.
    """

    users: Ints
    since: Ints
    until: Ints
    days: Ints


@dataclass(frozen=True)
class Look:
    """What is known of every user for one campaign.

    Attributes
    ----------
    values
        (users, len(NAMES)).
    bought
        (users, items) lines of the window, as a sparse matrix.
    parts
        (3, items): what one bought line adds to own, close and category sums.
    scales
        (3,) sums that count as usual: the mean over the users who bought.
    """

    values: Floats
    bought: sparse.csr_array
    parts: Floats
    scales: Floats


def look(purchases: Purchases, answers: Answers, weights: Floats, as_of: int, days: int) -> Look:
    """Return what is known of every user at the end of a day, beside a campaign.

    Parameters
    ----------
    purchases, answers
        May go beyond the day: what comes after it is left out.
    weights
        (items,) how much an item belongs to the campaign, 0 to 1.
    as_of
        The day, as an ordinal.
    days
        Days of purchases that count, the day among them.
    """
    first = max(as_of - days + 1, int(purchases.days.min(initial=as_of)))
    months = (as_of - first + 1) / MONTH
    inside = (purchases.days >= first) & (purchases.days <= as_of)
    bought = _matrix(purchases, inside)
    parts = _parts(bought, purchases.categories, weights)
    sums = np.stack([bought @ part for part in parts])
    buyers = max(int((np.diff(bought.indptr) > 0).sum()), 1)
    scales = np.maximum(sums.sum(1) / buyers, 1e-9)
    columns = [
        *_activity(purchases, inside, as_of, days, months),
        *_answered(answers, as_of, purchases.shape[0]),
        *np.log1p(sums / scales[:, None]),
    ]
    order = [RECENCY, FREQUENCY, VALUE, RESPONSES, RATE, ADDRESSED, RECENT_RESPONSE, OWN, CLOSE, CATEGORY]
    values = np.zeros((purchases.shape[0], len(NAMES)))
    for place, column in zip(order, columns, strict=True):
        values[:, place] = column
    values[:, BREADTH] = np.log1p(weights.sum())
    return Look(values, bought, parts, scales)


def _matrix(purchases: Purchases, inside: NDArray[np.bool_]) -> sparse.csr_array:
    """Return (users, items) distinct days on which a user bought an item."""
    users, items, days = (some[inside].astype(np.int64) for some in (purchases.users, purchases.items, purchases.days))
    start = int(days.min()) if len(days) else 0
    width = int(days.max()) - start + 1 if len(days) else 1
    codes = np.unique((users * purchases.shape[1] + items) * width + days - start) // width
    ones = np.ones(len(codes))
    return sparse.csr_array((ones, (codes // purchases.shape[1], codes % purchases.shape[1])), shape=purchases.shape)


def _parts(bought: sparse.csr_array, categories: Ints, weights: Floats) -> Floats:
    """Return what one line of an item adds: (3, items)."""
    met = bought.sign()
    users = np.asarray(met.sum(0)).ravel()
    norm = np.divide(1.0, np.sqrt(users), out=np.zeros(len(users)), where=users > 0)
    close = norm * (met.T @ (met @ (norm * weights)))
    # an item is close to itself; that is what its own part says
    close = np.maximum(close - np.where(users > 0, weights, 0.0), 0.0)
    count = max(int(categories.max(initial=-1)) + 1, 1)
    known = categories >= 0
    inside = np.bincount(categories[known], (weights * users)[known], count)
    whole = np.bincount(categories[known], users[known], count)
    share = np.divide(inside, whole, out=np.zeros(count), where=whole > 0)
    return np.stack([weights, close, np.where(known, share[np.maximum(categories, 0)], 0.0)])


def _activity(purchases: Purchases, inside: NDArray[np.bool_], as_of: int, days: int, months: float) -> list[Floats]:
    users, when = purchases.users[inside], purchases.days[inside]
    count = purchases.shape[0]
    last = np.full(count, as_of - days, np.int64)
    np.maximum.at(last, users, when)
    visits = np.unique(users.astype(np.int64) * days + (as_of - when)) // days
    spent = np.bincount(users, purchases.values[inside], count)
    often = np.bincount(visits, minlength=count)
    return [-np.log1p(as_of - last), np.log1p(often / months), np.log1p(spent / months)]


def _answered(answers: Answers, as_of: int, count: int) -> list[Floats]:
    """Return answers before the day, the smoothed rate, how often addressed, and how fresh the newest answer is."""
    addressed = answers.since <= as_of
    known = addressed & (answers.days > 0) & (answers.days <= as_of)
    times = np.bincount(answers.users[known], minlength=count).astype(np.float64)
    over = addressed & (known | (answers.until <= as_of))
    asked = np.bincount(answers.users[over], minlength=count).astype(np.float64)
    mean = times.sum() / asked.sum() if asked.sum() else 0.0
    rate = (times + DOUBT * mean) / (asked + DOUBT)
    newest = np.zeros(count, np.int64)
    np.maximum.at(newest, answers.users[known], answers.days[known])
    fresh = np.where(newest > 0, np.exp(-(as_of - newest) / (3 * MONTH)), 0.0)
    return [np.log1p(times), rate, np.log1p(asked), fresh]
