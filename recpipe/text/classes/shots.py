"""A few texts of each class as they are read: vectors, n-grams, and those of the labels' own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.text.tfidf import Vocabulary, learn_vocabulary, terms_of, weigh

Vectors = NDArray[np.float64]
Encode = Callable[[Sequence[str]], NDArray[np.float32]]
SHARES = (1.0, 0.9, 0.8, 0.65, 0.5, 0.3, 0.0)
"""Shares of the encoder's kernel beside that of n-grams that are tried."""


@dataclass(frozen=True)
class Shots:
    """Training texts and labels, read: see `Classifier`; ``shares`` are those of the encoder that can be tried."""

    vectors: Vectors
    vocabulary: Vocabulary
    terms: sp.csr_matrix
    names: Vectors
    name_terms: sp.csr_matrix
    shares: tuple[float, ...]

    def among(self, share: float) -> Vectors:
        """Return (texts, texts) likeness."""
        return blend(self.vectors @ self.vectors.T, likeness(self.terms, self.terms), share)

    def to_names(self, share: float) -> Vectors:
        """Return (texts, classes) likeness to the labels' words; zeros where labels are no words."""
        return blend(self.vectors @ self.names.T, likeness(self.terms, self.name_terms), share)

    def among_names(self, share: float) -> Vectors:
        """Return (classes, classes) likeness of the labels' words."""
        return blend(self.names @ self.names.T, likeness(self.name_terms, self.name_terms), share)


def words_of(label: Any) -> str:
    """Return the words of a label: an underscore stands for a space; a number has none."""
    return label.replace("_", " ") if isinstance(label, str) else ""


def read_shots(texts: Sequence[str], classes: Sequence[Any], encode: Encode | None) -> Shots:
    words = [words_of(name) for name in classes]
    counted, counted_names = [terms_of(text) for text in texts], [terms_of(name) for name in words]
    vocabulary = learn_vocabulary(counted + counted_names)
    vectors = encoded(encode, texts)
    names = encoded(encode, words) if any(words) else np.zeros((len(classes), vectors.shape[1]))
    terms, name_terms = weigh(counted, vocabulary), weigh(counted_names, vocabulary)
    return Shots(vectors, vocabulary, terms, names, name_terms, SHARES if encode is not None else (0.0,))


def likeness(some: sp.csr_matrix, others: sp.csr_matrix) -> Vectors:
    """Return (some, others) cosines of weighed n-grams."""
    return np.asarray((some @ others.T).toarray(), dtype=np.float64)


def blend(like: Vectors, near: Vectors, share: float) -> Vectors:
    """Return a share of what the encoder finds alike, and the rest of what n-grams do."""
    return np.asarray(share * like + (1 - share) * near)


def encoded(encode: Encode | None, texts: Sequence[str]) -> Vectors:
    return encode(texts).astype(np.float64) if encode is not None else np.zeros((len(texts), 1))
