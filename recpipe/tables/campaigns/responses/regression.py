"""A logistic regression over the users of earlier campaigns, its probabilities made right by newer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recpipe.tables.campaigns.responses.response_features import NAMES, Floats

ROUNDS: Final = 50
PENALTIES: Final = (3.0, 30.0, 300.0)
LEAST_HELD: Final = 10
"""Answers that the campaigns have to have that the penalty is chosen and the probabilities are calibrated on."""


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
