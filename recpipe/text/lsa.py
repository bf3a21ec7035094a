"""Texts as a few numbers by the words they share: latent semantic analysis, beside what an encoder makes of them.

A pretrained encoder knows what words mean and blurs which ones stand there; a shop's own titles tell its kinds of products apart by
single words. The two side by side tell more than either (docs/benchmarks/text-classes.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.text.tfidf import LONGEST, Vocabulary, weigh

WORD = re.compile(r"\w+", re.UNICODE)
AXES = 256
MOST_TEXTS = 20_000
"""Texts that the axes are learned from at most, evenly spaced among those given."""
LEAST_TEXTS = 2
"""Texts that a word must stand in to count."""
ROUNDS = 4
WEIGHT = 0.7
"""Length of the words' part beside the deviation of an encoder's vectors from their mean."""


@dataclass(frozen=True)
class Words:
    """Learned words and axes.

    Attributes
    ----------
    vocabulary
        Words that stand in at least `LEAST_TEXTS` of the texts.
    axes
        (words, axes) float32; nothing, where no word stands in two texts.
    """

    vocabulary: Vocabulary
    axes: NDArray[np.float32]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (texts, axes) of unit length; zeros for a text without a known word."""
        found = np.asarray(weigh([words_of(text) for text in texts], self.vocabulary).astype(np.float32) @ self.axes)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), np.float32)


def words_of(text: str) -> Counter[str]:
    """Count the words of a text; of scripts without spaces between words, characters and pairs of them."""
    found: Counter[str] = Counter()
    for word in WORD.findall(text[:LONGEST].lower()):
        if ord(word[0]) > 0x2E7F:
            found.update(word)
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found[word] += 1
    return found


def learn_words(texts: Sequence[str]) -> Words:
    """Learn the axes of some texts (Deerwester et al. 1990), by subspace iteration from a fixed start (Halko et al. 2011, 4.4).

    Parameters
    ----------
    texts
        Their order matters where there are more than `MOST_TEXTS`, so it must be the same for the same texts.
    """
    step = max(len(texts) / MOST_TEXTS, 1.0)
    counted = [words_of(texts[int(at * step)]) for at in range(min(len(texts), MOST_TEXTS))]
    vocabulary = _vocabulary(counted)
    matrix = weigh(counted, vocabulary)
    return Words(vocabulary, _axes(matrix, min(AXES, *matrix.shape)))


def spread_of(vectors: NDArray[np.float32]) -> float:
    """Return the deviation of (texts, d) unit vectors from their mean, 0 to 1: encoders differ in how much of a vector all texts share."""
    mean = vectors.mean(0, dtype=np.float64) if len(vectors) else np.zeros(vectors.shape[1])
    return float(np.sqrt(max(1 - mean @ mean, 0.0)))


def beside(vectors: NDArray[np.float32], words: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Return (texts, d + axes): an encoder's vectors, and the words' with a length of `WEIGHT` times the spread of its vectors."""
    return np.hstack([vectors, np.float32(WEIGHT * spread) * words])


def _vocabulary(counted: Sequence[Counter[str]]) -> Vocabulary:
    documents = Counter(term for counts in counted for term in counts)
    terms = sorted(term for term, number in documents.items() if number >= LEAST_TEXTS)
    df = np.array([documents[term] for term in terms], np.float64)
    return Vocabulary({term: column for column, term in enumerate(terms)}, np.log((1 + len(counted)) / (1 + df)) + 1)


def _axes(matrix: sp.csr_matrix, axes: int) -> NDArray[np.float32]:
    if axes == 0:
        return np.zeros((matrix.shape[1], 0), np.float32)
    basis = np.random.default_rng(0).standard_normal((matrix.shape[1], axes + min(10, matrix.shape[1] - axes)))
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    value, turn = np.linalg.eigh((small := matrix @ basis).T @ small)
    return np.asarray(basis @ turn[:, np.argsort(-value, kind="stable")[:axes]], np.float32)
