"""The evidence in the name of a class for its texts, learned from the other classes.

The means of classes are a Gaussian process over the vectors of their names: classes with like names have like means, and a mean lies
where its name does, as far as that holds for the classes that are known (Rasmussen & Williams 2006, section 2.7, with one explicit
basis function). What is said of a class is said without its own texts, in closed form (section 5.4.2), so that it can be
weighed against them as a prior, and so that its error there is what it will be for a class that comes new.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]

OWN = 0.3
"""Variance of a mean that its name does not tell, beside 1 that names tell."""


@dataclass(frozen=True)
class Prior:
    """Where the means of classes are expected.

    Attributes
    ----------
    mean
        (classes, axes); of a class with texts, without them.
    away
        (classes, axes) how far the known means lie from there; zeros for classes without texts.
    """

    mean: Vectors
    away: Vectors


def expect_means(means: Vectors, count: Vectors, names: Vectors, placed: Vectors) -> Prior:
    """Expect the means of classes by their names.

    Parameters
    ----------
    means
        (classes, axes) means of the texts, in units of their deviation within a class; anything where there are none.
    count
        (classes,) number of texts; at least two are not 0.
    names
        (classes, d) vectors of the names.
    placed
        (classes, axes) the names in the coordinates of ``means``.
    """
    known = np.flatnonzero(count)
    weight = count[known] / (count[known] + 1)
    y = means[known] - _mean(means[known], weight)
    line = placed - _mean(placed[known], weight)
    like = _likeness(names, known, weight)
    noise = OWN + 1 / (count[known] * max(float((y**2).mean()), 1e-6))
    inverse = np.linalg.inv(like[np.ix_(known, known)] + np.diag(noise))
    both = inverse @ np.hstack([y, line[known]])
    missed, missed_line = np.hsplit(both / np.diag(inverse)[:, None], 2)
    slope = _slope(missed, missed_line, weight)
    mean = means[known].T @ weight / weight.sum() + slope * line
    mean = mean + like[:, known] @ (both[:, : y.shape[1]] - slope * both[:, y.shape[1] :])
    away = np.zeros_like(mean)
    away[known] = missed - slope * missed_line
    mean[known] = means[known] - away[known]
    return Prior(mean, away)


def _mean(rows: Vectors, weight: Vectors) -> Vectors:
    return np.asarray(weight @ rows / weight.sum())


def _likeness(names: Vectors, known: NDArray[np.intp], weight: Vectors) -> Vectors:
    """Return (classes, classes) cosines of names, their common mean taken off."""
    away = names - _mean(names[known], weight)
    unit = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T)


def _slope(missed: Vectors, missed_line: Vectors, weight: Vectors) -> float:
    """Return how far a mean goes where its name does, 0 or more: least squares of what is missed of classes left out."""
    square = float((weight[:, None] * missed_line**2).sum())
    return max(float((weight[:, None] * missed * missed_line).sum()) / square, 0.0) if square > 1e-12 else 0.0
