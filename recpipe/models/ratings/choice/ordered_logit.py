"""Chances of the levels of a scale from one number, by the ordered logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from recpipe.models.ratings.ratings import Floats, Ints

LEAST = 1e-9
FLATTEST, STEEPEST = -4.0, 4.0


@dataclass(frozen=True)
class OrderedLogit:
    """The chance of a level up to j is 1 / (1 + exp(slope x − cut j)); McCullagh 1980, section 2.

    A greater number always makes greater levels likelier: on two levels the order of the numbers is kept.

    Attributes
    ----------
    centre, width
        x is (number − centre) / width.
    slope
        Above 0.
    cuts
        (levels − 1,) ascending.
    """

    centre: float
    width: float
    slope: float
    cuts: Floats

    def chances(self, number: Floats) -> Floats:
        """Return (rows, levels) chances of (rows,) numbers."""
        x = self.slope * (number - self.centre) / self.width
        below = expit(self.cuts - x[:, None])
        edges = np.hstack([np.zeros((len(x), 1)), below, np.ones((len(x), 1))])
        return np.maximum(np.diff(edges, axis=1), LEAST)


def fit_ordered_logit(number: Floats, level: Ints, levels: int) -> OrderedLogit:
    """Fit by maximal likelihood, lightly drawn to a slope of 1.

    Parameters
    ----------
    number, level
        (rows,) and the positions of the levels that came, (rows,).
    levels
        How many there are, 2 or more.
    """
    centre, width = float(number.mean()), float(number.std()) or 1.0
    x = (number - centre) / width
    share = np.cumsum(np.bincount(level, minlength=levels) + 1.0)[:-1] / (len(level) + levels)
    cuts = np.log(share / (1 - share))
    begin = np.r_[0.0, cuts[0], np.log(np.maximum(np.diff(cuts), 1e-3))]
    bounds = [(FLATTEST, STEEPEST)] + [(-15.0, 15.0)] * (levels - 1)
    found = minimize(_loss, begin, (x, level), "L-BFGS-B", jac=True, bounds=bounds).x
    return OrderedLogit(centre, width, float(np.exp(found[0])), _cuts(found))


def _cuts(numbers: Floats) -> Floats:
    """Return the first cut, and the others by the logarithms of their distances."""
    return np.asarray(numbers[1] + np.r_[0.0, np.cumsum(np.exp(numbers[2:]))])


def _loss(numbers: Floats, x: Floats, level: Ints) -> tuple[float, Floats]:
    """Return the negative log-likelihood with the prior of the slope, and its gradient."""
    slope, cuts = np.exp(numbers[0]), _cuts(numbers)
    edges = np.r_[-np.inf, cuts, np.inf]
    high, low = expit(edges[level + 1] - slope * x), expit(edges[level] - slope * x)
    chance = np.maximum(high - low, LEAST)
    up, down = high * (1 - high) / chance, low * (1 - low) / chance
    by_cut = np.bincount(level, -up, len(edges) - 1)[:-1] + np.bincount(level, down, len(edges) - 1)[1:]
    by_gap = np.cumsum(by_cut[::-1])[::-1]
    by_slope = slope * float((x * (up - down)).sum()) + numbers[0]
    gradient = np.r_[by_slope, by_gap[0], by_gap[1:] * np.exp(numbers[2:])]
    return float(-np.log(chance).sum() + numbers[0] ** 2 / 2), gradient
