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

from recpipe.text.classes.kernel_ridge import INTERCEPT, Head, Setting, clearly_better
from recpipe.text.classes.left_out import cross_entropies, cross_entropy, deal
from recpipe.text.classes.shots import Shots

Vectors = NDArray[np.float64]

SHARES = (1.0, 0.7, 0.35, 0.0)
"""Shares of the encoder's kernel beside that of n-grams that are tried, at the usual strength."""
TEMPERATURES = tuple(np.geomspace(0.3, 5.0, 15))
"""Scores of a logistic regression are log odds already."""
STRENGTHS = (0.3, 0.03, 3.0)
"""Weights of the squared coefficients, beside the sum of the losses of all texts, that are tried; the usual one first."""
AS_TEXTS = 4.0
"""Texts as which the words of a label count, where leaving texts out does not prefer to do without them."""
MOST_ROUNDS = 60
MOST_FOLDS = 3
"""Parts that are left out in turn; a fit is iterative, and each part costs one."""
LEAST_EIGENVALUE = 1e-8
MOST_AXES = 512
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


def learn(features: Vectors, number: NDArray[np.intp], classes: int, strength: float, counts: Vectors | None = None) -> Vectors:
    """Return (axes + 1, classes) coefficients, the last row the intercept, which is not held small.

    Parameters
    ----------
    features
        (texts, axes).
    number
        (texts,) class of each.
    strength
        Of the squared coefficients, beside the sum of the texts' losses.
    counts
        (texts,) as how many texts each counts; one each if None.
    """
    count = np.ones((len(features), 1)) if counts is None else counts[:, None]
    rows = np.hstack([features, np.ones((len(features), 1))])
    wanted, held = np.eye(classes)[number], np.full((rows.shape[1], 1), strength)
    held[-1] = 0.0

    def loss(flat: Vectors) -> tuple[float, Vectors]:
        weights = flat.reshape(-1, classes)
        scores = rows @ weights
        scores -= scores.max(1, keepdims=True)
        powers = np.exp(scores)
        total = powers.sum(1, keepdims=True)
        missed = float((count[:, 0] * (np.log(total[:, 0]) - scores[np.arange(len(rows)), number])).sum())
        slope = rows.T @ (count * (powers / total - wanted)) + held * weights
        return missed + 0.5 * float((held * weights**2).sum()), slope.ravel()

    begin = np.zeros(rows.shape[1] * classes)
    found = scipy.optimize.minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": MOST_ROUNDS})
    return np.asarray(found.x, np.float64).reshape(-1, classes)


def left_out(
    features: Vectors, number: NDArray[np.intp], strength: float, fold: NDArray[np.intp], counts: Vectors | None = None
) -> Vectors:
    """Return (asked, classes) scores of texts by regressions that were fitted without their fold.

    Parameters
    ----------
    features
        (texts, axes), those of the asked texts first; the texts after them teach every fold.
    fold
        (asked,).
    number, strength, counts
        As for `learn`.
    """
    classes = int(number.max()) + 1
    scores = np.zeros((len(fold), classes))
    for one in np.unique(fold):
        out = np.flatnonzero(fold == one)
        rest = np.delete(np.arange(len(features)), out)
        weights = learn(features[rest], number[rest], classes, strength, None if counts is None else counts[rest])
        scores[out] = features[out] @ weights[:-1] + weights[-1]
    return scores


@dataclass(frozen=True)
class _Task:
    """What is learned: the features of each share, the classes of texts and of the labels' words after them, and folds of texts."""

    axes: dict[float, Axes]
    every: NDArray[np.intp]
    fold: NDArray[np.intp]

    def counts(self, words: float) -> Vectors:
        """Return as how many texts each row counts; the words of labels as so many."""
        texts = len(self.fold)
        return np.concatenate([np.ones(texts), np.full(len(self.every) - texts, words)])


def fit_logistic(known: Shots, number: NDArray[np.intp]) -> Head:
    """Fit a logistic regression to the texts, and to the labels' words where labels are words.

    Share, strength and the words are chosen one after the other, since a fit is iterative.
    """
    classes, texts = len(known.names), len(number)
    worded = bool(known.name_terms.nnz)
    every = np.concatenate([number, np.arange(classes)]) if worded else number
    shares = SHARES if len(known.shares) > 1 else known.shares
    task = _Task({share: axes_of(_whole(known, share, worded)) for share in shares}, every, deal(number) % MOST_FOLDS)
    best = min((_tried(task, share, STRENGTHS[0], AS_TEXTS) for share in shares), key=lambda one: one.loss)
    others = [_tried(task, best.share, strength, AS_TEXTS) for strength in STRENGTHS[1:]]
    best = min(best, *others, key=lambda one: one.loss)
    if worded:
        best = clearly_better(_tried(task, best.share, best.strength, 0.0), best)
    chosen = task.axes[best.share]
    found = learn(chosen.features, every, classes, best.strength, task.counts(best.words))
    back = chosen.back @ found[:-1]
    named = back[texts:] if worded else np.zeros((classes, classes))
    return Head(best, back[:texts], named, found[-1] - INTERCEPT * back[:texts].sum(0))


def _tried(task: _Task, share: float, strength: float, words: float) -> Setting:
    """Return a setting with what leaving texts out says of it, at its best temperature."""
    number = task.every[: len(task.fold)]
    scores = left_out(task.axes[share].features, task.every, strength, task.fold, task.counts(words))
    temperature = min(TEMPERATURES, key=lambda one: cross_entropy(scores / one, number))
    losses = cross_entropies(scores / temperature, number)
    right = float((scores.argmax(1) == number).mean())
    return Setting(share, words, strength, float(temperature), float(losses.mean()), right, "logistic", losses)


def _whole(known: Shots, share: float, worded: bool) -> Vectors:
    """Return the likeness of all texts, and of the labels' words after them where they count."""
    if not worded:
        return known.among(share)
    across = known.to_names(share)
    return np.block([[known.among(share), across], [across.T, known.among_names(share)]])
