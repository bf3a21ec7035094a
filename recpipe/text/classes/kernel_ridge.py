"""A kernel ridge on the texts of each class, whose choices are made by texts left out, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recpipe.text.classes.left_out import TEMPERATURES, cross_entropies, cross_entropy, deal
from recpipe.text.classes.shots import Shots

Vectors = NDArray[np.float64]
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Regularisations that are tried; the kernels have a diagonal of 1."""
WORDS_OF_LABELS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Weights that are tried of the likeness between a text and the words of a label, beside targets of 0 and 1."""
INTERCEPT = 1.0
"""Added to every kernel: a constant beside the features."""


@dataclass(frozen=True)
class Setting:
    """What leaving texts out has chosen.

    Attributes
    ----------
    share
        Of the encoder's likeness beside that of n-grams.
    words
        Weight of the likeness between a text and a label's own words; of a logistic regression, as how many texts they count.
    strength
        Regularisation.
    temperature
        Through which scores become probabilities.
    loss, accuracy
        Of the training texts, each predicted when it was left out.
    head
        ``ridge`` or ``logistic``.
    losses
        (texts,) of which ``loss`` is the mean.
    """

    share: float
    words: float
    strength: float
    temperature: float
    loss: float
    accuracy: float
    head: str = "ridge"
    losses: Vectors | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Head:
    """One way to tell classes apart, fitted: see `Classifier`."""

    setting: Setting
    weights: Vectors
    named: Vectors
    constant: Vectors


def fit_ridge(known: Shots, number: NDArray[np.intp]) -> Head:
    """Fit a ridge; the likeness to the labels' words stands beside it with a weight of its own."""
    classes = len(known.names)
    kernels = {share: known.among(share) + INTERCEPT for share in known.shares}
    said = {share: centred(known.to_names(share)) for share in known.shares}
    setting = choose(kernels, said, number)
    ridge = kernels[setting.share] + setting.strength * np.eye(len(number))
    wanted = targets(number, classes) - setting.words * said[setting.share]
    weights = np.asarray(np.linalg.solve(ridge, wanted), dtype=np.float64)
    return Head(setting, weights, setting.words * (np.eye(classes) - 1 / classes), np.zeros(classes))


def choose(kernels: dict[float, Vectors], said: dict[float, Vectors], number: NDArray[np.intp]) -> Setting:
    """Return the setting of the ridge of the least loss on texts left out.

    What a ridge says of a left-out text is linear in its targets, so the weights of the labels' words need no further fit.

    Parameters
    ----------
    kernels
        (texts, texts) by the share of the encoder.
    said
        (texts, classes) likeness to the words of the labels, by the same share; rows sum to 0.
    number
        (texts,) number of the class.
    """
    best = Setting(0.0, 0.0, 0.0, 0.0, np.inf, 0.0)
    wanted, fold = targets(number, next(iter(said.values())).shape[1]), deal(number)
    for share, kernel in kernels.items():
        values, basis = np.linalg.eigh(kernel)
        both = np.hstack([wanted, said[share]])
        for strength in STRENGTHS:
            scores, explained = np.hsplit(leave_out(np.maximum(values, 0), basis, both, strength, fold), 2)
            for words in WORDS_OF_LABELS if said[share].any() else (0.0,):
                whole = scores + words * (said[share] - explained)
                for temperature in TEMPERATURES:
                    loss = cross_entropy(whole / temperature, number)
                    if loss < best.loss - 1e-12:
                        accuracy, losses = float((whole.argmax(1) == number).mean()), cross_entropies(whole / temperature, number)
                        best = Setting(share, words, strength, float(temperature), loss, accuracy, losses=losses)
    return best


def clearly_better(some: Setting, other: Setting) -> Setting:
    """Return the first of two settings where its loss is lower by more than a standard error over texts, else the second.

    Ten texts left out say little, and the least of two losses then is chance: the rule of one standard error (Breiman et al. 1984,
    "Classification and regression trees", section 3.4.3), on the difference.
    """
    if some.losses is None or other.losses is None:
        raise ValueError("these settings do not say what was lost on each text")
    gain = other.losses - some.losses
    return some if gain.mean() > gain.std() / np.sqrt(len(gain)) else other


def leave_out(values: Vectors, basis: Vectors, wanted: Vectors, strength: float, fold: NDArray[np.intp]) -> Vectors:
    """Return (texts, classes): what a kernel ridge fitted without a text's fold says of it, for every text.

    With the hat matrix H = K (K + λ)⁻¹ and a fold B it is y_B − (1 − H_BB)⁻¹ (y_B − (H y)_B); for folds of one text the
    formula of Rifkin and Lippert 2007, section 3.

    Parameters
    ----------
    values, basis
        Eigenvalues and eigenvectors of the kernel.
    wanted
        (texts, classes) targets y.
    strength
        λ.
    fold
        (texts,) the fold of each.
    """
    shrink = values / (values + strength)
    missed = wanted - (basis * shrink) @ (basis.T @ wanted)
    out = np.zeros_like(wanted)
    for one in np.unique(fold):
        rows = np.flatnonzero(fold == one)
        own = (basis[rows] * shrink) @ basis[rows].T
        out[rows] = wanted[rows] - np.linalg.solve(np.eye(len(rows)) - own, missed[rows])
    return out


def targets(number: NDArray[np.intp], classes: int) -> Vectors:
    """Return (texts, classes): 1 for the text's class, less the share of a class among equally many, so that rows sum to 0."""
    return np.eye(classes)[number] - 1 / classes


def centred(scores: Vectors) -> Vectors:
    """Return rows that sum to 0."""
    return np.asarray(scores - scores.mean(1, keepdims=True))
