"""Texts that are left out by turns: the parts they are dealt into, and the loss of what is said of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
TEMPERATURES = tuple(np.geomspace(0.01, 1.0, 25))
FOLDS = 10
"""Parts that the texts of a class are dealt into at most."""


def deal(number: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (texts,) folds: the texts of each class in turn, at most `FOLDS` of them."""
    fold = np.zeros(len(number), np.intp)
    for one in np.unique(number):
        rows = np.flatnonzero(number == one)
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def softmax(scores: Vectors) -> Vectors:
    """Return rows that sum to 1."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def cross_entropy(scores: Vectors, number: NDArray[np.intp]) -> float:
    """Return the mean of −log softmax at the classes."""
    return float(cross_entropies(scores, number).mean())


def cross_entropies(scores: Vectors, number: NDArray[np.intp]) -> Vectors:
    """Return (texts,) −log softmax at the classes."""
    top = scores.max(1)
    total = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return np.asarray(total - scores[np.arange(len(scores)), number])
