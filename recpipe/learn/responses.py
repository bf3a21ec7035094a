"""Who answers a campaign: what a user's history says of a campaign's items, and a logistic regression over earlier ones.

A campaign is a weight for each item. What speaks for a user is counted as of the day on which the campaign's audience is
made: recency, frequency and value (Hughes 1994), how often the user answered before, and how close what the user bought
is to the campaign's items: those items themselves, items that are bought by the same users (the cosine of item kNN,
Sarwar et al. 2001, in one product with the campaign's weights), and items of their categories. Everything about items is
a sum over what the user bought, so that each item's part can be named.
"""

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
ROUNDS: Final = 50
PENALTIES: Final = (3.0, 30.0, 300.0)
LEAST_HELD: Final = 10
"""Answers that the campaigns have to have that the penalty is chosen and the probabilities are calibrated on."""


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


# --- the regression -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regression:
    """A logistic regression on standardised columns.

    Attributes
    ----------
    mean, scale, weights
        (columns,) of the columns that were fitted, and what each counts.
    intercept
        Log odds where every column is at its mean.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def parts(self, columns: Floats) -> Floats:
        """Return what each column adds to the log odds: (rows, columns)."""
        return np.asarray((columns - self.mean) / self.scale * self.weights)

    def log_odds(self, columns: Floats) -> Floats:
        """Return (rows,) log odds."""
        return np.asarray(self.parts(columns).sum(1) + self.intercept)


def fit(columns: Floats, answered: Floats, penalty: float = 1.0) -> Regression:
    """Fit a logistic regression with a ridge penalty by Newton's method (Hastie et al. 2009, section 4.4.1).

    Parameters
    ----------
    columns
        (rows, columns).
    answered
        (rows,) 1 or 0.
    penalty
        λ of λ/2 ‖w‖² on standardised columns; the intercept is free.
    """
    mean, scale = columns.mean(0), columns.std(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    design = np.column_stack([np.ones(len(columns)), (columns - mean) / scale])
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 1e-6
    found = newton(design, answered, ridge, np.zeros(design.shape[1]))
    return Regression(mean, scale, found[1:], float(found[0]))


def calibrate(log_odds: Floats, answered: Floats, doubt: float = 2.0) -> tuple[float, float]:
    """Return slope and intercept that make log odds of a held-out campaign right (Platt 1999).

    Few answers move them little from 1 and 0: a ridge draws them there.
    """
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    slope, intercept = newton(design, answered, np.full(2, doubt), np.array([1.0, 0.0]))
    return max(float(slope), 0.05), float(intercept)


def newton(design: Floats, answered: Floats, ridge: Floats, start: Floats) -> Floats:
    """Minimise logistic loss + ½ Σ ridge (w − start)²; a step that does not help is halved."""
    found = start.copy()
    for _ in range(ROUNDS):
        rate = sigmoid(design @ found)
        slope = design.T @ (rate - answered) + ridge * (found - start)
        bend = (design * (rate * (1 - rate))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        before, size = _loss(design, answered, ridge, start, found), 1.0
        while size > 1e-4 and _loss(design, answered, ridge, start, found - size * step) > before:
            size /= 2
        found = found - size * step
        if np.abs(step).max() < 1e-9:
            break
    return found


def _loss(design: Floats, answered: Floats, ridge: Floats, start: Floats, found: Floats) -> float:
    odds = design @ found
    return float((np.logaddexp(0.0, odds) - answered * odds).sum() + (ridge * (found - start) ** 2).sum() / 2)


def sigmoid(odds: Floats) -> Floats:
    """Return probabilities of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))))


@dataclass(frozen=True)
class Model:
    """A regression whose log odds are made right by a campaign that it had not seen.

    Attributes
    ----------
    regression
        Fitted on all earlier campaigns.
    columns
        Which of `NAMES` it sees.
    slope, intercept
        Of the calibration; 1 and 0 where too few answered.
    """

    regression: Regression
    columns: tuple[int, ...]
    slope: float
    intercept: float

    def probability(self, values: Floats) -> Floats:
        """Return (rows,) probabilities of (rows, len(NAMES)) values."""
        odds = self.regression.log_odds(values[:, list(self.columns)])
        return sigmoid(self.slope * odds + self.intercept)

    def parts(self, values: Floats) -> Floats:
        """Return what each of `NAMES` adds to the log odds: (rows, len(NAMES)), 0 for what is not seen."""
        found = np.zeros(values.shape)
        found[:, list(self.columns)] = self.slope * self.regression.parts(values[:, list(self.columns)])
        return found

    def slopes(self) -> Floats:
        """Return (len(NAMES),) what one more of each adds to the log odds."""
        found = np.zeros(len(NAMES))
        found[list(self.columns)] = self.slope * self.regression.weights / self.regression.scale
        return found


def learn(values: list[Floats], answered: list[Floats], columns: tuple[int, ...] = tuple(range(len(NAMES)))) -> Model:
    """Fit a model on earlier campaigns, oldest first.

    The newest campaigns that together have `LEAST_HELD` answers are left out once: they choose the penalty by their log
    loss and calibrate the log odds. Then all are fitted.

    Parameters
    ----------
    values
        (addressed, len(NAMES)) a campaign.
    answered
        (addressed,) 1 or 0 a campaign.
    columns
        Which of `NAMES` the model sees.
    """
    seen = [some[:, list(columns)] for some in values]
    cut = _cut(answered)
    penalty, slope, intercept = PENALTIES[1], 1.0, 0.0
    if cut:
        held, truth = np.concatenate(seen[cut:]), np.concatenate(answered[cut:])
        before = np.concatenate(seen[:cut]), np.concatenate(answered[:cut])
        odds = [fit(*before, one).log_odds(held) for one in PENALTIES]
        best = int(np.argmin([np.mean(np.logaddexp(0.0, some) - truth * some) for some in odds]))
        penalty = PENALTIES[best]
        slope, intercept = calibrate(odds[best], truth)
    return Model(fit(np.concatenate(seen), np.concatenate(answered), penalty), columns, slope, intercept)


def _cut(answered: list[Floats]) -> int:
    """Return the place of the first campaign that is held out; 0: too few answered for that."""
    total = sum(float(some.sum()) for some in answered)
    held = 0.0
    for place in range(len(answered) - 1, 0, -1):
        held += float(answered[place].sum())
        if held >= LEAST_HELD:
            return place if total - held >= LEAST_HELD else 0
    return 0


# --- how good is it? ----------------------------------------------------------------------------------------------


def auc(scores: Floats, answered: Floats, weights: Floats | None = None) -> float:
    """Return the chance that who answered scores above who did not, ties half (Hanley & McNeil 1982); NaN with one kind only.

    Parameters
    ----------
    scores, answered
        (rows,).
    weights
        (rows,) how often a row counts; once if None.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights * answered)
    no = np.bincount(place, weights * (1 - answered))
    if not len(scores) or not yes.sum() or not no.sum():
        return float("nan")
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


def auc_interval(scores: Floats, answered: Floats, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of `auc` of the bootstrap over rows; draws with one kind only are left out."""
    rows = len(scores)
    found = [auc(scores, answered, rng.multinomial(rows, np.full(rows, 1 / rows)).astype(np.float64)) for _ in range(draws)]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)


def calibration_error(probability: Floats, answered: Floats, bins: int = 10) -> float:
    """Return the mean distance of probability and rate over bins of equally many rows, weighed by them; 0 without rows.

    Not bins of equal width: answers are rare, and nearly all would fall into the first.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    away = sum(abs(float((probability[part] - answered[part]).sum())) for part in parts)
    return away / len(order) if len(order) else 0.0
