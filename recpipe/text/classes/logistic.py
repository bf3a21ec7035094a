"""A multinomial logistic regression on a kernel, and its strength chosen by texts left out.

A ridge on targets of 0 and 1 hides classes behind one another when there are many of them (Hastie, Tibshirani & Friedman 2009,
section 4.2); the logistic loss does not. The kernel counts through its eigenvectors: the regression on them is that on the
features the kernel stands for (Zhu & Hastie 2005, "Kernel logistic regression and the import vector machine", section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from recpipe.text.classes.kernel_ridge import INTERCEPT, Head, Setting
from recpipe.text.classes.left_out import cross_entropy, deal
from recpipe.text.classes.shots import Shots

Vectors = NDArray[np.float64]

SHARE = 0.7
"""Share of the encoder's kernel that is tried beside all of it."""
TEMPERATURES = tuple(np.geomspace(0.3, 5.0, 15))
"""Scores of a logistic regression are log odds already."""
STRENGTHS = (0.003, 0.03, 0.3)
"""Weights of the squared coefficients, beside the sum of the losses of all texts, that are tried."""
MOST_ROUNDS = 60
MOST_FOLDS = 5
"""Parts that are left out in turn; a fit is iterative, and each part costs one."""
LEAST_EIGENVALUE = 1e-8
MOST_AXES = 768
"""Eigenvectors that are kept, those of the largest eigenvalues."""


@dataclass(frozen=True)
class Axes:
    """A kernel's eigenvectors.

    Attributes
    ----------
    features
        (texts, axes) whose inner products are the kernel.
    back
        (texts, axes): a text's likenesses to all texts times this are its features.
    """

    features: Vectors
    back: Vectors


def axes_of(kernel: Vectors) -> Axes:
    """Turn a (texts, texts) kernel, positive but for float noise, into features."""
    values, basis = np.linalg.eigh(kernel)
    kept = np.flatnonzero(values > LEAST_EIGENVALUE * max(float(values[-1]), 1e-300))[-MOST_AXES:]
    root = np.sqrt(values[kept])
    return Axes(basis[:, kept] * root, basis[:, kept] / root)


def learn(features: Vectors, number: NDArray[np.intp], classes: int, strength: float) -> Vectors:
    """Return (axes + 1, classes) coefficients, the last row the intercept, which is not held small.

    Parameters
    ----------
    features
        (texts, axes).
    number
        (texts,) class of each.
    strength
        Of the squared coefficients, beside the sum of the texts' losses.
    """
    rows = np.hstack([features, np.ones((len(features), 1))])
    wanted, held = np.eye(classes)[number], np.full((rows.shape[1], 1), strength)
    held[-1] = 0.0

    def loss(flat: Vectors) -> tuple[float, Vectors]:
        weights = flat.reshape(-1, classes)
        scores = rows @ weights
        scores -= scores.max(1, keepdims=True)
        powers = np.exp(scores)
        total = powers.sum(1, keepdims=True)
        missed = float((np.log(total[:, 0]) - scores[np.arange(len(rows)), number]).sum())
        slope = rows.T @ (powers / total - wanted) + held * weights
        return missed + 0.5 * float((held * weights**2).sum()), slope.ravel()

    begin = np.zeros(rows.shape[1] * classes)
    found = scipy.optimize.minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": MOST_ROUNDS})
    return np.asarray(found.x, np.float64).reshape(-1, classes)


def left_out(features: Vectors, number: NDArray[np.intp], classes: int, strength: float, fold: NDArray[np.intp]) -> Vectors:
    """Return (asked, classes) scores of texts by regressions that were fitted without their fold.

    Parameters
    ----------
    features
        (texts, axes), those of the asked texts first; the texts after them teach every fold.
    fold
        (asked,).
    """
    scores = np.zeros((len(fold), classes))
    for one in np.unique(fold):
        out = np.flatnonzero(fold == one)
        rest = np.delete(np.arange(len(features)), out)
        weights = learn(features[rest], number[rest], classes, strength)
        scores[out] = features[out] @ weights[:-1] + weights[-1]
    return scores


def fit_logistic(known: Shots, number: NDArray[np.intp]) -> Head:
    """Fit a logistic regression to the texts, and to the labels' words as one more text each where labels are words."""
    classes, texts = len(known.names), len(number)
    worded = bool(known.name_terms.nnz)
    every = np.concatenate([number, np.arange(classes)]) if worded else number
    fold, best = deal(number) % MOST_FOLDS, Setting(0.0, 0.0, 0.0, 1.0, np.inf, 0.0, "logistic")
    axes = {share: axes_of(_whole(known, share, worded)) for share in sorted({SHARE, 1.0} & {*known.shares} or {0.0})}
    for share, one in axes.items():
        for strength in STRENGTHS:
            scores = left_out(one.features, every, classes, strength, fold)
            for temperature in TEMPERATURES:
                loss = cross_entropy(scores / temperature, number)
                if loss < best.loss - 1e-12:
                    accuracy = float((scores.argmax(1) == number).mean())
                    best = Setting(share, 0.0, strength, float(temperature), loss, accuracy, "logistic")
    chosen = axes[best.share]
    found = learn(chosen.features, every, classes, best.strength)
    back = chosen.back @ found[:-1]
    named = back[texts:] if worded else np.zeros((classes, classes))
    return Head(best, back[:texts], named, found[-1] - INTERCEPT * back[:texts].sum(0))


def _whole(known: Shots, share: float, worded: bool) -> Vectors:
    """Return the likeness of all texts, and of the labels' words after them where they count."""
    if not worded:
        return known.among(share)
    across = known.to_names(share)
    return np.block([[known.among(share), across], [across.T, known.among_names(share)]])
