"""Few-shot text classes: a kernel ridge over what an encoder and character n-grams make of the texts, and of the labels.

A label that is a word says something before the first text does: the ridge explains what likeness between text and label
leaves unexplained. Every choice (how much of which kernel, how much a label's own words count, how much regularisation, the
temperature of the confidence) is made by leaving one text of every class out at a time, which a ridge gives in closed form. One of every class, since leaving out a single
text of a balanced set tells its class by the one that is short; and nothing is centred beforehand, since a mean that the
text took part in tells it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.text.tfidf import Vocabulary, learn_vocabulary, terms_of, weigh

Vectors = NDArray[np.float64]
Encode = Callable[[Sequence[str]], NDArray[np.float32]]

SHARES = (1.0, 0.9, 0.8, 0.65, 0.5, 0.3, 0.0)
"""Shares of the encoder's kernel beside that of n-grams that are tried."""
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Regularisations that are tried; the kernels have a diagonal of 1."""
WORDS_OF_LABELS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Weights that are tried of the likeness between a text and the words of a label, beside targets of 0 and 1."""
INTERCEPT = 1.0
"""Added to every kernel: a constant beside the features."""
TEMPERATURES = tuple(np.geomspace(0.01, 1.0, 25))
FOLDS = 10
"""Parts that the texts of a class are dealt into at most."""
MOST_SHOTS = 3000
"""Training texts that are used at most: the ridge is cubic in them."""


@dataclass(frozen=True)
class Setting:
    """What leaving texts out has chosen.

    Attributes
    ----------
    share
        Of the encoder's likeness beside that of n-grams.
    words
        Weight of the likeness between a text and a label's own words.
    strength
        Regularisation of the ridge.
    temperature
        Through which scores become probabilities.
    loss, accuracy
        Of the training texts, each predicted when it was left out.
    """

    share: float
    words: float
    strength: float
    temperature: float
    loss: float
    accuracy: float


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
    weights
        (shots, classes) of the ridge.
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

    def probabilities(self, texts: Sequence[str]) -> Vectors:
        """Return (texts, classes); a text's row depends on that text alone."""
        chosen = self.setting
        vectors, counted = _encoded(self.encode, texts), weigh([terms_of(text) for text in texts], self.vocabulary)
        kernel = blend(vectors @ self.vectors.T, likeness(counted, self.terms), chosen.share) + INTERCEPT
        said = centred(blend(vectors @ self.names.T, likeness(counted, self.name_terms), chosen.share))
        return softmax((kernel @ self.weights + chosen.words * said) / chosen.temperature)

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
    words = [str(name) if isinstance(name, str) else "" for name in classes]
    counted, counted_names = [terms_of(text) for text in texts], [terms_of(name) for name in words]
    vocabulary = learn_vocabulary(counted + counted_names)
    terms, name_terms = weigh(counted, vocabulary), weigh(counted_names, vocabulary)
    vectors = _encoded(encode, texts)
    names = _encoded(encode, words) if any(words) else np.zeros((len(classes), vectors.shape[1]))
    number = np.searchsorted(np.array(classes, dtype=object), np.array(labels, dtype=object))
    shares = SHARES if encode is not None else (0.0,)
    like, near = vectors @ vectors.T, likeness(terms, terms)
    kernels = {share: blend(like, near, share) + INTERCEPT for share in shares}
    like, near = vectors @ names.T, likeness(terms, name_terms)
    said = {share: centred(blend(like, near, share)) for share in shares}
    setting = choose(kernels, said, number)
    ridge = kernels[setting.share] + setting.strength * np.eye(len(texts))
    wanted = targets(number, len(classes)) - setting.words * said[setting.share]
    weights = np.asarray(np.linalg.solve(ridge, wanted), dtype=np.float64)
    if setting.share == 0:
        encode, vectors, names = None, vectors[:, :1] * 0, names[:, :1] * 0
    return Classifier(classes, encode, vectors, vocabulary, terms, names, name_terms, setting, weights)


def choose(kernels: dict[float, Vectors], said: dict[float, Vectors], number: NDArray[np.intp]) -> Setting:
    """Return the setting of the least loss on texts left out.

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
                        accuracy = float((whole.argmax(1) == number).mean())
                        best = Setting(share, words, strength, float(temperature), loss, accuracy)
    return best


def likeness(some: sp.csr_matrix, others: sp.csr_matrix) -> Vectors:
    """Return (some, others) cosines of weighed n-grams."""
    return np.asarray((some @ others.T).toarray(), dtype=np.float64)


def blend(like: Vectors, near: Vectors, share: float) -> Vectors:
    """Return a share of what the encoder finds alike, and the rest of what n-grams do."""
    return np.asarray(share * like + (1 - share) * near)


def centred(scores: Vectors) -> Vectors:
    """Return rows that sum to 0."""
    return np.asarray(scores - scores.mean(1, keepdims=True))


def deal(number: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (texts,) folds: the texts of each class in turn, at most `FOLDS` of them."""
    fold = np.zeros(len(number), np.intp)
    for one in np.unique(number):
        rows = np.flatnonzero(number == one)
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


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


def softmax(scores: Vectors) -> Vectors:
    """Return rows that sum to 1."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def cross_entropy(scores: Vectors, number: NDArray[np.intp]) -> float:
    """Return the mean of −log softmax at the classes."""
    top = scores.max(1)
    total = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return float((total - scores[np.arange(len(scores)), number]).mean())


def _encoded(encode: Encode | None, texts: Sequence[str]) -> Vectors:
    return encode(texts).astype(np.float64) if encode is not None else np.zeros((len(texts), 1))


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
