"""Few-shot text classes over what an encoder and character n-grams make of the texts, and of the labels: a ridge or a logistic regression.

A label that is a word says something before the first text does: its words are some further texts of the class for a logistic
regression. Labels that are numbers, as stars are, say nothing, and a ridge serves them: where the classes lie along a line it was
right more often. Every choice (how much of which kernel, how much a label's own words count, how much regularisation, the
temperature of the confidence) is made by leaving one text of every class out at a time, which a ridge gives in closed form and a
logistic regression fits by parts. One of every class, since leaving out a single text of a balanced set tells its class by the one
that is short; and nothing is centred beforehand, since a mean that the text took part in tells it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from recpipe.errors import BadSetting
from recpipe.text.classes.kernel_ridge import INTERCEPT, Setting, fit_ridge
from recpipe.text.classes.left_out import softmax
from recpipe.text.classes.logistic import fit_logistic
from recpipe.text.classes.shots import Encode, Vectors, blend, encoded, likeness, read_shots
from recpipe.text.tfidf import Vocabulary, terms_of, weigh

MOST_SHOTS = 3000
"""Training texts that are used at most: the ridge is cubic in them."""


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes
    ----------
    classes
        (classes,) labels, sorted.
    encode
        Texts to (n, d) unit vectors; None, where n-grams alone were given or chosen: all vectors are then (n, 1) zeros.
    vectors
        (shots, d) training vectors.
    vocabulary, terms
        Of the training texts and the labels; (shots, terms) sparse.
    names, name_terms
        (classes, d) vectors of the labels' own words; (classes, terms) sparse.
    setting
        What leaving one out has chosen.
    weights, named
        (shots, classes) and (classes, classes): what likeness to a training text, and to a label's words, says of each class.
    constant
        (classes,) score of a text that is like none.
    """

    classes: tuple[Any, ...]
    encode: Encode | None
    vectors: Vectors
    vocabulary: Vocabulary
    terms: sp.csr_matrix
    names: Vectors
    name_terms: sp.csr_matrix
    setting: Setting
    weights: Vectors
    named: Vectors
    constant: Vectors

    def probabilities(self, texts: Sequence[str]) -> Vectors:
        """Return (texts, classes); a text's row depends on that text alone."""
        chosen = self.setting
        vectors, counted = encoded(self.encode, texts), weigh([terms_of(text) for text in texts], self.vocabulary)
        kernel = blend(vectors @ self.vectors.T, likeness(counted, self.terms), chosen.share) + INTERCEPT
        said = blend(vectors @ self.names.T, likeness(counted, self.name_terms), chosen.share)
        return softmax((kernel @ self.weights + said @ self.named + self.constant) / chosen.temperature)

    def predict(self, texts: Sequence[str]) -> tuple[list[Any], Vectors]:
        """Return the label of each text, and the probability of that label."""
        found = self.probabilities(texts)
        best = found.argmax(1)
        return [self.classes[place] for place in best], found[np.arange(len(found)), best]


def fit(texts: Sequence[str], labels: Sequence[Any], encode: Encode | None, *, seed: int = 0) -> Classifier:
    """Fit a classifier to a few texts of each class.

    Parameters
    ----------
    texts
        Any language, of any length; empty ones are allowed.
    labels
        One a text, of one type; at least two different ones. A class may have a single text.
    encode
        As `recpipe.text.encoder.Encoder.encode`; None for n-grams alone.
    seed
        Draws the texts that are used where there are more than `MOST_SHOTS`.

    Raises
    ------
    BadSetting
        If there is no text, or only one class.
    """
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise BadSetting(
            f"Few-shot classes need at least two labels to tell apart; the {len(texts)} training texts have "
            f"{f'only {classes[0]!r}' if classes else 'none'}."
        )
    texts, labels = _some(texts, labels, seed)
    number = np.searchsorted(np.array(classes, dtype=object), np.array(labels, dtype=object))
    known = read_shots(texts, classes, encode)
    head = fit_logistic(known, number) if known.name_terms.nnz else fit_ridge(known, number)
    vectors, names = known.vectors, known.names
    if head.setting.share == 0:
        encode, vectors, names = None, vectors[:, :1] * 0, names[:, :1] * 0
    parts = (known.vocabulary, known.terms, names, known.name_terms)
    return Classifier(classes, encode, vectors, *parts, head.setting, head.weights, head.named, head.constant)


def _some(texts: Sequence[str], labels: Sequence[Any], seed: int) -> tuple[list[str], list[Any]]:
    """Draw `MOST_SHOTS` texts where there are more, the classes in turn, so that none is lost."""
    if len(texts) <= MOST_SHOTS:
        return list(texts), list(labels)
    drawn = np.random.default_rng(seed).permutation(len(texts))
    turn: dict[Any, int] = {}
    order: list[tuple[int, int, int]] = []
    for row in drawn:
        turn[labels[row]] = turn.get(labels[row], 0) + 1
        order.append((turn[labels[row]], len(order), int(row)))
    kept = sorted(row for _, _, row in sorted(order)[:MOST_SHOTS])
    return [texts[row] for row in kept], [labels[row] for row in kept]
