"""The stars that a text stands for, learned from a handful of rated texts a star."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.pipeline.blocks import stable_hash
from recpipe.text.classes.classifier import Classifier, fit
from recpipe.text.classes.shots import Encode, Vectors


@dataclass(frozen=True)
class Stars:
    """What was learned.

    Attributes
    ----------
    levels
        (levels,) ratings in whole stars, ascending.
    classifier
        Of the drawn texts, whose classes are the levels.
    weight
        (levels,) how much more frequent a level is among all rated texts than among those drawn: by it, the probabilities
        are those of the texts as they come (Saerens, Latinne & Decaestecker 2002, section 2.2).
    doubt
        Share of every probability that is spread over all levels alike: 1 / (n + 2) after n texts.
    middle
        Rating that is neither good nor bad.
    """

    levels: Vectors
    classifier: Classifier
    weight: Vectors
    doubt: float
    middle: float

    def probabilities(self, texts: Sequence[str]) -> Vectors:
        """Return (texts, levels); rows sum to 1."""
        if not texts:
            return np.zeros((0, len(self.levels)))
        raw = self.classifier.probabilities(texts) * self.weight
        return np.asarray((1 - self.doubt) * raw / raw.sum(1, keepdims=True) + self.doubt / len(self.levels))

    def judge(self, texts: Sequence[str]) -> Judged:
        """Return what some texts are worth."""
        likely = self.probabilities(texts)
        good, bad = likely[:, self.levels > self.middle].sum(1), likely[:, self.levels < self.middle].sum(1)
        return Judged(np.round(likely @ self.levels, 6), np.round(good / np.maximum(good + bad, 1e-12), 6))


@dataclass(frozen=True)
class Judged:
    """What texts are worth.

    Attributes
    ----------
    rating
        (texts,) expected stars.
    positive
        (texts,) probability that the rating lies above the middle, given that it is not the middle.
    """

    rating: NDArray[np.float64]
    positive: NDArray[np.float64]


def level_of(rating: float) -> int:
    """Return a rating in whole stars; a half one counts up."""
    return int(np.floor(rating + 0.5))


def learn_stars(
    ids: Sequence[str], texts: Sequence[str], ratings: Sequence[float], middle: float, encode: Encode, shots: int
) -> Stars | None:
    """Learn from at most ``shots`` texts a star, drawn by a hash of their ids: the same ones as long as they stand there.

    Returns
    -------
    Stars or None
        None, where the texts do not show what is good and what is bad: no rating above the middle, or none below it.
    """
    levels = [level_of(rating) for rating in ratings]
    if not any(level > middle for level in levels) or not any(level < middle for level in levels):
        return None
    drawn: Counter[int] = Counter()
    chosen = []
    for row in sorted(range(len(ids)), key=lambda row: (stable_hash(ids[row]), ids[row])):
        if drawn[levels[row]] < shots:
            drawn[levels[row]] += 1
            chosen.append(row)
    classifier = fit([texts[row] for row in chosen], [levels[row] for row in chosen], encode)
    counted = Counter(levels)
    weight = [(counted[level] / len(levels)) / (drawn[level] / len(chosen)) for level in classifier.classes]
    return Stars(np.array(classifier.classes, np.float64), classifier, np.array(weight), 1 / (len(chosen) + 2), middle)
